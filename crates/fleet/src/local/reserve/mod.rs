//! The reserve of the host's disk, kept against what runs inside sessions.
//!
//! Owns looking at the file system and stopping who writes most when little is left ([`decide`](mod@decide)). What
//! clients ask for is refused before that, by the guest, by admission and by the blobs.
//!
//! ```text
//!  room ─────▶ near ──▶ every session is counted ──▶ the biggest writer is stopped ──▶ settles ─┐
//!   ▲            ▲                                                                              │
//!   └────────────┴──────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! What is between two looks can be used up by who allocates without writing (fallocate): the reserve is
//! then touched until that session has ended, about a second.

mod decide;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use browserd_api::browser::EndReason;
use browserd_protocol::DiskReserve;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, timeout};

use self::decide::{Step, Writer, decide, least};
use super::instance::Command;

/// Least and most between two looks: the less is left, the sooner.
const LOOK: (Duration, Duration) = (Duration::from_millis(25), Duration::from_millis(500));
/// What the fastest writer writes in a millisecond: 2 GiB a second.
const FASTEST: u64 = (2 << 30) / 1000;
/// How long counts are waited for before it is decided with those that are there.
const COUNTED_WITHIN: Duration = Duration::from_millis(300);
/// How long what was done may take to show.
const SETTLES: Duration = Duration::from_millis(200);
/// How long a session that ends may take to free what it had, before others are looked at.
const FREED_WITHIN: Duration = Duration::from_secs(5);

/// Keeps the reserve of one file system. Cheap to clone.
#[derive(Clone)]
pub(super) struct Keeper(Arc<Inner>);

struct Inner {
    reserve: DiskReserve,
    /// A folder on the file system.
    folder: PathBuf,
    sessions: Mutex<BTreeMap<u64, Session>>,
    /// Told of a session that came, or was counted.
    changed: Notify,
    begun: OnceLock<()>,
}

struct Session {
    name: String,
    writer: Writer,
    commands: mpsc::Sender<Command>,
    /// It has not answered the last question.
    is_asked: bool,
    ending_since: Option<Instant>,
}

impl Session {
    /// Whether it ends; none: it has been ending for so long that nobody waits for it.
    fn is_ending(&self) -> Option<bool> {
        match self.ending_since {
            None => Some(false),
            Some(since) => (since.elapsed() < FREED_WITHIN).then_some(true),
        }
    }
}

/// How long a file system may be left alone on which so much may be written.
fn pause(left: u64) -> Duration {
    Duration::from_millis(left / FASTEST).clamp(LOOK.0, LOOK.1)
}

/// A session the keeper knows, until this is dropped.
pub(super) struct Kept {
    keeper: Weak<Inner>,
    number: u64,
}

impl Kept {
    /// Takes a count of what the session has on the disk.
    pub(super) fn counted(&self, bytes: u64) {
        let Some(keeper) = self.keeper.upgrade() else { return };
        if let Some(session) = keeper.sessions.lock().get_mut(&self.number) {
            session.writer.counted(bytes);
            session.is_asked = false;
        }
        keeper.changed.notify_one();
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.upgrade() {
            keeper.sessions.lock().remove(&self.number);
            keeper.changed.notify_one();
        }
    }
}

impl Keeper {
    pub(super) fn new(reserve: DiskReserve, folder: PathBuf) -> Self {
        Self(Arc::new(Inner {
            reserve,
            folder,
            sessions: Mutex::default(),
            changed: Notify::new(),
            begun: OnceLock::new(),
        }))
    }

    /// Takes a session in, which is told by `commands`. The first one begins the watch.
    pub(super) fn keep(&self, name: &str, commands: mpsc::Sender<Command>) -> Kept {
        self.0.begun.get_or_init(|| drop(tokio::spawn(watch(Arc::downgrade(&self.0)))));
        let mut sessions = self.0.sessions.lock();
        let number = sessions.last_key_value().map_or(0, |(last, _)| last + 1);
        let session = Session {
            name: name.to_owned(),
            writer: Writer::default(),
            commands,
            is_asked: false,
            ending_since: None,
        };
        sessions.insert(number, session);
        drop(sessions);
        self.0.changed.notify_one();
        Kept { keeper: Arc::downgrade(&self.0), number }
    }
}

/// Watches as long as there is a keeper.
async fn watch(keeper: Weak<Inner>) {
    let mut last = Last::default();
    while let Some(keeper) = keeper.upgrade() {
        let pause = keeper.look(&mut last).await;
        drop(keeper);
        sleep(pause).await;
    }
}

/// What came of the last look.
#[derive(Default)]
struct Last {
    /// There may soon be little, and sessions were counted for it.
    is_near: bool,
    /// What was available when there was little.
    available: Option<u64>,
    /// Something was done, which may not have been enough.
    is_unsettled: bool,
}

