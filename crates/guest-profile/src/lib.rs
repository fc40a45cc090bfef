//! What a client gives its browser and takes with it: profiles and extensions.
//!
//! Owns archives of profiles, applied to a running Chromium and saved at its end, and extensions
//! loaded into it. Starts no Chromium and stores nothing beyond the session: the server keeps what
//! outlives it.

pub mod extensions;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod profile;

pub use profile::{Profile, ProfileError};
