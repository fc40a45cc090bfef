//! Who we are, and how much room there is.

use super::{Check, Facts};

const GIB: u64 = 1 << 30;
const LEAST_DISK: u64 = GIB;
const GOOD_DISK: u64 = 5 * GIB;
const GOOD_MEMORY: u64 = 2 * GIB;

/// Bytes for people.
fn size(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) / GIB;
    format!("{}.{} GiB", tenths / 10, tenths % 10)
}

pub(super) fn identity(facts: &Facts) -> Check {
    const NAME: &str = "user";
    if facts.is_root {
        return Check::ok(
            NAME,
            "root: every session gets uids of its own, 65536 of them, without any power outside",
        );
    }
    Check::warn(
        NAME,
        "an ordinary user: all sessions run under this one uid. Namespaces still keep them apart; \
         inside there is one user only, so as_root is refused, and /usr is read-only",
        "to get uids of their own, run it as root: sudo browserd serve",
    )
}

pub(super) fn disk(facts: &Facts) -> Check {
    const NAME: &str = "disk";
    let folder = facts.disk.state_dir.display();
    if !facts.disk.writable {
        let fix = if facts.is_root {
            format!("choose a folder that can be written to: --state-dir DIR (now {folder})")
        } else {
            format!("sudo install -d -m 0700 -o \"$(id -u)\" -g \"$(id -g)\" {folder}")
        };
        return Check::fail(NAME, format!("{folder} cannot be written to"), fix);
    }
    let more_room = format!("free some space, or choose another place with --state-dir ({folder})");
    match facts.disk.free {
        Err(ref why) => Check::fail(NAME, format!("the space left is not known: {why}"), more_room),
        Ok(free) if free < LEAST_DISK => Check::fail(
            NAME,
            format!("{} left for {folder}; sessions need 1 GiB at the very least", size(free)),
            more_room,
        ),
        Ok(free) if free < GOOD_DISK => Check::warn(
            NAME,
            format!("{} left for {folder}; several sessions want 5 GiB and more", size(free)),
            more_room,
        ),
        Ok(free) => Check::ok(NAME, format!("{} left for {folder}", size(free))),
    }
}

/// What is kept free, and by whom.
pub(super) fn reserve(facts: &Facts) -> Check {
    const NAME: &str = "disk reserve";
    let Some(reserve) = facts.disk.reserve else {
        return Check::warn(
            NAME,
            "none: sessions may write until the host has nothing left",
            "set --disk-reserve-mib to what the server and the host are to keep",
        );
    };
    let kept = size(reserve.bytes());
    match facts.disk.free {
        Ok(free) if free < reserve.with_margin() => Check::warn(
            NAME,
            format!(
                "{kept} are kept free, and {} with the margin above them are not there: no session \
                 is made and nothing is written for clients",
                size(reserve.with_margin())
            ),
            "free some space, choose another place with --state-dir, or lower --disk-reserve-mib",
        ),
        _ => Check::ok(
            NAME,
            format!(
                "{kept} are kept free for the server and the host, watched by the server: with less \
                 than {} left, writes through the API are refused and the sessions that write most \
                 are stopped",
                size(reserve.with_margin())
            ),
        ),
    }
}

/// Merging of equal pages; nothing to check where it was not asked for.
pub(super) fn merging(facts: &Facts) -> Option<Check> {
    const NAME: &str = "ksm";
    let merging = facts.merging?;
    let leave_out = "leave out --ksm and its variable";
    Some(match merging {
        None => Check::fail(NAME, "this kernel cannot merge equal pages (no KSM)", leave_out),
        Some(_) if !facts.is_root => {
            Check::fail(NAME, "an ordinary user may not have equal pages merged", leave_out)
        }
        Some(false) => Check::warn(
            NAME,
            "equal pages are not merged: the kernel's own switch is off",
            facts.as_root("sh -c 'echo 1 > /sys/kernel/mm/ksm/run'"),
        ),
        Some(true) => Check::ok(
            NAME,
            "equal pages of memory are merged; who is in one session can measure which others have",
        ),
    })
}

pub(super) fn memory(facts: &Facts) -> Check {
    const NAME: &str = "memory";
    let (total, available) = (facts.memory.total, facts.memory.available);
    let standing_by = match facts.memory.swap {
        0 => "suspended sessions keep theirs, as there is no swap".to_owned(),
        swap => format!("that of suspended sessions goes to {} of swap", size(swap)),
    };
    let found = format!(
        "{} of {} available, at most {} sessions at once; {standing_by}",
        size(available),
        size(total),
        facts.max_sessions
    );
    if available < GOOD_MEMORY {
        return Check::warn(
            NAME,
            format!(
                "{found}: a headful session begins at half a GiB, and pages take what they like"
            ),
            "end other programs, add memory, or lower --max-sessions",
        );
    }
    Check::ok(NAME, found)
}