impl Inner {
    /// Looks at the file system and does what is to be done; answers when it is to be looked at again.
    async fn look(&self, last: &mut Last) -> Duration {
        if self.sessions.lock().is_empty() {
            let _ = timeout(LOOK.1, self.changed.notified()).await;
            return Duration::ZERO;
        }
        let Some(available) = super::host::available(&self.folder) else { return LOOK.1 };
        let kept = self.reserve.with_margin();
        if available >= kept {
            // From here on what sessions write is put down to them.
            let calm = kept.saturating_add(self.reserve.margin());
            if available >= calm {
                self.sessions.lock().values_mut().for_each(|session| session.writer.calm());
            }
            let is_near = available < calm.saturating_add(self.reserve.margin());
            if is_near && !last.is_near {
                self.ask();
            }
            *last = Last { is_near, ..Last::default() };
            return pause(available - kept);
        }
        let is_falling = |available: u64| {
            last.available.is_none_or(|was| available.saturating_add(least(self.reserve)) <= was)
        };
        if !last.is_unsettled && !is_falling(available) {
            return pause(available.saturating_sub(self.reserve.bytes()));
        }
        self.ask();
        let _ = timeout(COUNTED_WITHIN, self.answered()).await;
        let available = super::host::available(&self.folder).unwrap_or(available);
        let step = self.decide(available, is_falling(available));
        self.act(step, available);
        let is_unsettled = step != Step::Nothing || self.is_freeing();
        *last = Last { is_near: true, available: Some(available), is_unsettled };
        SETTLES
    }

    /// Whether what an ending session had may yet become free.
    fn is_freeing(&self) -> bool {
        self.sessions.lock().values().any(|session| session.is_ending() == Some(true))
    }

    /// Has every session counted that can be asked.
    fn ask(&self) {
        for session in self.sessions.lock().values_mut() {
            session.is_asked = session.commands.try_send(Command::MeasureDisk).is_ok();
        }
    }

    async fn answered(&self) {
        while self.sessions.lock().values().any(|session| session.is_asked) {
            self.changed.notified().await;
        }
    }

    fn decide(&self, available: u64, is_falling: bool) -> Step<u64> {
        let sessions = self.sessions.lock();
        let writers = sessions.iter().filter_map(|(number, session)| {
            let ending = session.is_ending()?;
            Some((*number, Writer { ending, ..session.writer.clone() }))
        });
        decide(self.reserve, available, is_falling, writers)
    }

    fn act(&self, step: Step<u64>, available: u64) {
        let (number, end) = match step {
            Step::Nothing => return,
            Step::EndProcesses(number) => (number, false),
            Step::EndSession(number) => (number, true),
        };
        let mut sessions = self.sessions.lock();
        let Some(session) = sessions.get_mut(&number) else { return };
        let why = format!(
            "the host's disk has {available} bytes left and keeps {} of them free, and this session wrote \
             most of late: {} bytes",
            self.reserve.bytes(),
            session.writer.grown()
        );
        let command = match end {
            false => Command::EndProcesses(why.clone()),
            true => Command::End(EndReason::DiskFull, why.clone()),
        };
        // One that takes no commands is asked again, and others are looked at meanwhile.
        let is_told = session.commands.try_send(command).is_ok();
        let name = &session.name;
        match end {
            false => {
                session.writer.killed = is_told.then_some(None);
                tracing::warn!(
                    session = name,
                    is_told,
                    why,
                    "the reserve of the disk is near; what clients started in a session is killed"
                );
            }
            true => {
                session.ending_since = is_told.then(Instant::now);
                tracing::warn!(
                    session = name,
                    is_told,
                    why,
                    "the reserve of the disk is near; a session is ended"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the sessions of a test are told.
    struct Told(mpsc::Receiver<Command>);

    impl Told {
        async fn measure(&mut self) {
            assert!(matches!(self.0.recv().await, Some(Command::MeasureDisk)));
        }
    }

    fn session(keeper: &Keeper, name: &str) -> (Kept, Told) {
        let (commands, told) = mpsc::channel(2);
        (keeper.keep(name, commands), Told(told))
    }

    /// A disk that has nothing left, which no test can make otherwise.
    fn full(folder: &tempfile::TempDir) -> Keeper {
        Keeper::new(DiskReserve::of(1 << 62).unwrap(), folder.path().to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn who_writes_is_stopped_and_then_ended_and_others_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let keeper = full(&folder);
        let gib = 1 << 30;
        let (quiet, mut quiet_told) = session(&keeper, "quiet");
        let (writer, mut told) = session(&keeper, "writer");
        quiet.counted(0);
        writer.counted(gib);
        for round in 0..2 {
            quiet_told.measure().await;
            quiet.counted(gib / 64);
            told.measure().await;
            writer.counted(2 * gib);
            match told.0.recv().await {
                Some(Command::EndProcesses(why)) if round == 0 => assert!(why.contains("wrote")),
                Some(Command::End(EndReason::DiskFull, why)) if round == 1 => {
                    assert!(why.contains("keeps"));
                }
                _ => panic!("in round {round}"),
            }
        }
        // What it had is awaited, and then nobody is left who writes.
        assert!(keeper.0.is_freeing());
        drop(writer);
        assert!(!keeper.0.is_freeing());
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_answers_nothing_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let keeper = full(&folder);
        let (_silent, _told) = session(&keeper, "silent");
        let (writer, mut told) = session(&keeper, "writer");
        writer.counted(0);
        told.measure().await;
        writer.counted(1 << 40);
        assert!(matches!(told.0.recv().await, Some(Command::EndProcesses(_))));
    }
}
