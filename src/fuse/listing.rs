//! Directory listings in the kernel's form: `.` and `..` first, then the frozen entries by position.

use std::sync::Arc;

use fuser::{Errno, FileHandle, Request};

use super::Adapter;
use super::report::report;
use crate::error::ErrorKind;
use crate::filesystem::handles::OpenDirectory;
use crate::namespace::{Entry, Listing};
use crate::sys::caller::Caller;

/// The cookie of the first entry after `.` and `..`.
const FIRST: u64 = 2;

/// A name as the kernel lists it.
pub(super) enum Listed {
    /// `.` or `..`, and its inode.
    Dots(&'static str, u64),
    /// What is in the directory.
    Named(Entry),
}

/// What follows cookie `offset`: each entry with the cookie of the next. `.` and `..` come first.
pub(super) fn entries(
    directory: &Arc<OpenDirectory>,
    listing: &Listing,
    offset: u64,
) -> impl Iterator<Item = (u64, Listed)> {
    (offset..).map_while(move |position| {
        let listed = match position {
            0 => Listed::Dots(".", directory.inode),
            1 => Listed::Dots("..", directory.parent),
            _ => Listed::Named(listing.get(position - FIRST)?),
        };
        Some((position + 1, listed))
    })
}

/// So many names at least are worth a message of their own: it takes about as long as the kernel takes for the inodes of
/// three or four names, and twice that when the processors are busy.
const WORTH_A_MESSAGE: u64 = 4;

/// The cookie before which an answer with attributes ends that begins at `offset`.
///
/// The kernel makes an inode for each entry of such an answer, also where nothing is known that it could believe, and asks
/// again for those. So it ends before what has only names: for what follows, the kernel mostly takes names alone.
/// Where it wants attributes even of those, it gets what there is.
pub(super) fn end_of_attributes(listing: &Listing, offset: u64) -> u64 {
    let end = FIRST + listing.bare();
    let is_worth_it = listing.len() - listing.bare() >= WORTH_A_MESSAGE;
    if offset < end && is_worth_it { end } else { u64::MAX }
}

impl Adapter {
    /// The directory of `handle` with its listing, made now or awaited.
    pub(super) fn with_listing(
        &self,
        request: &Request,
        handle: FileHandle,
        reply: impl FnOnce(std::result::Result<(Arc<OpenDirectory>, Listing), Errno>) + Send + 'static,
    ) {
        let directory = match self.filesystem.opened_directory(handle.0) {
            Ok(directory) => directory,
            Err(error) => return reply(Err(report(&error))),
        };
        if let Some(listing) = directory.listing_now().cloned() {
            return reply(Ok((directory, listing)));
        }
        let filesystem = self.filesystem.clone();
        let work = async move {
            match filesystem.listing(&directory).await {
                Ok(listing) => Ok((directory, listing)),
                // The C library takes ENOENT for the end of the list: the directory would look empty.
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    Err(error.reclassify(ErrorKind::Changed))
                }
                Err(error) => Err(error),
            }
        };
        self.answers.answer(Caller::of(request.pid()), work, reply);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespace::{Kind, Node};

    #[test]
    fn names_alone_are_told_without_attributes() {
        let node = |name: &str| Entry::of(name, Node::bytes("x", None));
        let bare = |name: &str| Entry::named(name, Kind::File);
        let mixed = vec![node("a"), bare("b"), node("c"), bare("d"), bare("e"), bare("f")];
        let listing = Listing::of(mixed.clone());
        assert_eq!(end_of_attributes(&listing, 0), u64::MAX, "three are not worth it");
        let listing = Listing::of(mixed).and(1, move |_| Some(bare("g")));
        assert_eq!((listing.bare(), listing.len()), (3, 7));
        // `.`, `..` and three more.
        assert_eq!([0, 1, 4].map(|offset| end_of_attributes(&listing, offset)), [5; 3]);
        assert_eq!([5, 6, 9].map(|offset| end_of_attributes(&listing, offset)), [u64::MAX; 3], "asked for");
        let listing = Listing::default().and(500_000, |_| None);
        assert_eq!(end_of_attributes(&listing, 0), FIRST);
        assert_eq!(end_of_attributes(&Listing::of(vec![node("a")]), 0), u64::MAX);
    }
}
