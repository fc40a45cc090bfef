//! What follows from a count of what a session has on the disk.
//!
//! ```text
//!  within the limit ─▶ over it ──────▶ over it and the slack ───▶ still over both, and ─▶ the session ends:
//!                      guest refuses    guest kills what clients   - far over it at once,    disk_full
//!                                       started                    - growing by the slack, or
//!                                                                  - for a minute
//! ```

use std::time::Duration;

use browserd_protocol::DiskLimit;
use browserd_sandbox::usage::{Enough, Usage};
use tokio::time::Instant;

/// Most and least that may be written past the limit before processes are killed; an eighth of it
/// in between.
const SLACK: (u64, u64) = (64 << 20, 1 << 30);
/// Past the limit by more slacks than these nobody waits for anything once processes were killed: what
/// they have written may be all that there was, as with fallocate.
const FAR: u64 = 4;
/// How long the guest may take to kill what it is told to. It asks for a count when it has, and a count made before
/// that says nothing of what goes on.
const KILLED_WITHIN: Duration = Duration::from_secs(5);
/// How long a session may stay over its limit, so that its client can fetch and delete files.
const GRACE: Duration = Duration::from_secs(60);

/// The same with far too many files, or folders too deep to be counted, which may hide more: a program
/// that makes such a tree by mistake is also one that removes it.
const UNCOUNTED_GRACE: Duration = Duration::from_secs(10);

/// What a count leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Within,
    EndProcesses,
    EndSession(Cause),
}

/// Why a session ends for what it has on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Grown,
    Far,
    Late,
}

impl Cause {
    /// In words that go on after what there is.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Grown => "it went on writing after what clients had started was killed",
            Self::Far => {
                "it is far over it, and killing what clients had started did not change that"
            }
            Self::Late => {
                "it did not come below it in the minute after what clients had started was killed"
            }
        }
    }
}

/// Decides, count by count.
pub(super) struct Judge {
    limit: DiskLimit,
    pub(super) slack: Usage,
    /// Processes have been killed since the session was last within bounds.
    killed: Option<Killed>,
}

struct Killed {
    at: Instant,
    /// The guest's last question then.
    question: u64,
    /// What the first count after that found.
    first: Option<Usage>,
}

impl Judge {
    pub(super) fn new(limit: DiskLimit) -> Self {
        let bytes = (limit.bytes / 8).clamp(SLACK.0, SLACK.1);
        Self { limit, slack: Usage { bytes, files: limit.files / 4 }, killed: None }
    }

    /// The limit and so many slacks.
    fn bound(&self, slacks: u64) -> Usage {
        let Usage { bytes, files } = self.slack;
        Usage { bytes: self.limit.bytes, files: self.limit.files }.plus(Usage {
            bytes: bytes.saturating_mul(slacks),
            files: files.saturating_mul(slacks),
        })
    }

    /// Where counting may stop.
    pub(super) fn enough(&self) -> Enough {
        Enough { bytes: u64::MAX, files: self.bound(3).files }
    }

    /// Bytes until processes are killed.
    pub(super) fn left(&self, usage: Usage) -> u64 {
        self.bound(1).bytes.saturating_sub(usage.bytes)
    }

    /// Whether processes were killed after the last count.
    pub(super) fn has_just_killed(&self) -> bool {
        self.killed.as_ref().is_some_and(|killed| killed.first.is_none())
    }

