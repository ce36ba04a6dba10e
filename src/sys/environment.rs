//! Secrets that the process was started with: in its environment, or behind a descriptor.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};

use zeroize::Zeroizing;

/// Takes a variable out: its value, if it is text. The place where `/proc/<pid>/environ` shows it is
/// overwritten, and programs that are started later do not inherit it.
///
/// Must be called while there is one thread only.
#[expect(unsafe_code, reason = "the environment is memory that belongs to the whole process")]
pub fn take(name: &str) -> Option<Zeroizing<String>> {
    let wanted = CString::new(name).ok()?;
    // SAFETY: no other thread exists (the caller's duty), so nobody else reads or changes the environment. The
    // C library gives null or a string that ends; its bytes are the process's own and may be written. The pointer
    // is not used after the variable is removed.
    unsafe {
        let found = libc::getenv(wanted.as_ptr());
        if found.is_null() {
            return None;
        }
        let bytes = Zeroizing::new(CStr::from_ptr(found).to_bytes().to_vec());
        std::ptr::write_bytes(found, 0, bytes.len());
        std::env::remove_var(name);
        std::str::from_utf8(&bytes).ok().map(|text| Zeroizing::new(text.to_owned()))
    }
}

/// Another handle to an inherited descriptor; the number itself stays as it was.
///
/// # Errors
/// If it is not open.
#[expect(unsafe_code, reason = "a number from the command line")]
pub fn descriptor(number: RawFd) -> io::Result<File> {
    if number < 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: not -1, and borrowed for the one call only, which fails if it is not open. By its link in /proc it
    // could not be opened if it belongs to another user, as with sudo.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    borrowed.try_clone_to_owned().map(File::from)
}
