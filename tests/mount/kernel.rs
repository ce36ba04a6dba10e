//! What the kernel's calls answer on this mount: nothing can be changed, everything else works.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Uid;

use super::harness::{Bench, LIMIT, Mount, Sample, Setup, until, within};
use super::sys::{self, attribute, attributes, call, directory};

fn bench() -> (Bench, Mount, Sample) {
    let bench = Bench::demo();
    let mount = bench.mount();
    let sample = bench.sample(&mount, "_B02_10m.jp2");
    (bench, mount, sample)
}

/// 2.1: the answers to all that would write, and to what looks like it and does not.
#[test]
fn mount_read_only_matrix() {
    let (_bench, _mount, sample) = bench();
    let wrong = within(LIMIT * 2, "the matrix", move || matrix(&sample.path));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What was answered in another way than promised.
fn matrix(file: &Path) -> Vec<String> {
    let folder = file.parent().unwrap();
    let (new, below) = (folder.join("new"), folder.parent().unwrap());
    let open = |path: &Path, flags: i32| call::open(path, flags).map(drop);
    let reading = File::open(file).unwrap();
    let directory = File::open(folder).unwrap();
    let (ro, excl) = (libc::EROFS, libc::O_CREAT | libc::O_EXCL);
    let rows: Vec<(&str, i32, io::Result<()>)> = vec![
        ("open O_WRONLY", ro, open(file, libc::O_WRONLY)),
        ("open O_RDWR", ro, open(file, libc::O_RDWR)),
        ("open O_TRUNC", ro, open(file, libc::O_RDONLY | libc::O_TRUNC)),
        ("open O_WRONLY|O_APPEND", ro, open(file, libc::O_WRONLY | libc::O_APPEND)),
        ("create", ro, open(&new, libc::O_WRONLY | libc::O_CREAT)),
        ("create O_RDONLY", ro, open(&new, libc::O_RDONLY | libc::O_CREAT)),
        ("create O_EXCL", ro, open(&new, libc::O_WRONLY | excl)),
        ("O_TMPFILE", ro, open(folder, libc::O_RDWR | libc::O_TMPFILE)),
        ("truncate", ro, call::truncate(file)),
        ("mkdir", ro, call::mkdir(&new)),
        ("rmdir", ro, call::rmdir(folder)),
        ("rmdir of nothing", ro, call::rmdir(&new)),
        ("unlink", ro, call::unlink(file)),
        ("unlink of nothing", ro, call::unlink(&new)),
        ("rename", ro, call::rename(file, &new)),
        ("rename of a directory", ro, call::rename(folder, &below.join("new"))),
        ("rename of nothing", ro, call::rename(&new, &folder.join("newer"))),
        ("link", ro, call::link(file, &new)),
        ("symlink", ro, call::symlink("x", &new)),
        ("mkfifo", ro, call::mkfifo(&new)),
        ("mknod", ro, call::mknod(&new)),
        ("chmod", ro, call::chmod(file)),
        ("chmod of a directory", ro, call::chmod(folder)),
        ("fchmod", ro, call::fchmod(&reading)),
        ("chown", ro, call::chown(file)),
        ("lchown", ro, call::lchown(file)),
        ("fchown", ro, call::fchown(&reading)),
        ("utimensat", ro, call::utimensat(file)),
        ("futimens", ro, call::futimens(&reading)),
        ("setxattr", ro, call::setxattr(file)),
        ("setxattr of a directory", ro, call::setxattr(folder)),
        ("removexattr", ro, call::removexattr(file)),
        ("access W_OK", ro, call::access(file, libc::W_OK)),
        ("access W_OK of a directory", ro, call::access(folder, libc::W_OK)),
        ("bind", ro, std::env::set_current_dir(folder).and_then(|()| call::bind("socket"))),
        ("create O_EXCL of what exists", libc::EEXIST, open(file, libc::O_WRONLY | excl)),
        ("mkdir of what exists", libc::EEXIST, call::mkdir(folder)),
        ("mkdir of a file that exists", libc::EEXIST, call::mkdir(file)),
        ("symlink where a name exists", libc::EEXIST, call::symlink("x", file)),
        ("mknod where a name exists", libc::EEXIST, call::mknod(file)),
        ("link where a name exists", libc::EEXIST, call::link(file, file)),
        ("ftruncate", libc::EINVAL, call::ftruncate(&reading)),
        ("write", libc::EBADF, call::write(&reading)),
        ("fallocate", libc::EBADF, call::fallocate(&reading)),
        ("shared writable mapping", libc::EACCES, call::map_shared_writable(&reading)),
        ("directory O_RDWR", libc::EISDIR, open(folder, libc::O_RDWR)),
        ("file O_DIRECTORY", libc::ENOTDIR, open(file, libc::O_RDONLY | libc::O_DIRECTORY)),
        ("a name below a file", libc::ENOTDIR, open(&file.join("x"), libc::O_RDONLY)),
        ("unknown ioctl", libc::ENOTTY, call::ioctl(&reading)),
        ("read of a directory", libc::EISDIR, call::read(&directory)),
        ("execution", libc::EACCES, call::access(file, libc::X_OK)),
        ("O_RDONLY|O_CREAT of what exists", 0, open(file, libc::O_RDONLY | libc::O_CREAT)),
        ("fsync", 0, reading.sync_all()),
        ("fdatasync", 0, reading.sync_data()),
        ("fsync of a directory", 0, directory.sync_all()),
        ("flock", 0, call::flock(&reading)),
        ("fcntl read lock", 0, call::read_lock(&reading)),
        ("SEEK_DATA", 0, call::seek(&reading, libc::SEEK_DATA)),
        ("SEEK_HOLE", 0, call::seek(&reading, libc::SEEK_HOLE)),
        ("access R_OK", 0, call::access(file, libc::R_OK)),
        ("access F_OK", 0, call::access(file, libc::F_OK)),
    ];
    assert!(rows.len() >= 49);
    let wrong = rows.into_iter().filter_map(|(what, expected, result)| {
        let found = result.err().map_or(0, |error| error.raw_os_error().unwrap_or(-1));
        (found != expected).then(|| {
            let name = |number| io::Error::from_raw_os_error(number).to_string();
            format!("{what}: {} instead of {}", name(found), name(expected))
        })
    });
    wrong.collect()
}

/// 2.2: constant modes, one owner, and the flags of the mount.
#[test]
fn mount_modes_and_owner() {
    let (_bench, mount, sample) = bench();
    let (file, folder) = (sample.path.clone(), sample.path.parent().unwrap().to_owned());
    let (file, folder, root) = within(LIMIT, "stat", {
        let root = mount.path.clone();
        move || (fs::metadata(file).unwrap(), fs::metadata(folder).unwrap(), fs::metadata(root).unwrap())
    });
    assert_eq!(file.mode(), libc::S_IFREG | 0o400);
    assert_eq!(folder.mode(), libc::S_IFDIR | 0o500);
    assert_eq!(root.mode(), libc::S_IFDIR | 0o500);
    let me = fs::metadata("/proc/self").unwrap();
    assert_eq!((file.uid(), file.gid()), (me.uid(), me.gid()));
    assert_eq!(file.dev(), root.dev());
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let line = table.lines().find(|line| line.split(' ').nth(4) == mount.path.to_str()).unwrap();
    for flag in ["ro", "nosuid", "nodev", "noexec"] {
        assert!(line.split(' ').nth(5).unwrap().split(',').any(|one| one == flag), "{flag}: {line}");
    }
    assert!(line.contains("fuse.dcmsfs"), "{line}");
}

/// The kernel reads ahead as far as the configuration says, and not at all differently where that is empty.
#[test]
fn mount_read_ahead_is_as_configured() {
    for (line, expected) in [("", 512), ("read_ahead = \"1MiB\"", 1024), ("read_ahead = \"\"", 128)] {
        let setup = Setup { tables: format!("[mount]\n{line}\n"), ..Setup::default() };
        let bench = setup.bench();
        let mount = bench.mount();
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let fields = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let ours = table.lines().map(fields).find(|fields| Some(fields[4].as_str()) == mount.path.to_str());
        let file = format!("/sys/class/bdi/{}/read_ahead_kb", ours.unwrap()[2]);
        let expected = if Uid::effective().is_root() { expected } else { 128 };
        // The mount answers a moment before it is set.
        until("read-ahead", || fs::read_to_string(&file).unwrap().trim() == expected.to_string());
    }
}

/// 5.4: what the kernel has been told once it does not ask again: names, sizes, and that a name is missing.
#[test]
fn mount_what_is_known_needs_no_daemon() {
    let (_bench, mount, sample) = bench();
    let folder = sample.path.parent().unwrap().to_owned();
    let ask = move || {
        let listed = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let mut paths: Vec<_> = listed.collect();
        paths.push(folder.join("missing"));
        paths
    };
    let look = |paths: Vec<std::path::PathBuf>| {
        paths.iter().map(|path| fs::metadata(path).map(|data| data.len()).ok()).collect::<Vec<_>>()
    };
    let paths = within(LIMIT, "listing", ask);
    assert!(paths.len() > 3);
    let first = within(LIMIT, "stat", {
        let paths = paths.clone();
        move || look(paths)
    });
    mount.signal(Signal::SIGSTOP);
    let second = thread::spawn(move || look(paths));
    // Not `within`: the daemon must go on, whatever comes of it.
    let deadline = Instant::now() + LIMIT;
    while !second.is_finished() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
    let in_time = second.is_finished();
    mount.signal(Signal::SIGCONT);
    assert_eq!(second.join().unwrap(), first);
    assert!(in_time, "the kernel asked the daemon again");
    assert_eq!(first.last(), Some(&None));
}

/// 2.3: `statfs` shows a size, that nothing is free, that it is read-only, and the longest name.
#[test]
fn mount_statfs_is_sane() {
    let (_bench, mount, sample) = bench();
    for path in [mount.path.clone(), sample.path] {
        let found = within(LIMIT, "statvfs", move || nix::sys::statvfs::statvfs(&path).unwrap());
        assert!(found.block_size() >= 512 && found.fragment_size() >= 512 && found.blocks() > 0);
        assert_eq!((found.blocks_free(), found.blocks_available()), (0, 0));
        assert_eq!(found.name_max(), 255);
        assert!(found.flags().contains(nix::sys::statvfs::FsFlags::ST_RDONLY));
    }
}

/// 3.2: a name of 255 bytes does not exist, one of 256 is too long, in every kind of directory.
#[test]
fn mount_a_long_name_is_refused() {
    let (_bench, mount, sample) = bench();
    let store = "cache-b/d1-climate-dt/demo-climate-sfc-v0.zarr";
    let directories = [
        mount.path.clone(),
        mount.path.join("cache-a"),
        mount.path.join("cache-a/SENTINEL-2/by-date"),
        mount.path.join("cache-a/SENTINEL-2/by-date/2024/09/24"),
        mount.path.join("cache-a/SENTINEL-2/by-id"),
        sample.path.parent().unwrap().to_owned(),
        mount.path.join(store),
        mount.path.join(store).join("t2m"),
    ];
    for directory in directories {
        for (length, expected) in [(255, libc::ENOENT), (256, libc::ENAMETOOLONG), (1000, libc::ENAMETOOLONG)]
        {
            let path = directory.join("n.".repeat(length / 2) + &"n".repeat(length % 2));
            let shown = directory.display().to_string();
            let found = within(LIMIT, "stat", move || fs::metadata(path).unwrap_err().raw_os_error());
            assert_eq!(found, Some(expected), "{length} bytes in {shown}");
        }
    }
}

/// 7.1, 7.2: what attributes there are, how they are asked for, and that nobody is asked for them.
#[test]
fn mount_extended_attributes() {
    let (bench, mount, sample) = bench();
    let store = mount.path.join("cache-b/d1-climate-dt/demo-climate-sfc-v0.zarr/t2m");
    within(LIMIT, "attributes", move || {
        let folder = sample.path.ancestors().find(|path| path.extension().is_some_and(|e| e == "SAFE"));
        let folder = folder.unwrap().to_owned();
        fs::metadata(&sample.path).unwrap();
        fs::metadata(&store).unwrap();
        bench.emulator.journal().reset();
        let names = attributes(&sample.path).unwrap();
        assert!(names.iter().any(|name| name == "user.stac.href"), "{names:?}");
        assert!(names.iter().any(|name| name == "user.stac.type"), "{names:?}");
        assert_eq!(attribute(&sample.path, "user.stac.type").unwrap(), b"image/jp2");
        let names = attributes(&folder).unwrap();
        assert!(names.iter().any(|name| name.starts_with("user.stac.") && name.len() > 12), "{names:?}");
        assert_eq!(attribute(&store, "user.zarr.shape").unwrap(), b"[240,64,128]");
        assert_eq!(attribute(&store, "user.zarr.chunks").unwrap(), b"[24,32,64]");
        // One such answer is enough for `ls` to ask no more for the rest of a listing.
        for name in ["security.selinux", "system.posix_acl_access", "system.posix_acl_default", "trusted.x"] {
            let error = attribute(&sample.path, name).unwrap_err().raw_os_error();
            assert_eq!(error, Some(libc::EOPNOTSUPP), "{name}");
        }
        assert_eq!(attribute(&sample.path, "user.none").unwrap_err().raw_os_error(), Some(libc::ENODATA));
        // How long it is, and a buffer that is too small.
        assert_eq!(sys::attribute_into(&sample.path, "user.stac.type", 0).unwrap(), 9);
        let error = sys::attribute_into(&sample.path, "user.stac.type", 4).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ERANGE));
        assert_eq!(sys::attributes_into(&sample.path, 3).unwrap_err().raw_os_error(), Some(libc::ERANGE));
        assert!(bench.emulator.journal().snapshot().entries.is_empty());
    });
}

