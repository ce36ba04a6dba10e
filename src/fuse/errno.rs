//! The one table from what happened to the number that a program sees (contract.md 4.1).

use fuser::Errno;

use crate::error::ErrorKind;

/// The error number for `kind`. Every kind has a row; the compiler asks for a missing one.
pub(super) fn errno(kind: ErrorKind) -> Errno {
    match kind {
        ErrorKind::NotFound => Errno::ENOENT,
        ErrorKind::Changed | ErrorKind::LookAgain => Errno::ESTALE,
        ErrorKind::Corrupt | ErrorKind::Unavailable | ErrorKind::Internal => Errno::EIO,
        ErrorKind::Protocol => Errno::EPROTO,
        ErrorKind::TimedOut | ErrorKind::Busy => Errno::ETIMEDOUT,
        ErrorKind::Unreachable => Errno::EHOSTUNREACH,
        ErrorKind::LoginExpired => Errno::from_i32(libc::EKEYEXPIRED),
        ErrorKind::LoginRejected => Errno::from_i32(libc::EKEYREJECTED),
        ErrorKind::Forbidden => Errno::EACCES,
        ErrorKind::QuotaExceeded => Errno::EDQUOT,
        ErrorKind::Interrupted => Errno::EINTR,
        ErrorKind::OutOfMemory => Errno::ENOMEM,
        ErrorKind::InvalidInput | ErrorKind::Configuration => Errno::EINVAL,
        ErrorKind::NameTooLong => Errno::ENAMETOOLONG,
        ErrorKind::NotADirectory => Errno::ENOTDIR,
        ErrorKind::IsADirectory => Errno::EISDIR,
        ErrorKind::TooLarge => Errno::EFBIG,
        ErrorKind::NoAttribute => Errno::ENODATA,
    }
}
