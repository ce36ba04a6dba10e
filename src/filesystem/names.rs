//! What the kernel has kept of the names of a directory, so that it is told to drop them when the directory shows others.
//!
//! The kernel keeps one list for each directory. A handle that may keep names puts what it reads into that list, however
//! late it reads; so while one is open, handles with another edition keep nothing.

/// What the kernel may keep of the names that are read through a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nothing, and what it has is wrong.
    Nothing,
    /// What is read; what it has is of another edition.
    New,
    /// What it has.
    Old,
}

/// The list that the kernel has of a directory.
#[derive(Debug, Default)]
pub(super) struct Names {
    edition: u64,
    /// Whether what the kernel has can only be of this edition.
    valid: bool,
    /// Handles that put names into it.
    open: u32,
}

impl Names {
    /// A handle is opened for a directory that shows this edition; `None`: what it shows may change at any time.
    pub(super) fn open(&mut self, edition: Option<u64>) -> Keep {
        let Some(edition) = edition.filter(|edition| self.open == 0 || *edition == self.edition) else {
            self.valid = false;
            return Keep::Nothing;
        };
        let keep = if self.valid && self.edition == edition { Keep::Old } else { Keep::New };
        *self = Self { edition, valid: true, open: self.open + 1 };
        keep
    }

    /// A handle that kept names is closed.
    pub(super) fn close(&mut self) {
        self.open = self.open.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_while_the_edition_stays() {
        let mut names = Names::default();
        assert_eq!(names.open(Some(7)), Keep::New);
        assert_eq!(names.open(Some(7)), Keep::Old);
        names.close();
        names.close();
        assert_eq!((names.open(Some(7)), names.open(Some(7))), (Keep::Old, Keep::Old));
    }

    #[test]
    fn a_new_edition_drops_the_old_names_and_late_readers_cannot_bring_them_back() {
        let mut names = Names::default();
        names.open(Some(1));
        assert_eq!(names.open(Some(2)), Keep::Nothing, "a handle of the first may still read");
        assert_eq!(names.open(None), Keep::Nothing);
        names.close();
        assert_eq!(names.open(Some(2)), Keep::New);
        names.close();
        assert_eq!(names.open(Some(2)), Keep::Old);
        names.close();
        assert_eq!((names.open(None), names.open(Some(2))), (Keep::Nothing, Keep::New));
    }
}
