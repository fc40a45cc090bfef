//! What the kernel says about files, as refusals.

use browserd_api::ErrorCode;
use browserd_guest_session::disk;
use browserd_rest::Error;
use rustix::io::Errno;

/// The refusal for `errno`, met at `path`, which the client gave as `field`.
pub(crate) fn refuse(field: &str, path: impl std::fmt::Display, errno: Errno) -> Error {
    let here = |text: &str| Error::field(field, format!("{path} {text}"));
    match errno {
        Errno::NOENT => Error::new(ErrorCode::NotFound, format!("{field}: {path} is not there")),
        Errno::NOTDIR => here("leads through something that is not a folder"),
        Errno::LOOP => here("leads through too many links, or through a link of the kernel's own"),
        Errno::NAMETOOLONG => here("is too long; a name may have 255 bytes and a path 4095"),
        Errno::ISDIR => here("is a folder"),
        Errno::EXIST => here("exists already, and is of another kind"),
        Errno::NOTEMPTY => here("is a folder that is not empty"),
        Errno::BUSY => here("is in use by the system (a mount point)"),
        Errno::TXTBSY => here("is a program that is running"),
        Errno::INVAL => here("cannot be used like this"),
        Errno::NXIO | Errno::NODEV | Errno::OPNOTSUPP => here("is not a regular file"),
        Errno::ACCESS | Errno::PERM => Error::new(
            ErrorCode::Forbidden,
            format!("{field}: the session has no right to do this to {path}"),
        ),
        Errno::ROFS => Error::new(
            ErrorCode::Forbidden,
            format!("{field}: {path} is in a part of the session that is read-only"),
        ),
        Errno::NOSPC | Errno::DQUOT | Errno::FBIG => Error::new(
            ErrorCode::InsufficientStorage,
            format!("there is no room for {path}; nothing of it was kept, delete something first"),
        ),
        errno => Error::internal(format!("{field} {path}: {errno}")),
    }
}

/// As [`refuse`], of an error of the standard library.
pub fn refuse_io(field: &str, path: impl std::fmt::Display, error: &std::io::Error) -> Error {
    if let Some(full) = disk::full(error) {
        return full.refuse(path);
    }
    match Errno::from_io_error(error) {
        Some(errno) => refuse(field, path, errno),
        None => Error::internal(format!("{field} {path}: {error}")),
    }
}
