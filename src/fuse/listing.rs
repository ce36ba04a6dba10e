//! Directory listings in the kernel's form: `.` and `..` first, then the frozen entries by position.

use std::sync::Arc;

use fuser::{Errno, FileHandle, Request};

use super::Adapter;
use super::report::report;
use crate::error::ErrorKind;
use crate::filesystem::handles::OpenDirectory;
use crate::namespace::{Entry, Kind, Listing};
use crate::sys::caller::Caller;

/// A name as the kernel lists it.
pub(super) struct Listed {
    pub(super) inode: u64,
    pub(super) name: Arc<str>,
    pub(super) kind: Kind,
    /// `None` for `.` and `..`.
    pub(super) entry: Option<Entry>,
}

/// What follows cookie `offset`: each entry with the cookie of the next. `.` and `..` come first.
pub(super) fn entries(
    directory: &Arc<OpenDirectory>,
    listing: &Listing,
    offset: u64,
) -> impl Iterator<Item = (u64, Listed)> {
    let dot = |name: &str, inode| Listed { inode, name: name.into(), kind: Kind::Directory, entry: None };
    (offset..).map_while(move |position| {
        let listed = match position {
            0 => dot(".", directory.inode),
            1 => dot("..", directory.parent),
            _ => {
                let entry = listing.get(position - 2)?;
                let inode = directory.inode_of(&entry.name);
                Listed { inode, name: Arc::clone(&entry.name), kind: entry.kind, entry: Some(entry) }
            }
        };
        Some((position + 1, listed))
    })
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
