//! Several processes on one directory, some of them killed. The processes are this program again, with the one
//! test that is not meant to be run by hand.

use std::process::{Child, Command, Stdio};

use super::room::on_disk;
use super::*;

const DIRECTORY: &str = "DCMSFS_TEST_DISK";
const SIZE: u64 = 8 << 20;
/// Objects of all processes, and their lengths.
const COUNT: u64 = 12;

fn length(number: u64) -> u64 {
    (number % 4 + 1) * 8 * BLOCK - number
}

fn child(dir: &Path, seed: u64) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "store::disk::tests::processes::works", "--ignored", "--nocapture"]);
    command.env(DIRECTORY, dir).env("DCMSFS_TEST_SEED", seed.to_string());
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Stores and reads random blocks until it is killed, or finds a wrong byte.
#[test]
#[ignore = "what the processes of other tests do"]
fn works() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    let mut seed: u64 = std::env::var("DCMSFS_TEST_SEED").unwrap().parse().unwrap();
    let mut roll = |sides: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % sides
    };
    let disk = Disk::with(sized(Path::new(&dir), SIZE), tuning()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(15);
    while Instant::now() < deadline {
        let number = roll(COUNT);
        let found = disk.find(&id(number));
        let entry = found.unwrap_or_else(|| disk.entry(&id(number), &version("v1"), None, length(number)));
        for _ in 0..20 {
            let first = roll(length(number).div_ceil(BLOCK));
            let end = (first + 1 + roll(4)).min(length(number).div_ceil(BLOCK));
            let range = ByteRange::new(first * BLOCK + roll(99), end * BLOCK).clamp_to(length(number));
            for found in [entry.read_now(range), entry.read(range)].into_iter().flatten() {
                let expected = &whole(number, "v1", length(number))[range.start as usize..range.end as usize];
                if found != expected || disk.used().corrupt > 0 {
                    std::fs::write(Path::new(&dir).join("WRONG"), format!("{number} {range}")).unwrap();
                    panic!("wrong bytes");
                }
            }
            put(&entry, number, "v1", first..end);
        }
    }
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// All that is there is right; how many blocks are.
fn survey(dir: &Path) -> u64 {
    assert!(!dir.join("WRONG").exists(), "a process has read wrong bytes");
    let disk = Disk::with(sized(dir, SIZE), tuning()).unwrap();
    let found = (0..COUNT).filter_map(|number| Some((number, disk.find(&id(number))?)));
    let held = found.map(|(number, entry)| check(&entry, number, "v1")).sum();
    assert_eq!(disk.used().corrupt, 0);
    held
}

#[test]
fn killed_at_any_time() {
    let dir = directory();
    let mut held = 0;
    for round in 0..40 {
        let child = child(dir.path(), round);
        wait(20 + round * 37 % 60);
        end(child);
        held += survey(dir.path());
    }
    assert!(held > 400, "{held} blocks survived 40 kills");
}

#[test]
fn four_share_the_directory_and_two_are_killed() {
    let dir = directory();
    let mut children: Vec<Child> = (0..4).map(|seed| child(dir.path(), 1000 + seed)).collect();
    let begun = Instant::now();
    let mut most = 0;
    // On a busy machine it takes longer until there is no room.
    let full = |most: u64, since: Duration| most > SIZE / 2 || since > Duration::from_secs(12);
    while begun.elapsed() < Duration::from_millis(3500) || !full(most, begun.elapsed()) {
        most = most.max(on_disk(dir.path()));
        if children.len() > 2 && begun.elapsed() > Duration::from_millis(1500) {
            children.drain(..2).for_each(end);
        }
        wait(3);
    }
    for mut child in children {
        assert!(child.try_wait().unwrap().is_none(), "a process has ended by itself");
        end(child);
    }
    assert!(most > SIZE / 2 && most <= SIZE, "{most} of {SIZE} bytes");
    assert!(survey(dir.path()) > 10);
}
