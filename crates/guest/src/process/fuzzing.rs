//! The targets of this module.

pub(crate) use super::request::fuzzing::{exec_request, session_accounts};
pub(crate) use super::spool::fuzzing::spool_frames;
