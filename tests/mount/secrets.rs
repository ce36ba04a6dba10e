//! Secrets stay where they belong.

use std::fs;
use std::path::Path;

use dcms_emulator::accounts::{PASSWORD, USER};

use super::harness::{Bench, LIMIT, Mount, PRODUCT, Setup, errno, read, within};
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

/// 10.1, 10.2, 10.3: every kind of secret, each with a text of its own, over as many hostile redirects as there are ways
/// to write an address: none arrives elsewhere, none shows up in a log, in `/proc`, in the cache or in what the mount
/// says of itself. The addresses themselves are tried without a mount in `transport::tests`.
#[test]
fn mount_no_hostile_redirect_takes_a_secret_along() {
    let foreign = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut setup = Setup::default();
    setup.options.foreign_listen = foreign;
    // One host is configured, so that redirects to it are followed: it must hear nothing.
    setup.tables = format!("[network]\nhosts = [\"http://{foreign}\"]\n");
    let bench = setup.logged_out();
    let netrc = bench.home.path().join("netrc");
    let canary = "canary-of-netrc-51d0";
    fs::write(&netrc, format!("machine 127.0.0.1 login netrc-user password {canary}\n")).unwrap();
    fs::set_permissions(&netrc, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let text = fs::read_to_string(bench.config()).unwrap();
    let keyed = format!(
        "[[cache_b.root]]\nname = \"keyed\"\nurl = \"{}/keyed/\"\ncredential = \"api-key\"\n",
        bench.emulator.url()
    );
    let netrc_line = format!("netrc = \"{}\"", netrc.display());
    fs::write(bench.config(), text.replace("netrc = \"\"", &netrc_line) + &keyed).unwrap();
    assert!(bench.login_keeping(USER, PASSWORD).status.success());
    let mut all = secrets(&bench);
    all.push(canary.into());
    // As HTTP Basic has it, at each of the three ways it can begin.
    all.push("Y2FuYXJ5LW9mLW5ldHJj".into());
    let mount = bench.mount();
    let authority = bench.emulator.url();
    let authority = authority.trim_start_matches("http://");
    let port = foreign.port();
    let own = authority.split(':').nth(1).unwrap();
    let hosts = [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "127.0.0.2",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "[fe80::1]",
        "[fd00::1]",
        "[64:ff9b::7f00:1]",
        "224.0.0.1",
    ];
    let dressed = [
        "http://HOME@127.0.0.1:PORT/x",
        "http://HOME%40127.0.0.1:PORT/x",
        "http://u:p@HOME@127.0.0.1:PORT/x",
        "http://127.0.0.1:PORT/HOME/x",
        "http://127.0.0.1:PORT?HOME/x",
        "http://127.0.0.1:PORT#@HOME/x",
        "//127.0.0.1:PORT/x",
        "///127.0.0.1:PORT/x",
        "http:///127.0.0.1:PORT/x",
        "HTTP://127.0.0.1:PORT/x",
        "http://127.0.0.1:0PORT/x",
        "https://HOME/x",
        "http://u@HOME/x",
        "ftp://127.0.0.1:PORT/x",
        "file:///etc/passwd",
        "data:text/plain,x",
        "javascript:alert(1)",
        "ws://127.0.0.1:PORT/x",
        "s3://127.0.0.1:PORT/x",
        "http://HOME.evil.example/x",
        "https://evil.example/?next=HOME",
        "http://127.0.0.1:PORT/object?signature=x",
    ];
    let lures: Vec<String> = hosts
        .iter()
        .flat_map(|host| {
            let ports = [format!("http://{host}:{port}/x"), format!("https://{host}:{port}/x")];
            ports.into_iter().chain([
                format!("http://{host}:{own}/x"),
                format!("http://{host}/x"),
                format!("https://{host}/latest/meta-data"),
            ])
        })
        .chain(dressed.iter().map(|form| form.replace("HOME", authority).replace("PORT", &port.to_string())))
        .collect();
    let samples = bench.samples(&mount, PRODUCT);
    let mut tried = 0;
    for (number, lure) in lures.iter().enumerate() {
        let code = [301, 302, 303, 307, 308][number % 5];
        let rules = [
            format!("/cacheb/lure/{number}.zarr -> redirect to={lure} code={code}"),
            format!("/keyed/lure/{number}.zarr -> redirect to=/cacheb/lure/{number}.zarr code=302"),
            format!("/stac/download nth={} -> redirect to={lure} code={code}", number + 1),
        ];
        rules.iter().for_each(|rule| bench.fault(rule));
        let _ = read(mount.path.join(format!("cache-b/lure/{number}.zarr/.zgroup")));
        let _ = read(mount.path.join(format!("keyed/lure/{number}.zarr/.zgroup")));
        if let Some(sample) = samples.get(number) {
            let _ = read(&sample.path);
        }
        bench.emulator.faults().clear();
        tried += 2;
    }
    assert!(lures.len() >= 140 && tried >= 280, "{} addresses", lures.len());
    let journal = bench.emulator.journal().snapshot();
    let followed = journal.entries.iter().filter(|entry| entry.host == dcms_emulator::journal::Host::Foreign);
    assert!(followed.clone().count() > 0, "the configured host was asked");
    assert!(followed.clone().all(|entry| entry.authorization.is_none() && !entry.cookie));
    assert_eq!(journal.leaks, 0);
    everywhere(&bench, &mount, &all);
    mount.end();
}

/// All places that others can look at.
fn everywhere(bench: &Bench, mount: &Mount, secrets: &[String]) {
    clean(secrets, mount.log().as_bytes(), "the log");
    let process = mount.child.id();
    for file in ["cmdline", "environ", "mountinfo", "status", "comm", "maps", "limits"] {
        let path = format!("/proc/{process}/{file}");
        clean(secrets, &fs::read(&path).unwrap_or_default(), &path);
    }
    clean(secrets, &fs::read("/proc/self/mountinfo").unwrap(), "the mount table");
    for file in ["status.json", "errors"] {
        clean(secrets, &read(mount.path.join(".dcmsfs").join(file)).unwrap(), file);
    }
    clean(secrets, &read(mount.path.join("README.txt")).unwrap(), "README.txt");
    let status = bench.command().arg("status").arg(&mount.path).output().unwrap();
    clean(secrets, &[status.stdout, status.stderr].concat(), "status");
    let mut folders = vec![bench.home.path().join(".cache"), Path::new("/run/dcmsfs").to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            clean(secrets, entry.file_name().as_encoded_bytes(), "a name in the cache");
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => {
                    clean(secrets, &fs::read(entry.path()).unwrap_or_default(), "the cache")
                }
                _ => {}
            }
        }
    }
}
