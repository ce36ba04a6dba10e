//! The cache on disk, by its command.

use std::fs::{self, File};
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use bytes::Bytes;
use dcmsfs::object::{ObjectId, Validator};
use dcmsfs::store::BLOCK;
use dcmsfs::store::disk::{Disk, DiskSettings};
use serde_json::Value;

use super::harness::{Bench, LIMIT, Setup, output_of, read, until, within};
use super::sys;

fn run(bench: &Bench, dir: &Path, args: &[&str]) -> Output {
    let mut command = bench.command();
    output_of(command.env("DCMSFS_CACHE__DIR", dir).arg("cache").args(args).spawn().unwrap())
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// All `data` files below.
fn data_files(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let below = folders.iter().flat_map(|folder| data_files(folder));
    files.into_iter().filter(|path| path.ends_with("data")).chain(below).collect()
}

/// 13.8: it can be listed, checked and cleared while a process uses it; names cannot steer the terminal.
#[test]
fn mount_cache_command() {
    let bench = Setup::default().logged_out();
    let dir = bench.home.path().join("cache");
    assert!(text(&run(&bench, &dir, &["ls"])).starts_with("0 objects"), "none is there yet");
    let settings = DiskSettings { dir: dir.clone(), size: 1 << 30, min_free: 0 };
    let disk = Disk::open(settings).unwrap();
    let version = Validator { etag: Some("\"1\"".into()), last_modified: None };
    let ids = ["https://h/a", "https://h/b\u{1b}[31m", "https://h/c"].map(|url| ObjectId::new("test", url));
    let store = || {
        for (count, id) in (1..).zip(&ids) {
            let entry = disk.entry(id, &version, None, 3 * BLOCK);
            assert!((0..count).all(|block| entry.put(block, Bytes::from(vec![7; BLOCK as usize]))));
        }
        assert!(disk.flush(Duration::from_secs(20)));
    };
    store();
    let listed = text(&run(&bench, &dir, &["ls"]));
    assert!(listed.contains("test https://h/b\u{fffd}[31m") && !listed.contains('\u{1b}'), "{listed:?}");
    let json: Value = serde_json::from_str(&text(&run(&bench, &dir, &["ls", "--json"]))).unwrap();
    let objects = json["objects"].as_array().unwrap();
    let c = objects.iter().find(|object| object["object"] == "test https://h/c").unwrap();
    assert_eq!(
        (objects.len(), c["stored"].as_u64(), c["complete"].as_bool()),
        (3, Some(3 * BLOCK), Some(true))
    );
    assert!(text(&run(&bench, &dir, &["verify"])).contains("3 objects are sound, 0 were damaged"));

    let file = data_files(&dir).pop().unwrap();
    let mut bytes = fs::read(&file).unwrap();
    bytes[5] ^= 1;
    fs::write(&file, bytes).unwrap();
    let output = run(&bench, &dir, &["verify"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("2 objects are sound, 1 were damaged"), "{said}");
    assert!(text(&run(&bench, &dir, &["verify"])).contains("2 objects are sound"));

    text(&run(&bench, &dir, &["clear"]));
    assert!(data_files(&dir).is_empty());
    // The process that uses it notices, and stores anew.
    until("it is stored again", || {
        store();
        data_files(&dir).len() == 3
    });
    assert!(text(&run(&bench, &dir, &["clear", "h/b"])).starts_with("1 objects removed"));
    assert_eq!(data_files(&dir).len(), 2);
    assert!(disk.used().bytes <= 16 << 20, "what was cleared is given back: {:?}", disk.used());
}

/// 13.7: a cache on the mount itself would wait for itself; it is refused without a look at it.
#[test]
fn mount_cache_on_the_mount_is_refused() {
    let bench = Bench::demo();
    let mount = bench.mount();
    let output = run(&bench, &mount.path.join("cache-a/x"), &["ls"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("lies on the mount"), "{said}");
    let refused = Disk::open(DiskSettings { dir: mount.path.join("cache"), size: 1, min_free: 0 });
    assert!(refused.err().unwrap().message().contains("lies on the mount"));
    // The same through a link.
    let link = bench.home.path().join("link");
    std::os::unix::fs::symlink(&mount.path, &link).unwrap();
    let refused = Disk::open(DiskSettings { dir: link, size: 1, min_free: 0 });
    assert!(refused.err().unwrap().message().contains("lies on the mount"));
    mount.end();
}

/// 13.9: what came faster than it could be written is written later, also of a file that a program keeps open.
#[test]
fn mount_what_the_disk_could_not_take_is_written_later() {
    let mut setup = Setup::synthetic(1);
    setup.tables = "[cache]\nmemory = \"256MiB\"\nmin_free = \"1MiB\"\n".into();
    let bench = setup.bench();
    let mount = bench.mount();
    let sample = bench.computed(&mount, "_B02_10m.jp2");
    assert!(sample.size > 80 << 20, "more than may wait to be written");
    let path = sample.path.clone();
    let kept_open = within(LIMIT, "open", move || File::open(path)).unwrap();
    // Who writes asks first how much room is left, and waits for it here.
    let usage = bench.home.path().join(".cache/dcmsfs/v1/usage");
    let usage = File::options().create(true).truncate(false).write(true).open(usage).unwrap();
    usage.lock().unwrap();
    assert!(read(&sample.path).is_ok_and(|bytes| bytes.len() as u64 == sample.size));
    let asked = bench.downloads();
    usage.unlock().unwrap();
    let attribute = |name| String::from_utf8(sys::attribute(&sample.path, name).unwrap()).unwrap();
    until("all of it is on the disk", || attribute("user.dcmsfs.complete") == "true");
    assert_eq!(bench.downloads(), asked, "nothing was fetched twice");
    drop(kept_open);
    mount.end();
}
