//! Logging in and out as people and service managers do, beside running mounts.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use dcms_emulator::accounts::{OTP, OTP_USER, PASSWORD, TERMS_USER, USER};
use dcms_emulator::behaviour::LoginPage;
use dcms_emulator::journal::Endpoint;
use nix::pty::openpty;

use super::harness::{Bench, Mount, PRODUCT, Setup, errno, output_of, read, until};
use super::sys::attribute;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn said(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

fn logout(bench: &Bench) -> Output {
    let mut command = bench.command();
    output_of(command.args(["logout", "--config"]).arg(bench.config()).spawn().unwrap())
}

fn account(mount: &Mount, name: &str) -> serde_json::Value {
    let status = mount.status();
    status["accounts"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone()
}

fn kept(bench: &Bench) -> PathBuf {
    bench.home.path().join("credentials.toml")
}

/// What is asked, and the answer to it.
type Question<'a> = (&'a str, &'a dyn Fn(&str) -> String);

/// A conversation on a terminal: each answer is given when the text before it has appeared. An answer is made from
/// what has been said so far.
fn talk(bench: &Bench, arguments: &[&str], answers: &[Question]) -> (Output, String) {
    let pty = openpty(None, None).unwrap();
    let end = |pty: &OwnedFd| Stdio::from(pty.try_clone().unwrap());
    let mut command = bench.command();
    command.args(arguments).arg("--config").arg(bench.config());
    command.stdin(end(&pty.slave)).stdout(end(&pty.slave)).stderr(end(&pty.slave));
    let child = command.spawn().unwrap();
    drop((command, pty.slave));
    let mut terminal = File::from(pty.master);
    let (mut seen, mut from) = (String::new(), 0);
    for (prompt, answer) in answers {
        while !seen[from..].contains(prompt) {
            let mut buffer = [0; 4096];
            let length = terminal.read(&mut buffer).unwrap_or_else(|error| panic!("{error} after: {seen}"));
            seen += &text(&buffer[..length]);
        }
        let line = answer(&seen[from..]);
        from = seen.len();
        writeln!(terminal, "{line}").unwrap();
    }
    let rest = std::thread::spawn(move || {
        let mut rest = Vec::new();
        // The end of a terminal whose other side is gone is an error.
        let _ = terminal.read_to_end(&mut rest);
        rest
    });
    let output = output_of(child);
    (output, seen + &text(&rest.join().unwrap()))
}

/// A browser as far as a login needs one: it fills the form in, keeps cookies, and stops where it is sent elsewhere.
fn browse(jar: &RefCell<String>, address: &str) -> String {
    let exchange = |method: &str, address: &str, body: &str| {
        let rest = address.strip_prefix("http://").unwrap();
        let (host, target) = rest.split_once('/').unwrap();
        let mut stream = std::net::TcpStream::connect(host).unwrap();
        write!(
            stream,
            "{method} /{target} HTTP/1.1\r\nHost: {host}\r\nCookie: {}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            jar.borrow(),
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        for line in answer.lines().filter(|line| line.to_ascii_lowercase().starts_with("set-cookie: ")) {
            let cookie = line[12..].split(';').next().unwrap();
            jar.borrow_mut().push_str(&format!("{cookie}; "));
        }
        let location = answer.lines().find(|line| line.to_ascii_lowercase().starts_with("location: "));
        (location.map(|line| line[10..].trim().to_owned()), answer)
    };
    let (sent, page) = exchange("GET", address, "");
    sent.unwrap_or_else(|| {
        let form = &page[page.rfind("action=\"").unwrap() + 8..];
        let action = form[..form.find('"').unwrap()].replace("&amp;", "&");
        exchange("POST", &action, &format!("username={USER}&password={PASSWORD}")).0.unwrap()
    })
}

/// 10.5: a mount that runs uses a new login at once and forgets one within two seconds; what is cached stays readable.
#[test]
fn mount_a_login_and_a_logout_count_at_once() {
    let bench = Setup::default().logged_out();
    let mount = bench.mount();
    let samples = bench.samples(&mount, PRODUCT);
    assert_eq!(errno(read(&samples[0].path)), libc::EKEYEXPIRED);
    let reason = text(&attribute(&samples[0].path, "user.dcmsfs.last_error").unwrap());
    assert!(reason.contains("run `dcmsfs login`"), "{reason}");
    let chunk = mount.path.join("cache-b/d1-climate-dt/demo-climate-sfc-v0.zarr/.zmetadata");
    assert_eq!(errno(read(&chunk)), libc::EKEYEXPIRED);
    let folder = mount.path.join("cache-b/d1-climate-dt");
    let reason = text(&attribute(&folder, "user.dcmsfs.last_error").unwrap());
    assert!(reason.contains("`dcmsfs login`"), "what cannot be looked up tells at its directory: {reason}");
    let errors = text(&read(mount.path.join(".dcmsfs/errors")).unwrap());
    assert!(errors.contains("Key has expired") && errors.contains("`dcmsfs login`"), "{errors}");

    assert!(bench.login(USER, PASSWORD).status.success());
    // The same file: other failures are remembered for two seconds.
    assert!(read(&samples[0].path).is_ok() && read(&chunk).is_ok());
    assert_eq!(account(&mount, "cache-a")["user"], USER);
    assert!(attribute(&folder, "user.dcmsfs.last_error").is_err(), "mended");

    let output = logout(&bench);
    assert!(output.status.success() && said(&output).contains("were revoked"), "{}", said(&output));
    let begun = Instant::now();
    until("the mount forgets", || account(&mount, "cache-a")["state"] == "missing");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(account(&mount, "cache-b")["state"], "missing");
    bench.emulator.journal().reset();
    // Some have come along with the first ones.
    let refused = samples.iter().filter(|sample| errno(read(&sample.path)) == libc::EKEYEXPIRED).count();
    assert!(refused > 0, "every file can be read without a login");
    assert!(read(&samples[0].path).is_ok(), "what is cached stays readable");
    let sent = bench.emulator.journal().snapshot();
    assert!(
        sent.entries.iter().all(|entry| entry.authorization.is_none()),
        "nothing is sent with the old token"
    );
    mount.end();
}

/// 10.6: a logout revokes both tokens at the provider; without the provider it forgets all the same.
#[test]
fn login_a_logout_revokes_and_never_fails_for_the_provider() {
    let bench = Bench::demo();
    assert!(logout(&bench).status.success());
    assert_eq!(bench.emulator.journal().requests(Endpoint::Revocation), 2);
    assert!(!kept(&bench).exists());
    assert!(said(&logout(&bench)).contains("no login"));
    for (rule, words) in [
        ("/.well-known -> status code=503", "not revoked"),
        ("/.well-known -> html", "not revoked"),
        ("/.well-known -> status code=404", "no revocation"),
    ] {
        assert!(bench.login(USER, PASSWORD).status.success());
        bench.fault(rule);
        let output = logout(&bench);
        assert!(output.status.success() && said(&output).contains(words), "{rule}: {}", said(&output));
        assert!(!kept(&bench).exists());
        bench.emulator.faults().clear();
    }
}

/// 10.7: the name, the password (not shown) and the one-time code are asked for on the terminal, the code once for
/// both services.
#[test]
fn login_on_a_terminal_asks_for_a_code_once() {
    let bench = Setup::default().logged_out();
    let (output, seen) = talk(
        &bench,
        &["login"],
        &[
            ("user name: ", &|_| OTP_USER.into()),
            ("Password: ", &|_| PASSWORD.into()),
            ("One-time code for demo-2fa: ", &|_| "000000".into()),
            ("Invalid authenticator code. One-time code for demo-2fa: ", &|_| OTP.into()),
        ],
    );
    assert!(output.status.success(), "{seen}");
    assert!(
        seen.contains("logged in as demo-2fa") && !seen.contains(PASSWORD) && !seen.contains(OTP),
        "{seen}"
    );
    assert!(!seen.contains(": :"), "{seen}");
    assert_eq!(bench.emulator.journal().failed_logins(), 1);
    // The password by standard input, in a session without a terminal: the code cannot be asked for, and nothing is kept.
    fs::remove_file(kept(&bench)).unwrap();
    let output = bench.login(OTP_USER, PASSWORD);
    assert!(!output.status.success() && said(&output).contains("one-time code"), "{}", said(&output));
    assert!(!kept(&bench).exists());
}

/// 10.7: with a browser, the address that it ends at is pasted; no password is asked for.
#[test]
fn login_by_browser_takes_the_pasted_address() {
    let bench = Setup::default().logged_out();
    let jar = RefCell::new(String::new());
    let visit = |said: &str| {
        let address =
            said.split_whitespace().find(|word| word.starts_with("http://127.0.0.1")).unwrap().to_owned();
        browse(&jar, &address)
    };
    let (output, seen) =
        talk(&bench, &["login", "--browser"], &[("Address: ", &visit), ("Address: ", &visit)]);
    assert!(output.status.success() && seen.contains("kept in"), "{seen}");
    let mount = bench.mount();
    let samples = bench.samples(&mount, PRODUCT);
    assert!(read(&samples[0].path).is_ok());
    assert!(read(mount.path.join("cache-b/d1-climate-dt/demo-climate-sfc-v0.zarr/.zmetadata")).is_ok());
    mount.end();
}

/// 10.7: scripts give the password by a descriptor, service managers by their credentials; the environment warns.
#[test]
fn login_without_a_terminal() {
    let bench = Setup::default().logged_out();
    let credentials = bench.home.path().join("credentials");
    fs::create_dir(&credentials).unwrap();
    fs::write(credentials.join("dcmsfs.user"), format!("{USER}\n")).unwrap();
    fs::write(credentials.join("dcmsfs.password"), format!("{PASSWORD}\n")).unwrap();
    let by = |change: &dyn Fn(&mut std::process::Command)| {
        let _ = fs::remove_file(kept(&bench));
        let mut command = bench.command();
        command.args(["login", "--config"]).arg(bench.config());
        change(&mut command);
        let output = output_of(command.spawn().unwrap());
        assert!(!said(&output).contains(PASSWORD));
        assert_eq!(output.status.success(), kept(&bench).exists());
        output
    };
    let output = by(&|command| {
        command.env("CREDENTIALS_DIRECTORY", &credentials);
    });
    assert!(output.status.success() && output.stderr.is_empty(), "{}", said(&output));
    let output = by(&|command| {
        command.env("DESPAUTH_USER", USER).env("DESPAUTH_PASSWORD", PASSWORD);
    });
    assert!(output.status.success() && said(&output).contains("other processes"), "{}", said(&output));
    let output = by(&|command| {
        let file = File::open(credentials.join("dcmsfs.password")).unwrap();
        command.args(["--user", USER, "--password-fd", "0"]).stdin(file);
    });
    assert!(output.status.success(), "{}", said(&output));
    for (arguments, words) in [
        (&["--user", USER, "--password-fd", "77"][..], "descriptor 77"),
        (&["--user", USER], "--password-stdin"),
        (&["--browser"], "terminal"),
        (&["--user", USER, "--password-stdin"], "empty"),
    ] {
        let output = by(&|command| {
            command.args(arguments);
        });
        assert!(
            !output.status.success() && said(&output).contains(words),
            "{arguments:?}: {}",
            said(&output)
        );
    }
    for (page, words) in [
        (LoginPage::Unexpected, "does not understand"),
        (LoginPage::Hostile, "leads away"),
        (LoginPage::Down, "503"),
    ] {
        bench.emulator.change(|behaviour| behaviour.login.page = page);
        let output = by(&|command| {
            command.env("CREDENTIALS_DIRECTORY", &credentials);
        });
        assert!(!output.status.success() && said(&output).contains(words), "{page:?}: {}", said(&output));
    }
    bench.emulator.change(|behaviour| behaviour.login.page = LoginPage::Normal);
    let output = bench.login(TERMS_USER, PASSWORD);
    assert!(said(&output).contains("http://") && said(&output).contains("terms"), "{}", said(&output));
    assert_eq!(bench.emulator.journal().leaks(), 0);
}

/// 10.7: when the provider lets one of the two services in only, that one's tokens are kept and the other is told; a
/// wrong password is given once.
#[test]
fn login_keeps_what_one_service_gave() {
    let bench = Setup::default().logged_out();
    for (rule, lost, kept_part) in [
        ("/auth?client_id=edh-public -> status code=400", "Cache-B", "[cache_a]"),
        ("/auth?client_id=dcms_client -> status code=400", "Cache-A", "[cache_b]"),
    ] {
        let _ = fs::remove_file(kept(&bench));
        bench.fault(rule);
        let output = bench.login(USER, PASSWORD);
        bench.emulator.faults().clear();
        assert!(!output.status.success() && said(&output).contains(lost), "{rule}: {}", said(&output));
        let text = fs::read_to_string(kept(&bench)).unwrap();
        assert!(text.contains(kept_part) && text.matches("[cache_").count() == 1, "{rule}");
    }
    bench.emulator.journal().reset();
    assert!(!bench.login(USER, "wrong").status.success());
    assert_eq!(bench.emulator.journal().requests(Endpoint::LoginForm), 1);
}

/// 10.8: a mount that was given the account logs in by itself, once, and hands the password to nobody: neither
/// `/proc` nor the credentials file has it.
#[test]
fn mount_logs_in_with_the_account_it_was_given() {
    let bench = Setup::default().logged_out();
    let credentials = bench.home.path().join("credentials");
    fs::create_dir(&credentials).unwrap();
    fs::write(credentials.join("dcmsfs.user"), USER).unwrap();
    fs::write(credentials.join("dcmsfs.password"), PASSWORD).unwrap();
    let mounts = [
        bench.mount_with("one", &[("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap())]),
        bench.mount_with("two", &[("DESPAUTH_USER", USER), ("DESPAUTH_PASSWORD", PASSWORD)]),
    ];
    for mount in &mounts {
        until("it is logged in", || account(mount, "cache-a")["state"] == "logged-in");
        assert!(read(&bench.samples(mount, PRODUCT)[0].path).is_ok());
        assert!(read(mount.path.join("cache-b/d1-climate-dt/demo-climate-sfc-v0.zarr/.zmetadata")).is_ok());
        let environment = fs::read(format!("/proc/{}/environ", mount.child.id())).unwrap();
        assert!(!text(&environment).contains(PASSWORD), "the environment is wiped");
        assert!(!mount.log().contains(PASSWORD));
    }
    let forms = bench.emulator.journal().requests(Endpoint::LoginForm);
    assert_eq!(forms, 1, "the second found the first one's tokens in the file");
    let kept = fs::read_to_string(kept(&bench)).unwrap();
    assert!(!kept.contains(PASSWORD) && kept.contains("[cache_b]"));
    mounts.into_iter().for_each(Mount::end);
}

/// 10.11: a day before a login ends for good, the log says so once; `status` shows the end before, with and without a
/// mount.
#[test]
fn mount_tells_a_day_ahead_that_the_login_ends() {
    let mut setup = Setup::default();
    // Some seconds more than a day.
    setup.options.behaviour.login.refresh_lifetime = 86_400 + 6;
    let bench = setup.bench();
    let mount = bench.mount();
    assert!(account(&mount, "cache-a")["until"].is_string());
    assert!(!mount.log().contains("the login ends"), "not yet");
    until("it is told", || mount.log().contains("the login ends"));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(mount.log().matches("the login ends").count(), 1);
    mount.end();
    let mut command = bench.command();
    let output = output_of(command.args(["status", "--config"]).arg(bench.config()).spawn().unwrap());
    let said = said(&output);
    // Mounts of others may be there.
    assert!(said.contains("process") || said.contains("account: logged in as demo until "), "{said}");
}

/// 10.4: two mounts that renew all the time and people who log in, each a process of its own, at a provider whose refresh
/// tokens work once: none is used twice, none is lost. `credentials::tests` does the same a thousand times in one process.
#[test]
fn mount_processes_that_race_for_a_token_lose_none() {
    let mut setup = Setup::default();
    setup.options.behaviour.login.access_lifetime = 2;
    setup.options.behaviour.login.rotate = true;
    let bench = setup.bench();
    let mounts = [bench.mount_at("one"), bench.mount_at("two")];
    let begun = Instant::now();
    let mut logins = 0;
    while begun.elapsed() < Duration::from_secs(10) {
        let output = bench.login(USER, PASSWORD);
        assert!(output.status.success(), "{}", said(&output));
        logins += 1;
        // Long enough for the mounts to renew what this one brought, now and then.
        std::thread::sleep(Duration::from_millis(if logins % 8 == 0 { 2500 } else { 20 }));
    }
    for mount in &mounts {
        assert_eq!(account(mount, "cache-a")["state"], "logged-in", "{}", mount.log());
        assert!(read(&bench.samples(mount, PRODUCT)[0].path).is_ok());
    }
    let journal = bench.emulator.journal();
    let asked = journal.snapshot().entries.into_iter().filter(|entry| entry.endpoint == Endpoint::Token);
    assert!(asked.clone().all(|entry| entry.status == Some(200)), "a refresh token was used twice");
    assert!(journal.refreshes() > 2 && logins > 8, "{} renewals, {logins} logins", journal.refreshes());
    mounts.into_iter().for_each(Mount::end);
}