/// 5.1: a file has one number, in listings and in `stat`, also after the kernel has forgotten it.
#[test]
fn mount_inode_numbers_are_stable() {
    let (_bench, _mount, sample) = bench();
    let folder = sample.path.parent().unwrap().to_owned();
    within(LIMIT, "numbers", move || {
        let listed = directory::list(&folder, 100_000).unwrap();
        assert!(listed.len() > 3);
        for entry in listed.iter().filter(|entry| !entry.name.starts_with('.')) {
            assert_eq!(fs::metadata(folder.join(&entry.name)).unwrap().ino(), entry.inode, "{}", entry.name);
        }
        // 2 drops the names and inodes that nobody uses.
        let _ = fs::write("/proc/sys/vm/drop_caches", "2");
        assert_eq!(directory::list(&folder, 100_000).unwrap(), listed);
        let own = listed.iter().find(|entry| entry.name == ".").unwrap().inode;
        assert_eq!(fs::metadata(&folder).unwrap().ino(), own);
    });
}

/// 5.3: all times of a product are its observation's.
#[test]
fn mount_times_are_the_observations() {
    let (_bench, _mount, sample) = bench();
    let found = within(LIMIT, "stat", move || fs::metadata(&sample.path).unwrap());
    // 2024-09-24T10:10:31Z; published nine hours later.
    assert_eq!(found.mtime(), 1_727_172_631);
    assert_eq!((found.atime(), found.ctime()), (found.mtime(), found.mtime() + 9 * 3600));
}

/// 2.1: a file that is opened with every harmless flag reads as ever.
#[test]
fn mount_harmless_flags() {
    let (bench, _mount, sample) = bench();
    let expected = bench.expect(&sample);
    for flags in [libc::O_NOATIME, libc::O_NOFOLLOW, libc::O_NONBLOCK, libc::O_CLOEXEC, libc::O_SYNC] {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(flags);
        let mut file = options.open(&sample.path).unwrap();
        let found = within(LIMIT, "reading", move || {
            let mut found = Vec::new();
            io::Read::read_to_end(&mut file, &mut found).unwrap();
            found
        });
        assert_eq!(found.len(), expected.len(), "flags {flags:o}");
    }
}
