//! The session as everything in the guest sees it.
//!
//! Owns what every module of the guest needs and none has for itself: what the shim said of the
//! session, the one table of children, the line to the shim, what may still be written to the disk,
//! time zone and language, the wake locks, the environment programs start with, and the files of
//! /proc. Starts no program, serves no route, and knows no Chromium.

mod children;
pub mod disk;
pub mod environment;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod locale;
pub mod location;
pub mod procfs;
mod session;
mod shim;
pub mod wake_lock;

pub use children::{Child, Children, ExitStatus, TreeRoot};
pub use session::{Places, Session};
pub use shim::{Commands, ShimLine};
