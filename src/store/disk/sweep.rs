//! Making room: the objects that were not used for longest go, down to nine tenths of what is allowed. Only one
//! daemon does so at a time, and only when there is no room; so nothing is ever looked through at the start.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::time::{Duration, SystemTime};

use tracing::debug;

use crate::store::BLOCK;
use crate::store::disk::Inner;
use crate::store::disk::format::{self, Block, ENTRY, Key};
use crate::store::disk::root::{LOCK, Root};
use crate::store::disk::space::{self, Usage};
use crate::sys::beneath::Access;
use crate::sys::files::{self, Wait};

/// Things in `tmp` that are older were left behind by a process that died.
const LEFT_BEHIND: Duration = Duration::from_secs(600);

/// An object that was found.
struct Found {
    key: Key,
    bytes: u64,
    used: SystemTime,
}

/// Makes room for `wanted` bytes, and counts anew what is taken; `false` when there cannot be room.
pub(super) fn make_room(disk: &Inner, root: &Root, wanted: u64) -> io::Result<bool> {
    let wanted = wanted.max(disk.space.lump);
    let _alone = root.lock(LOCK)?;
    let before = Usage::open(root)?.get()?;
    if before.is_some_and(|taken| taken.saturating_add(wanted) <= disk.space.limit)
        && root.top.free()? >= disk.space.min_free.saturating_add(wanted)
    {
        return Ok(true); // Another daemon has just made it.
    }
    forget_left_behind(root);
    let mut objects = scan(disk, root);
    objects.sort_unstable_by_key(|object| (object.used, object.key));
    let mut total: u64 = objects.iter().map(|object| object.bytes).sum();
    let reserved = disk.space.reserved(root)?;
    let target = target(disk, root, total, reserved, wanted)?;
    let (found, count) = (total, objects.len());
    for (index, object) in objects.iter().enumerate() {
        if total <= target {
            break;
        }
        // The last one may be larger than all that is allowed: then its oldest blocks go.
        let freed = (index + 1 == count).then(|| punch(disk, root, &object.key, total - target)).flatten();
        total = total.saturating_sub(freed.unwrap_or_else(|| evict(disk, root, object)));
    }
    forget_pointers(root);
    debug!("the disk cache made room: {found} bytes of {count} objects were there, {total} are");
    let mut usage = Usage::open(root)?;
    // What others took or gave back meanwhile is in neither figure.
    let meanwhile = usage.get()?.zip(before).map_or(0, |(now, before)| now.saturating_sub(before));
    let taken = total.saturating_add(reserved).saturating_add(meanwhile);
    usage.set(taken)?;
    Ok(taken.saturating_add(wanted) <= disk.space.limit
        && root.top.free()? >= disk.space.min_free.saturating_add(wanted))
}

/// How many bytes may stay.
fn target(disk: &Inner, root: &Root, total: u64, reserved: u64, wanted: u64) -> io::Result<u64> {
    let space = &disk.space;
    let free = root.top.free()?;
    let fits = total.saturating_add(reserved).saturating_add(wanted) <= space.limit;
    let by_limit = if fits { total } else { (space.limit / 10 * 9).saturating_sub(reserved) };
    let least = space.min_free.saturating_add(wanted);
    let by_free = if free >= least { total } else { total.saturating_sub(least - free + space.lump) };
    Ok(by_limit.min(by_free))
}

/// All objects; what is none is removed.
fn scan(disk: &Inner, root: &Root) -> Vec<Found> {
    let mut objects = Vec::new();
    for key in root.keys("objects", true) {
        let about = root.parent("objects", &key, false).and_then(|parent| {
            let object = parent.directory(&format::hex(&key))?;
            let (data, map) = (object.about("data")?, object.about("map")?);
            Ok((data.is_file && map.is_file).then(|| (space::taken(&object), map.modified)))
        });
        match about {
            Ok(Some((bytes, used))) => objects.push(Found { key, bytes, used }),
            // Removed by another process meanwhile, or damaged.
            _ => {
                if root.remove_object(&key).is_some() {
                    disk.count_damage(1, &format::hex(&key));
                }
            }
        }
    }
    objects
}