    /// Judges a count made after the guest's question of this number.
    pub(super) fn judge(&mut self, usage: Usage, question: u64, now: Instant) -> Verdict {
        if usage.beyond(self.bound(1)) == Usage::default() {
            self.killed = None;
            return Verdict::Within;
        }
        let (far, enough, slack) = (self.bound(FAR), self.enough(), self.slack);
        let Some(killed) = &mut self.killed else {
            self.killed = Some(Killed { at: now, question, first: None });
            return Verdict::EndProcesses;
        };
        let is_done = killed.first.is_some() || question > killed.question;
        if !is_done && now.duration_since(killed.at) < KILLED_WITHIN {
            return Verdict::Within;
        }
        // What was written until they were dead is no reason, unless it is very much. Files are not
        // counted further than to `enough`.
        let first = *killed.first.get_or_insert(usage);
        let uncounted = usage.files > enough.files;
        if usage.bytes > far.bytes || uncounted && now.duration_since(killed.at) >= UNCOUNTED_GRACE
        {
            return Verdict::EndSession(Cause::Far);
        }
        if usage.bytes > first.bytes.saturating_add(slack.bytes) {
            return Verdict::EndSession(Cause::Grown);
        }
        if now.duration_since(killed.at) >= GRACE {
            return Verdict::EndSession(Cause::Late);
        }
        Verdict::Within
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn bytes(bytes: u64) -> Usage {
        Usage { bytes, files: 10 }
    }

    /// The verdict of a count that the guest has asked for.
    fn next(judge: &mut Judge, usage: Usage, now: Instant) -> Verdict {
        let question = judge.killed.as_ref().map_or(0, |killed| killed.question + 1);
        judge.judge(usage, question, now)
    }

    #[test]
    fn until_the_guest_has_killed_nothing_follows() {
        let mut judge = Judge::new(DiskLimit::of(256 * MIB).unwrap());
        let now = Instant::now();
        assert_eq!(judge.judge(bytes(330 * MIB), 7, now), Verdict::EndProcesses);
        for far in [400, 4000] {
            assert_eq!(judge.judge(bytes(far * MIB), 7, now), Verdict::Within);
            assert!(judge.has_just_killed());
        }
        assert_eq!(judge.judge(bytes(450 * MIB), 8, now), Verdict::Within);
        assert!(!judge.has_just_killed());
        // One that does not get to it is not waited for.
        let mut judge = Judge::new(DiskLimit::of(256 * MIB).unwrap());
        assert_eq!(judge.judge(bytes(330 * MIB), 7, now), Verdict::EndProcesses);
        let far = judge.judge(bytes(4000 * MIB), 7, now + KILLED_WITHIN);
        assert_eq!(far, Verdict::EndSession(Cause::Far));
    }

    #[test]
    fn first_processes_go_and_only_what_grows_on_ends_the_session() {
        let mut judge = Judge::new(DiskLimit::of(256 * MIB).unwrap());
        let now = Instant::now();
        assert_eq!(next(&mut judge, bytes(256 * MIB), now), Verdict::Within);
        assert_eq!(next(&mut judge, bytes(320 * MIB), now), Verdict::Within);
        assert_eq!(next(&mut judge, bytes(330 * MIB), now), Verdict::EndProcesses);
        assert!(judge.has_just_killed());
        // Whatever was written in between.
        assert_eq!(next(&mut judge, bytes(430 * MIB), now), Verdict::Within);
        assert!(!judge.has_just_killed());
        assert_eq!(next(&mut judge, bytes(494 * MIB), now), Verdict::Within);
        let grown = next(&mut judge, bytes(495 * MIB), now);
        assert_eq!(grown, Verdict::EndSession(Cause::Grown));
        // Something was deleted: it begins again.
        assert_eq!(next(&mut judge, bytes(100 * MIB), now), Verdict::Within);
        assert_eq!(next(&mut judge, bytes(330 * MIB), now), Verdict::EndProcesses);
    }

    #[test]
    fn what_was_taken_in_one_go_does_not_stay() {
        let mut judge = Judge::new(DiskLimit::of(400 * MIB).unwrap());
        let now = Instant::now();
        assert_eq!(next(&mut judge, bytes(2500 * MIB), now), Verdict::EndProcesses);
        let far = next(&mut judge, bytes(2500 * MIB), now);
        assert_eq!(far, Verdict::EndSession(Cause::Far));
    }

    #[test]
    fn who_stays_over_the_limit_has_a_minute() {
        let mut judge = Judge::new(DiskLimit::of(256 * MIB).unwrap());
        let now = Instant::now();
        assert_eq!(next(&mut judge, bytes(330 * MIB), now), Verdict::EndProcesses);
        assert_eq!(next(&mut judge, bytes(330 * MIB), now + GRACE / 2), Verdict::Within);
        let late = next(&mut judge, bytes(330 * MIB), now + GRACE);
        assert_eq!(late, Verdict::EndSession(Cause::Late));
    }

    #[test]
    fn many_files_are_too_much_as_well() {
        let limit = DiskLimit::of(64 * MIB).unwrap();
        let files = |files| Usage { bytes: 0, files };
        let now = Instant::now();
        let mut judge = Judge::new(limit);
        assert_eq!(next(&mut judge, files(limit.files), now), Verdict::Within);
        assert_eq!(next(&mut judge, files(limit.files * 5 / 4 + 1), now), Verdict::EndProcesses);
        assert_eq!(next(&mut judge, files(limit.files * 3 / 2), now), Verdict::Within);
        let more = files(judge.enough().files + 1);
        let later = now + UNCOUNTED_GRACE;
        assert_eq!(next(&mut judge, more, later), Verdict::EndSession(Cause::Far));
        // A deep tree that is removed in time is no reason.
        let mut judge = Judge::new(limit);
        assert_eq!(next(&mut judge, files(u64::MAX), now), Verdict::EndProcesses);
        assert_eq!(next(&mut judge, files(u64::MAX), now), Verdict::Within);
        assert_eq!(next(&mut judge, files(10), later), Verdict::Within);
        assert_eq!(next(&mut judge, files(u64::MAX), later), Verdict::EndProcesses);
        let last = next(&mut judge, files(u64::MAX), later + UNCOUNTED_GRACE);
        assert_eq!(last, Verdict::EndSession(Cause::Far));
    }

    #[test]
    fn without_a_limit_nothing_is_too_much() {
        let mut judge = Judge::new(DiskLimit::NONE);
        assert_eq!(next(&mut judge, files_and_bytes(u64::MAX), Instant::now()), Verdict::Within);
        assert_eq!(judge.left(bytes(0)), u64::MAX);
    }

    fn files_and_bytes(all: u64) -> Usage {
        Usage { bytes: all, files: all }
    }
}
