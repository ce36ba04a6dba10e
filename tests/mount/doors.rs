//! Zarr hosts beside Cache-B: the same code with other credentials, by configuration only.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use dcms_emulator::accounts::{API_KEY, API_LOGIN, CACHE_B_LOGIN, OFFLINE_TOKEN};
use dcms_emulator::journal::Authorization;

use super::harness::{Bench, Mount, Setup, assert_same, errno, output_of, read, until};

const CHUNK: &str = "d1-climate-dt/demo-climate-sfc-v0.zarr/t2m/0.0.0";

/// A bench without a DestinE login, whose hosts are all the emulator's: one name and one credential each.
fn bench() -> Bench {
    let bench = Setup::default().logged_out();
    let host = bench.emulator.cache_b_url();
    let netrc = bench.home.path().join("netrc");
    let text = fs::read_to_string(bench.config()).unwrap();
    // The address of `cache-b` would hold that of the other roots: each of these mounts has one door.
    let text = text.replace(&format!("url = \"{host}\""), "url = \"\"");
    let text = text.replace("netrc = \"\"", &format!("netrc = \"{}\"", netrc.display()));
    fs::write(bench.config(), text).unwrap();
    bench
}

fn door(bench: &Bench, credential: &str) {
    let text = fs::read_to_string(bench.config()).unwrap();
    let host = bench.emulator.cache_b_url();
    let root = format!("[[cache_b.root]]\nname = \"hub\"\nurl = \"{host}\"\n{credential}\n");
    fs::write(bench.config(), text + &root).unwrap();
}

/// `dcmsfs` with a line on its standard input, on no terminal.
fn told(bench: &Bench, arguments: &[&str], line: &str) -> Output {
    let mut command = Command::new("setsid");
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", bench.home.path());
    command.arg("--wait").arg(env!("CARGO_BIN_EXE_dcmsfs")).args(arguments);
    command.arg("--config").arg(bench.config());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "{line}").unwrap();
    output_of(child)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn netrc(bench: &Bench, login: &str, password: &str) {
    use std::os::unix::fs::OpenOptionsExt;
    let path = bench.home.path().join("netrc");
    let _ = fs::remove_file(&path);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    writeln!(file, "machine 127.0.0.1\n  login {login}\n  password {password}").unwrap();
}

fn opens(bench: &Bench, mount: &Mount) {
    let expected = bench.emulator.expect_bytes(CHUNK).unwrap();
    assert_same(&read(mount.path.join("hub").join(CHUNK)).unwrap(), &expected, "a chunk");
}

fn credentials(bench: &Bench) -> Vec<Option<Authorization>> {
    let entries = bench.emulator.journal().snapshot().entries;
    let mut all: Vec<_> =
        entries.into_iter().filter(|e| e.path.starts_with("/cacheb")).map(|e| e.authorization).collect();
    all.dedup();
    all
}

/// 10.12: an API key out of netrc, with the login name of the configuration or of netrc.
#[test]
fn mount_a_root_with_an_api_key_of_netrc() {
    let bench = bench();
    door(&bench, "login = \"edh\"");
    netrc(&bench, API_LOGIN, API_KEY);
    let mount = bench.mount();
    opens(&bench, &mount);
    mount.end();
    // The documented way to Cache-B itself, by another name.
    netrc(&bench, CACHE_B_LOGIN, OFFLINE_TOKEN);
    let mount = bench.mount();
    let _ = fs::remove_dir_all(bench.home.path().join(".cache"));
    opens(&bench, &mount);
}

