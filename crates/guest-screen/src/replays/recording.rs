//! One recording, from its first frame to its finished file.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use browserd_api::Timestamp;
use browserd_api::replays::ReplayEndReason;
use browserd_guest_session::ExitStatus;
use browserd_guest_session::disk::Full;
use browserd_protocol::replay::{Ended, Order};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::encoder::{self, Encoder, Encoding};
use super::writer::Writer;
use super::{Replays, audio, file};
use crate::Stop;

/// How long the first frame may take.
const FIRST_FRAME_WITHIN: Duration = Duration::from_secs(15);
/// How long an encoder may take to write out what it has.
const END_WITHIN: Duration = Duration::from_secs(15);
/// Capacity of the encoder's input, bytes, as far as the kernel allows.
const PIPE: usize = 1 << 20;
/// A writer's stack, bytes: it calls nothing deep.
const STACK: usize = 256 * 1024;
/// Less free space than this is none, bytes.
const DISK_FULL: u64 = 1 << 20;
/// `SIGXFSZ`: the file reached its hard limit.
const FILE_TOO_LARGE: i32 = 25;

/// Why there is no recording.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error("this host has no ffmpeg, which recordings need; install it (Debian: ffmpeg)")]
    NoEncoder,
    #[error(transparent)]
    Audio(#[from] audio::NoAudio),
    #[error("there was no picture of the screen within {} s", FIRST_FRAME_WITHIN.as_secs())]
    NoPicture,
    #[error("the session's disk is full")]
    Full(Full),
    #[error("the recording could not be started: {0}")]
    Io(#[from] io::Error),
}

/// A recording.
pub(super) struct Recording {
    /// When its first frame was taken.
    pub(super) started_at: Timestamp,
    /// Its file.
    pub(super) path: PathBuf,
    asked: CancellationToken,
    ended: watch::Receiver<Option<Ended>>,
}

impl Recording {
    /// Ends it, if it has not ended.
    pub(super) fn stop(&self) {
        self.asked.cancel();
    }

    /// How it ended, once its file is whole.
    pub(super) async fn ended(&self) -> Option<Ended> {
        self.ended.clone().wait_for(Option::is_some).await.ok().and_then(|ended| ended.clone())
    }

    /// Whether its file is whole.
    pub(super) fn is_over(&self) -> bool {
        self.ended.borrow().is_some()
    }
}

/// Starts a recording; answers when its first frame has been taken.
pub(super) async fn start(replays: &Replays, order: Order) -> Result<Arc<Recording>, StartError> {
    let session = &replays.session;
    if session.spec.programs.ffmpeg.is_none() {
        return Err(StartError::NoEncoder);
    }
    session.disk.admit(DISK_FULL, 1).await.map_err(StartError::Full)?;
    let sound = match order.record_audio {
        true => Some(replays.audio.server().await?),
        false => None,
    };
    let mut tap = replays.screen.tap(order.framerate);
    // Should this request be given up, so is the look.
    let given_up = CancellationToken::new();
    let wake = WakeOnDrop(Some(tap.stop(given_up.clone())));
    let look = tokio::task::spawn_blocking(move || {
        let first = tap.next(Instant::now() + FIRST_FRAME_WITHIN, &given_up);
        (tap, first)
    });
    let (tap, first) = look.await.map_err(io::Error::other)?;
    wake.disarm();
    let first = first.ok_or(StartError::NoPicture)?;
    let (zero, started_at) = (Instant::now(), Timestamp::now());

    let folder = file::folder(session)?;
    let path = file::path(&folder, &order.replay_id);
    let output = file::create(session, &path)?;
    let logs = replays.browser.logs();
    let (theirs, input) = pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from)?;
    // A frame in fewer pieces; smaller is fine.
    let _ = fcntl_setpipe_size(&input, PIPE);
    let from = u64::try_from(started_at.as_micros() / 1000).unwrap_or(0);
    let encoding = Encoding {
        size: (first.width, first.height),
        limit: order.limit_bytes,
        sound: sound.map(|server| (server, from)),
    };
    let name = format!("replay-{}", order.replay_id);
    let encoder = encoding.start(session, logs, &name, theirs, &output).inspect_err(|_| {
        let _ = std::fs::remove_file(&path);
    })?;

    let (asked, writer_asked) = (CancellationToken::new(), CancellationToken::new());
    let stop = tap.stop(writer_asked.clone());
    let ended_at = Arc::new(OnceLock::new());
    let writer = Writer {
        tap,
        first,
        zero,
        from: if sound.is_some() { from } else { 0 },
        input,
        asked: writer_asked,
        ended_at: Arc::clone(&ended_at),
    };
    let (written, fed) = oneshot::channel();
    std::thread::Builder::new().name("recording".into()).stack_size(STACK).spawn(move || {
        let _ = written.send(writer.run());
    })?;

    let (publish, ended) = watch::channel(None);
    let recording = Arc::new(Recording { started_at, path, asked: asked.clone(), ended });
    let deadline = order.max_duration_in_seconds.map(Duration::from_secs);
    let task = Task {
        replays: replays.clone(),
        name,
        path: recording.path.clone(),
        output,
        limit: order.limit_bytes,
        has_sound: sound.is_some(),
        deadline: deadline.map(|duration| tokio::time::Instant::from_std(zero + duration)),
        asked,
        ended_at,
        stop,
        fed,
    };
    tokio::spawn(async move {
        publish.send_replace(Some(task.attend(encoder).await));
    });
    Ok(recording)
}