fn evict(disk: &Inner, root: &Root, object: &Found) -> u64 {
    if let Some(entry) = disk.registered(&object.key) {
        entry.reset();
    }
    if root.remove_object(&object.key).is_some() || root.parent("objects", &object.key, false).is_err() {
        object.bytes
    } else {
        0
    }
}

/// Makes holes where the oldest blocks of an object are, to free `bytes`. `None` when that cannot be: another
/// process uses it, it is complete, or the file system knows no holes. Then it has to go as a whole.
fn punch(disk: &Inner, root: &Root, key: &Key, bytes: u64) -> Option<u64> {
    let entry = disk.registered(key);
    // Nobody reads, and nobody opens it again, until the holes are there.
    let mut slot = entry.as_ref().map(|entry| entry.slot.write());
    if let Some(slot) = &mut slot {
        **slot = None;
    }
    let object = root.parent("objects", key, false).ok()?.directory(&format::hex(key)).ok()?;
    let before = space::taken(&object);
    let map = object.file("map", Access::Write).ok()?;
    let header = format::read_header(&map).ok()?.filter(|header| header.mark.is_none())?;
    let data = object.file("data", Access::Write).ok()?;
    if header.identity.key() != *key || !root.claim(&data) {
        return None;
    }
    let blocks = header.identity.blocks();
    let length = usize::try_from(blocks * ENTRY).ok()?;
    let table = files::read(&map, header.table, length, Wait::Allowed).ok()?;
    let mut stored: Vec<(u32, u64)> = (0..)
        .zip(table.chunks_exact(8))
        .filter_map(|(block, entry)| Some((Block::from_bytes(entry)?.order, block)))
        .collect();
    stored.sort_unstable();
    // Blocks that were written and not entered lie in between: all that is not kept goes.
    let surplus = usize::try_from(bytes.div_ceil(BLOCK)).unwrap_or(usize::MAX).min(stored.len());
    let kept: HashSet<u64> = stored.split_off(surplus).into_iter().map(|(_, block)| block).collect();
    for (_, block) in stored {
        files::write_all(&map, &[&[0; 8]], header.table + block * ENTRY).ok()?;
        if let Some(entry) = &entry {
            entry.forget(block);
        }
    }
    make_holes(&data, blocks, &kept).ok()?;
    Some(before.saturating_sub(space::taken(&object)))
}

/// Makes holes everywhere but at the blocks that are `kept`.
fn make_holes(data: &File, blocks: u64, kept: &HashSet<u64>) -> io::Result<()> {
    let mut begin = None;
    for block in 0..=blocks {
        let goes = block < blocks && !kept.contains(&block);
        match begin {
            None if goes => begin = Some(block),
            Some(first) if !goes => {
                files::punch(data, first * BLOCK, (block - first) * BLOCK)?;
                begin = None;
            }
            _ => {}
        }
    }
    Ok(())
}

fn forget_left_behind(root: &Root) {
    let Ok(tmp) = root.top.directory("tmp") else { return };
    for name in tmp.names().unwrap_or_default() {
        let modified = name.to_str().and_then(|name| Some(tmp.about(name).ok()?.modified));
        let age = modified.and_then(|time| SystemTime::now().duration_since(time).ok());
        if age.is_some_and(|age| age > LEFT_BEHIND) {
            let _ = tmp.remove_tree(OsStr::new(&name));
        }
    }
}

/// Removes pointers that lead nowhere.
fn forget_pointers(root: &Root) {
    let objects: HashSet<Key> = root.keys("objects", false).into_iter().collect();
    for name in root.keys("current", true) {
        let leads = |key: Key| {
            // It may have been made since.
            let again = || root.parent("objects", &key, false)?.directory(&format::hex(&key));
            objects.contains(&key) || again().is_ok()
        };
        if root.pointer(&name).is_ok_and(|key| !key.is_some_and(leads)) {
            root.drop_pointer(&name);
        }
    }
}
