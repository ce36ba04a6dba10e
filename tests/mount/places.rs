//! What users get wrong: one clear sentence that names the thing and the way out, a status other than 0, and nothing
//! left mounted. And networks that are not there.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::harness::{Bench, Setup, errno, is_mounted, names, output_of, read};

fn run(bench: &Bench, arguments: &[&str]) -> Output {
    output_of(bench.command().args(arguments).spawn().unwrap())
}

/// It failed, by one sentence that holds all of `words`.
fn refused(output: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "success, and not a refusal that says {words:?}");
    assert_eq!(said.trim().lines().count(), 1, "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
    assert!(!said.contains("panicked") && !said.contains("RUST_BACKTRACE"), "{said}");
}

/// 11.2: places that cannot be mounted on, in the foreground as in the background.
#[test]
fn mount_wrong_places_are_refused() {
    let bench = Bench::demo();
    let home = bench.home.path().to_str().unwrap().to_owned();
    let full = bench.point("full");
    fs::write(full.join("x"), "x").unwrap();
    let cases = [
        (format!("{home}/missing"), "mkdir -p"),
        (format!("{home}/full/x"), "not a directory"),
        (format!("{home}/full"), "not empty"),
        ("/proc/self".into(), "belongs to the system"),
        ("/dev/shm".into(), "belongs to the system"),
        (format!("{home}/missing/deeper"), "mkdir -p"),
    ];
    let config = bench.config();
    for (place, way_out) in cases {
        for front in [true, false] {
            let mut arguments = vec!["--config", config.to_str().unwrap(), &place];
            if front {
                arguments.push("--foreground");
            }
            refused(&run(&bench, &arguments), &[&place, way_out]);
        }
    }
    assert!(!is_mounted(&full));
    let over = [full.to_str().unwrap(), "--nonempty", "--config", config.to_str().unwrap()];
    let output = run(&bench, &over);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(run(&bench, &["unmount", full.to_str().unwrap()]).status.success());
}

/// Settings that are wrong are named with file and key.
#[test]
fn mount_wrong_settings_are_refused() {
    let bench = Bench::demo();
    let point = bench.point("mnt");
    let file = bench.home.path().join("wrong.toml");
    let cases: &[(&str, &[&str])] = &[
        ("[cache_a]\nurll = \"x\"", &["urll", "wrong.toml"]),
        ("[cachea]\nurl = \"x\"", &["cachea", "wrong.toml"]),
        ("[cache_a\nurl", &["wrong.toml"]),
        ("[cache_a]\nurl = 7", &["wrong.toml"]),
        ("[cache_a]\nurl = \"http://example.org/stac\"", &["cache_a.url", "https"]),
        ("[cache_a]\nurl = \"nonsense\"", &["cache_a.url", "nonsense"]),
        ("[cache_a]\nurl = \"ftp://example.org/\"", &["cache_a.url", "https"]),
        ("[cache_a]\nurl = \"https://u:canary@example.org/\"", &["cache_a.url", "dcmsfs login"]),
        ("[cache_a]\ndownloads = 0", &["cache_a.downloads"]),
        ("[cache]\nmemory = \"much\"", &["cache.memory", "much"]),
        ("[mount]\nattr_ttl = \"soon\"", &["mount.attr_ttl", "soon"]),
        ("[cache_a]\naccess = \"s3\"", &["cache_a.s3.endpoint", "needs"]),
        ("[mount]\nprofile = \"gdal\"", &["mount.profile", "not available"]),
        ("[network]\nhosts = [\"http://10.0.0.1\"]", &["network.hosts"]),
    ];
    for (content, words) in cases {
        fs::write(&file, content).unwrap();
        let output = run(&bench, &["--config", file.to_str().unwrap(), point.to_str().unwrap()]);
        refused(&output, words);
        assert!(!String::from_utf8_lossy(&output.stderr).contains("canary"));
        assert!(!is_mounted(&point));
    }
    let missing = bench.home.path().join("none.toml");
    refused(&run(&bench, &["--config", missing.to_str().unwrap(), point.to_str().unwrap()]), &["none.toml"]);
    // A directory cannot be read as a file, whoever asks.
    refused(&run(&bench, &["--config", "/tmp", point.to_str().unwrap()]), &["/tmp"]);
    // A log that cannot be written.
    let config = bench.config();
    for more in [&["--foreground"][..], &[]] {
        let mut arguments = vec!["--config", config.to_str().unwrap(), point.to_str().unwrap()];
        arguments.extend(["--log-file", "/proc/none/x.log"]);
        arguments.extend(more);
        refused(&run(&bench, &arguments), &["/proc/none/x.log"]);
        assert!(!is_mounted(&point));
    }
}