/// Ends a capture of the screen that is no longer waited for.
struct WakeOnDrop(Option<Stop>);

impl WakeOnDrop {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for WakeOnDrop {
    fn drop(&mut self) {
        if let Some(stop) = self.0.take() {
            stop.now();
        }
    }
}

/// What attends a recording to its end.
struct Task {
    replays: Replays,
    name: String,
    path: PathBuf,
    output: File,
    limit: u64,
    has_sound: bool,
    deadline: Option<tokio::time::Instant>,
    asked: CancellationToken,
    /// For the writer: when the recording ended.
    ended_at: Arc<OnceLock<Instant>>,
    /// Ends the writer.
    stop: Stop,
    /// The writer's end.
    fed: oneshot::Receiver<io::Result<()>>,
}

impl Task {
    async fn attend(mut self, mut encoder: Encoder) -> Ended {
        let late = async {
            match self.deadline {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let reason = tokio::select! {
            biased;
            status = encoder.wait() => self.why(&status),
            () = self.asked.cancelled() => ReplayEndReason::Stopped,
            () = late => ReplayEndReason::MaxDuration,
            () = self.replays.session.disk.over() => ReplayEndReason::DiskLimit,
        };
        let finished_at = Timestamp::now();
        let _ = self.ended_at.set(Instant::now());
        self.stop.now();
        let session = Arc::clone(&self.replays.session);
        let end = async {
            let _ = (&mut self.fed).await;
            if self.has_sound {
                // The sound has no end by itself.
                encoder.interrupt(&session);
            }
            encoder.wait().await
        };
        if tokio::time::timeout(END_WITHIN, end).await.is_err() {
            tracing::warn!(
                recording = self.name,
                "the recording's encoder did not end in time and is killed"
            );
        }
        encoder.clear(&session).await;
        if let Err(error) = self.finish().await {
            // What is there plays as it is.
            let text = format!(
                "recording {} could not be made one piece and stays fragmented, which plays: {error}",
                self.name
            );
            self.replays.browser.logs().event(&text);
        }
        let size_bytes = std::fs::metadata(&self.path).map_or(0, |file| file.len());
        Ended { finished_at, reason, size_bytes }
    }

    /// Why the encoder ended by itself.
    fn why(&self, status: &ExitStatus) -> ReplayEndReason {
        let size = self.output.metadata().map_or(0, |file| file.len());
        let full = rustix::fs::fstatvfs(&self.output)
            .is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < DISK_FULL);
        if size >= self.limit || full || status.signal == Some(FILE_TOO_LARGE) {
            return ReplayEndReason::DiskLimit;
        }
        let text = format!(
            "recording {} failed: its encoder ended with status {}",
            self.name, status.code
        );
        self.replays.browser.logs().event(&text);
        ReplayEndReason::EncoderFailed
    }

    /// Replaces the file in fragments by one with its index in front.
    async fn finish(&self) -> io::Result<()> {
        let session = &self.replays.session;
        let length = self.output.metadata()?.len();
        session.disk.admit(length, 1).await?;
        let whole = self.path.with_extension("whole");
        let to = file::create(session, &whole)?;
        let name = format!("{}-finish", self.name);
        let logs = self.replays.browser.logs();
        let finished = encoder::finish(session, logs, &name, &self.output, &to).await;
        let finished = finished.and_then(|()| match to.metadata()?.len() {
            0 => Err(io::Error::other("there is nothing in it")),
            _ => std::fs::rename(&whole, &self.path),
        });
        finished.inspect_err(|_| {
            let _ = std::fs::remove_file(&whole);
        })
    }
}
