//! One Chromium: its arguments, its policies, the packed extensions it takes, how it says that it is
//! ready, and a thin client for its remote debugging pipe.
//!
//! Starts no process and serves no HTTP: the guest spawns Chromium and hands the pipe's ends here.

pub mod cdp;
pub mod devtools;
pub mod flags;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod locale;
pub mod packed;
pub mod policy;
