//! What the option parser takes, refuses and must never repeat or pass on.

use super::*;

fn one(string: &str) -> Result<Options, Failure> {
    parse(&[string], false)
}

#[test]
fn what_mount_writes_by_itself_is_accepted() {
    // Recorded from util-linux 2.38: plain, `user`, `users` and `user=NAME` lines of fstab.
    for string in
        ["rw", "ro", "rw,noexec,nosuid,nodev,user", "ro,noexec,nosuid,nodev,users", "rw,_netdev,nofail", ""]
    {
        assert_eq!(one(string).unwrap(), Options::default(), "{string}");
    }
    let named = one("rw,config=/etc/a b,user=alice,_netdev,nofail,exec,suid,dev").unwrap();
    assert_eq!(named.account.as_deref(), Some("alice"));
    assert_eq!(named.config, Some(PathBuf::from("/etc/a b")));
    assert!(!named.exec, "mount(8) wrote exec, not the administrator");
}

#[test]
fn our_options() {
    let options =
        one("uid=1000,gid=users,config=\"/etc/a,b.toml\",allow_other,nonempty,exec,log=debug").unwrap();
    assert_eq!(
        options,
        Options {
            account: Some("1000".into()),
            group: Some("users".into()),
            config: Some("/etc/a,b.toml".into()),
            log: Some("debug"),
            allow_other: true,
            nonempty: true,
            exec: true,
        }
    );
    assert_eq!(parse(&["uid=a", "uid=a,ro"], false).unwrap().account.as_deref(), Some("a"));
    one("x-systemd.automount,X-mount.mkdir,x-gvfs-show,comment=\"a,b\",x-y=\"c,allow_other\"").unwrap();
}

#[test]
fn refused() {
    for string in [
        "suid",
        "dev",
        "remount",
        "bogus",
        "uid",
        "uid=",
        "uid=-f",
        "uid=a b",
        "uid=a,uid=b",
        "uid=a,user=b",
        "gid=/x",
        "config=relative",
        "config=--fuse-fd=3",
        "config=/etc/../root/x",
        "config",
        "log=loud",
        "log=info --exec",
        "allow_other=yes",
        "allow_root",
        "auto_unmount",
        "env.LD_PRELOAD=/x",
        "command=login",
        "fd=3",
        "rootmode=40000",
        "user_id=0",
        "ro\nallow_other",
        "config=/etc/a\\,allow_other",
        "config=/a\"b",
        "comment=\"open",
        "x-a=\u{1b}[2J",
    ] {
        assert_eq!(one(string).expect_err(string).status(), 1, "{string}");
    }
    assert!(one(&"a,".repeat(4096)).is_err());
}

#[test]
fn sloppy_drops_the_unknown_but_never_the_dangerous() {
    assert_eq!(parse(&["bogus,other=1,uid=7"], true).unwrap().account.as_deref(), Some("7"));
    for string in ["suid", "dev", "password=x", "config=x", "a\\b", "remount"] {
        assert!(parse(&[string], true).is_err(), "{string}");
    }
}

#[test]
fn secrets_are_refused_and_never_repeated() {
    for name in [
        "password",
        "pass",
        "PASSWD",
        "token",
        "access_token",
        "client-secret",
        "credentials",
        "api_key",
        "key",
        "pw",
    ] {
        for sloppy in [false, true] {
            let failure = parse(&[&format!("{name}=hunter2canary")], sloppy).expect_err(name);
            let text = failure.to_string();
            assert!(text.contains("dcmsfs login"), "{text}");
            assert!(!text.contains("canary"), "{text}");
        }
    }
    for string in ["bogus=canary", "uid=can ary", "config=canary", "log=canary", "can/ary", "a,canary\\"] {
        let text = one(string).expect_err(string).to_string();
        assert!(!text.contains("canary") && !text.contains("can ary") && !text.contains("can/ary"), "{text}");
    }
}

/// Every string made of the pieces that matter to a parser. Whatever comes out, a value stays one value and
/// no option appears that no piece outside quotes named.
#[test]
fn no_mixture_of_pieces_smuggles_an_option() {
    const PIECES: &[&str] = &[
        "config=/etc/x",
        "uid=alice",
        "comment=",
        "x-a=",
        "allow_other",
        "exec",
        ",",
        "\"",
        "\\",
        "\n",
        "=",
        " ",
        "--fuse-fd=3",
        "-",
        "ro",
        "é",
    ];
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let mut accepted = 0;
    for _ in 0..200_000 {
        let count = next() % 8;
        let string: String =
            (0..count).map(|_| PIECES[usize::try_from(next()).unwrap_or(0) % PIECES.len()]).collect();
        let Ok(options) = one(&string) else { continue };
        accepted += 1;
        assert!(!string.contains(['\\', '\n']), "{string:?}");
        if let Some(path) = &options.config {
            let text = path.to_str().unwrap();
            assert!(text.starts_with("/etc/x") && !text.contains('"'), "{string:?}");
            assert!(string.contains(&format!("config={text}")), "{string:?}");
        }
        // Outside quotes the pieces between commas are the options; that is what must have been seen.
        let outside = string.split('"').step_by(2).collect::<Vec<_>>().join("\"");
        let named = |name: &str| outside.split(',').any(|part| part == name);
        assert_eq!(options.allow_other, named("allow_other"), "{string:?}");
        assert_eq!(options.exec, named("exec"), "{string:?}");
        assert_eq!(
            options.account.is_some(),
            outside.split(',').any(|part| part.starts_with("uid=")),
            "{string:?}"
        );
    }
    assert!(accepted > 1_000, "{accepted}");
}
