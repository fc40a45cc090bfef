//! What every request passes before a handler sees it: an id, a line in the access log, a bound on
//! its head, its key, its project.

pub(crate) mod auth;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub(crate) mod head;
pub(crate) mod linger;
pub(crate) mod log;
pub(crate) mod project;
