//! The guest's own limits.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises this process's own limit of open descriptors to the hard limit, and answers with what
/// programs are to get: the usual soft limit, whatever `serve` was started with or gave itself.
/// (Programs that use `select` break above it, and some close every number up to it.)
#[must_use]
pub fn raise_descriptor_limit() -> browserd_sandbox::child::Limit {
    let before = getrlimit(Resource::Nofile);
    let _ =
        setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum });
    let hard = before.maximum.unwrap_or(u64::MAX);
    browserd_sandbox::child::Limit { resource: NOFILE, soft: hard.min(SOFT), hard }
}

/// `RLIMIT_NOFILE` on every architecture this runs on.
const NOFILE: u32 = 7;
/// Open descriptors a program may have unless it raises its limit itself.
const SOFT: u64 = 1024;