/// Logins that fail say why, and keep nothing.
#[test]
fn mount_logins_that_fail() {
    use dcms_emulator::accounts;
    use dcms_emulator::behaviour::LoginPage;
    let bench = Setup::default().logged_out();
    let kept = bench.home.path().join("credentials.toml");
    refused(&bench.login(accounts::USER, "wrong-canary"), &["password"]);
    refused(&bench.login("nobody", accounts::PASSWORD), &["password"]);
    refused(&bench.login(accounts::USER, ""), &["empty"]);
    refused(&bench.login(accounts::TERMS_USER, accounts::PASSWORD), &["terms"]);
    for page in [LoginPage::Unexpected, LoginPage::Hostile, LoginPage::Down] {
        bench.emulator.change(|behaviour| behaviour.login.page = page);
        let output = bench.login(accounts::USER, accounts::PASSWORD);
        refused(&output, &[]);
        assert!(!String::from_utf8_lossy(&output.stderr).contains(accounts::PASSWORD));
    }
    assert!(!kept.exists());
    assert_eq!(bench.emulator.journal().leaks(), 0);
    bench.emulator.change(|behaviour| behaviour.login.page = LoginPage::RelativeAction);
    assert!(bench.login(accounts::USER, accounts::PASSWORD).status.success());
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&kept).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    // What others can read is refused, with the way out.
    fs::set_permissions(&kept, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let mount = bench.mount();
    let sample = bench.sample(&mount, "_B02_10m.jp2");
    assert_ne!(errno(read(&sample.path)), 0);
    assert!(mount.log().contains("chmod"), "{}", mount.log());
}

fn with_url(bench: &Bench, key: &str, url: &str) {
    let text = fs::read_to_string(bench.config()).unwrap();
    let mut table = "";
    let lines: Vec<String> = text
        .lines()
        .map(|line| {
            if line.starts_with('[') {
                table = line;
            }
            if table == key && line.starts_with("url") { format!("url = \"{url}\"") } else { line.to_owned() }
        })
        .collect();
    fs::write(bench.config(), lines.join("\n")).unwrap();
}

/// 11.1: without a network the mount comes up; what needs it says so, soon and in the log.
#[test]
fn mount_comes_up_without_a_network() {
    let bench = Bench::demo();
    // Nobody listens there.
    with_url(&bench, "[cache_a]", "http://127.0.0.1:9/stac/api");
    with_url(&bench, "[cache_b]", "http://127.0.0.1:9/cacheb/");
    let begun = Instant::now();
    let mount = bench.mount();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let begun = Instant::now();
    let path = mount.path.join("cache-a");
    let listing =
        std::thread::spawn(move || errno(fs::read_dir(path).and_then(|mut all| all.next().unwrap())));
    let store = mount.path.join("cache-b/era5/demo-reanalysis-era5-v0.zarr");
    let looking = std::thread::spawn(move || errno(fs::metadata(store)));
    assert_eq!(listing.join().unwrap(), libc::EHOSTUNREACH);
    assert_eq!(looking.join().unwrap(), libc::EHOSTUNREACH);
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    assert!(mount.log().contains("cannot reach"), "{}", mount.log());
    assert_eq!(names(&mount.path).unwrap(), [".dcmsfs", "README.txt", "cache-a", "cache-b"]);
    mount.end();
}

/// 11.1: a service that does not answer, or is something else, is told at once; nothing is mounted.
#[test]
fn mount_asks_the_services_first() {
    for (table, url, words) in [
        ("[cache_a]", "http://127.0.0.1:9/stac/api", ["cache-a", "127.0.0.1:9", "--offline"]),
        ("[cache_b]", "http://127.0.0.1:9/cacheb/", ["cache-b", "127.0.0.1:9", "--offline"]),
        ("[cache_a]", "wrong", ["cache-a", "is this the root of a STAC API?", "--offline"]),
    ] {
        let bench = Bench::demo();
        let wrong = format!("{}/no/such/api", bench.emulator.url());
        with_url(&bench, table, if url == "wrong" { &wrong } else { url });
        let point = bench.point("mnt");
        for arguments in [&["--foreground"][..], &[]] {
            let config = bench.config();
            let all = [arguments, &["--config", config.to_str().unwrap(), point.to_str().unwrap()]].concat();
            refused(&run(&bench, &all), &words);
            assert!(!is_mounted(&point));
        }
    }
}

/// A service address that is wrong is told from one that does not answer.
#[test]
fn mount_a_wrong_address_says_so() {
    let bench = Bench::demo();
    with_url(&bench, "[cache_a]", &format!("{}/no/such/api", bench.emulator.url()));
    let mount = bench.mount();
    let begun = Instant::now();
    let error = errno(names(mount.path.join("cache-a")));
    assert!(error != 0 && error != libc::EIO, "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(mount.log().contains("/no/such/api"), "{}", mount.log());
}

/// Without `/dev/fuse` the reason and the way out are told, in the foreground as in the background.
#[test]
fn mount_without_fuse_says_so() {
    let bench = Bench::demo();
    let point = bench.point("mnt");
    for front in ["--foreground", "--nonempty"] {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", "mount -t tmpfs none /dev && exec \"$@\"", "sh"]);
        command.arg(env!("CARGO_BIN_EXE_dcmsfs")).args([front, "--config"]).arg(bench.config()).arg(&point);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", bench.home.path());
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        refused(&output_of(child), &["/dev/fuse", "modprobe fuse"]);
        assert!(!is_mounted(&point));
    }
    assert!(Path::new("/dev/fuse").exists());
}