/// 10.12: a key by `dcmsfs login --root`, which a running mount takes at once; it is in no argument and no
/// configuration, and goes to its own address only.
#[test]
fn mount_a_root_with_a_key_of_its_own() {
    let bench = bench();
    door(&bench, "login = \"edh\"");
    let mount = bench.mount();
    let chunk = mount.path.join("hub").join(CHUNK);
    let error = errno(read(&chunk));
    assert!([libc::EKEYEXPIRED, libc::EKEYREJECTED].contains(&error), "{error}");
    let errors = fs::read_to_string(mount.path.join(".dcmsfs/errors")).unwrap();
    let status = text(&told(&bench, &["status"], ""));
    assert!(format!("{errors}{status}").contains("dcmsfs login --root hub"), "{errors}{status}");

    let said = told(&bench, &["login", "--root", "hub", "--password-stdin"], "wrong-key");
    assert!(said.status.success(), "{}", text(&said));
    until("a wrong key is refused", || errno(read(&chunk)) == libc::EKEYREJECTED);
    let said = told(&bench, &["login", "--root", "hub", "--password-stdin"], API_KEY);
    assert!(said.status.success() && !text(&said).contains(API_KEY), "{}", text(&said));
    until("the key is taken", || read(&chunk).is_ok());
    let file = bench.home.path().join("credentials.toml");
    let kept = fs::read_to_string(&file).unwrap();
    assert!(
        kept.contains("[[key]]") && kept.contains(API_KEY) && !kept.contains("wrong-key"),
        "one key a root"
    );
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions()) & 0o777,
        0o600
    );
    assert!(!fs::read_to_string(bench.config()).unwrap().contains(API_KEY));

    // The same name with another address does not get it.
    let config = fs::read_to_string(bench.config()).unwrap();
    let (_, port) =
        bench.emulator.foreign_url().rsplit_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let other = config.replace(&bench.emulator.cache_b_url(), &format!("http://127.0.0.1:{port}/cacheb/"));
    fs::write(bench.config(), other).unwrap();
    let elsewhere = bench.mount_at("elsewhere");
    assert!(read(elsewhere.path.join("hub").join(CHUNK)).is_err());
    assert!(
        bench.emulator.journal().snapshot().entries.iter().all(|entry| !entry.leak),
        "a key at a foreign host"
    );
    fs::write(bench.config(), config).unwrap();

    let said = told(&bench, &["logout", "--root", "hub"], "");
    assert!(said.status.success() && text(&said).contains("is gone"), "{}", text(&said));
    assert!(!fs::read_to_string(&file).unwrap().contains(API_KEY));
    let said = told(&bench, &["login", "--root", "nowhere", "--password-stdin"], "x");
    assert!(!said.status.success() && text(&said).contains("the configuration has hub"), "{}", text(&said));
}

/// 10.12: the relay of the Data Lake wants a token as Bearer.
#[test]
fn mount_a_root_with_a_bearer_token() {
    let bench = bench();
    door(&bench, "credential = \"bearer\"");
    bench.emulator.change(|behaviour| behaviour.cache_b.bearer = true);
    let token = bench.emulator.access_token();
    assert!(told(&bench, &["login", "--root", "hub", "--password-stdin"], &token).status.success());
    let mount = bench.mount();
    opens(&bench, &mount);
    assert_eq!(credentials(&bench), [Some(Authorization::Bearer)]);
}

/// 10.12: public stores need no login and get none.
#[test]
fn mount_a_root_without_a_login() {
    let bench = bench();
    door(&bench, "credential = \"none\"");
    netrc(&bench, API_LOGIN, API_KEY);
    bench.emulator.change(|behaviour| behaviour.cache_b.public = true);
    let mount = bench.mount();
    opens(&bench, &mount);
    assert_eq!(credentials(&bench), [None]);
}

/// 8.7: each refusal of a host has its number and says the way out, for metadata and for chunks.
#[test]
fn mount_each_refusal_says_what_to_do() {
    let cases: [(&str, &str, &[i32], &str); 5] = [
        ("401", "", &[libc::EKEYREJECTED, libc::EKEYEXPIRED], "dcmsfs login"),
        ("403", "", &[libc::EACCES], "access-policy-upgrade"),
        ("404", "", &[libc::ENOENT], ""),
        ("429", "", &[libc::EDQUOT], "the quota is used up"),
        ("429", " retry-after=86400", &[libc::EDQUOT], "nothing is asked for the next"),
    ];
    for (status, more, numbers, hint) in cases {
        let bench = Bench::demo();
        let mount = bench.mount();
        let (store, name) = CHUNK.split_once("/t2m").unwrap();
        for path in [format!("{store}/.zmetadata"), format!("{store}/t2m{name}")] {
            bench.fault(&format!("/cacheb/{path} -> status code={status}{more}"));
            let error = errno(read(mount.path.join("cache-b").join(&path)));
            assert!(numbers.contains(&error), "{status} of {path}: {error}");
            let errors = fs::read_to_string(mount.path.join(".dcmsfs/errors")).unwrap();
            let log = mount.log();
            assert!(errors.contains(hint) || log.contains(hint), "{status}: {errors}\n{log}");
            bench.emulator.faults().clear();
            if ["404", "429"].contains(&status) {
                // Believed: nothing is asked again for some time.
                break;
            }
            until("it is over", || read(mount.path.join("cache-b").join(store).join(".zmetadata")).is_ok());
        }
    }
}
