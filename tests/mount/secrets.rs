//! Secrets stay where they belong.

use std::fs;
use std::path::Path;

use dcms_emulator::accounts::{PASSWORD, USER};

use super::harness::{Bench, LIMIT, PRODUCT, Setup, errno, read, within};
use super::sys::{attribute, attributes};

/// Everything secret that the login has left.
fn secrets(bench: &Bench) -> Vec<String> {
    let kept = fs::read_to_string(bench.home.path().join("credentials.toml")).unwrap();
    let quoted = kept.split('"').filter(|text| text.len() > 40).map(str::to_owned);
    let secrets: Vec<String> = quoted.chain([PASSWORD.to_owned()]).collect();
    assert!(secrets.len() >= 3, "tokens are expected in the file: {}", secrets.len());
    // The signature of a token is as good as the token.
    let tails: Vec<String> = secrets.iter().filter_map(|s| Some(s.rsplit_once('.')?.1.to_owned())).collect();
    secrets.into_iter().chain(tails).filter(|secret| secret.len() > 8).collect()
}

fn clean(secrets: &[String], text: &[u8], place: &str) {
    let text = String::from_utf8_lossy(text);
    for secret in secrets {
        assert!(!text.contains(secret.as_str()), "a secret in {place}");
    }
}

/// 10.3: after a session with reads, failures, renewals and redirects no secret is in the log, the process's public
/// files, the mount table, the status, the attributes or a message.
#[test]
fn mount_secrets_do_not_leak() {
    let bench = Setup::default().logged_out();
    let output = bench.login(USER, PASSWORD);
    assert!(output.status.success());
    let mut all = secrets(&bench);
    clean(&all, &output.stdout, "the output of login");
    clean(&all, &output.stderr, "the output of login");
    let config = fs::read_to_string(bench.config()).unwrap();
    // As much as can be logged.
    let mount = bench.mount();
    let samples = bench.samples(&mount, PRODUCT);
    let rules = [
        "status code=500",
        "status code=403",
        "status code=401",
        "reset after=10",
        "html",
        "redirect to=foreign",
        "redirect to=https://user:pass@example.org/?token=x",
        "redirect to=http://127.0.0.1:9/",
        "gzip",
    ];
    // Not in the order of a copy, which would be fetched ahead.
    for (rule, sample) in rules.iter().zip(samples.iter().rev().step_by(2)) {
        bench.fault(&format!("/stac/download* first=1 -> {rule}"));
        let _ = read(&sample.path);
        bench.emulator.faults().clear();
    }
    let chunk = mount.path.join("cache-b/d1-climate-dt/demo-climate-sfc-v0.zarr/t2m/0.0.0");
    assert!(read(&chunk).is_ok());
    assert_eq!(errno(read(mount.path.join("cache-b/era5/none.zarr/.zgroup"))), libc::ENOENT);
    bench.emulator.revoke_tokens();
    assert_ne!(errno(read(&samples[1].path)), 0);
    assert!(bench.login(USER, PASSWORD).status.success());
    let _ = read(&samples[0].path);
    all.extend(secrets(&bench));

    let process = mount.child.id();
    clean(&all, config.as_bytes(), "the configuration");
    clean(&all, mount.log().as_bytes(), "the log");
    for file in ["cmdline", "mountinfo", "status", "comm"] {
        let path = format!("/proc/{process}/{file}");
        clean(&all, &fs::read(&path).unwrap_or_default(), &path);
    }
    clean(&all, &fs::read("/proc/self/mountinfo").unwrap(), "the mount table");
    clean(&all, &read(mount.path.join(".dcmsfs/status.json")).unwrap(), "status.json");
    clean(&all, &read(mount.path.join("README.txt")).unwrap(), "README.txt");
    for path in
        [samples[0].path.clone(), samples[1].path.clone(), chunk, mount.path.join("cache-a/SENTINEL-2")]
    {
        let (names, values) = within(LIMIT, "attributes", move || {
            let names = attributes(&path).unwrap_or_default();
            let values: Vec<Vec<u8>> = names.iter().filter_map(|name| attribute(&path, name).ok()).collect();
            (names, values)
        });
        clean(&all, names.join(" ").as_bytes(), "names of attributes");
        values.iter().for_each(|value| clean(&all, value, "an attribute"));
    }
    let slots = Path::new("/run/dcmsfs");
    if let Ok(entries) = fs::read_dir(slots) {
        for entry in entries.flatten().filter(|entry| entry.path().is_file()) {
            clean(&all, &fs::read(entry.path()).unwrap_or_default(), "the run-time directory");
        }
    }
    assert_eq!(bench.emulator.journal().leaks(), 0);
    assert_eq!(limits(process), ("0".into(), "0".into()), "core dumps are off");
    mount.end();
}

/// The soft and hard limit of core files.
fn limits(process: u32) -> (String, String) {
    let text = fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let line = text.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let mut words = line.split_whitespace().skip(4);
    (words.next().unwrap().into(), words.next().unwrap().into())
}
