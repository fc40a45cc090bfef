//! The encoder process: raw pictures in, fragmented MP4 out; and the one that puts the index of a
//! finished file in front.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use browserd_guest_browser::{Logs, pump};
use browserd_guest_session::environment::{self, User};
use browserd_guest_session::{Child, ExitStatus, Session};
use browserd_sandbox::child::{Input, Launch, Limit};
use browserd_sandbox::leaf::Leaf;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal};

/// When memory runs out, recordings go before the browser.
const OOM_SCORE: &str = "500";
/// How long a file may take to be finished; gigabytes are copied.
const FINISH_WITHIN: Duration = Duration::from_secs(120);
/// `RLIMIT_FSIZE`.
const FILE_SIZE: u32 = 1;

/// A running encoder and everything it may have started.
pub(super) struct Encoder {
    child: Child,
    leaf: Option<Leaf>,
}

/// What to encode.
pub(super) struct Encoding<'a> {
    /// Size of the pictures.
    pub(super) size: (u32, u32),
    /// Bytes at which the file is to end.
    pub(super) limit: u64,
    /// Where sound comes from, with the time zero of the recording, milliseconds since the epoch.
    pub(super) sound: Option<(&'a str, u64)>,
}

impl Encoding<'_> {
    fn arguments(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        let mut add = |text: &str| all.extend(text.split(' ').map(str::to_owned));
        // Begins with the first picture instead of looking at several.
        add("-probesize 32 -analyzeduration 0 -fpsprobesize 0 -f matroska -i pipe:0");
        let mut zero = "0".to_owned();
        if let Some((server, from)) = self.sound {
            // Both inputs have the time of the clock on the wall, so they agree.
            zero = format!("{}.{:03}", from / 1000, from % 1000);
            add("-thread_queue_size 1024 -f pulse -server");
            add(server);
            add("-sample_rate 48000 -channels 2 -i");
            add(super::audio::MONITOR);
            add(&format!("-copyts -output_ts_offset -{zero} -map 0:v -map 1:a"));
            add("-c:a aac -b:a 128k");
        }
        if self.size.0 % 2 == 1 || self.size.1 % 2 == 1 {
            // Colour has half the resolution.
            add("-vf pad=ceil(iw/2)*2:ceil(ih/2)*2");
        }
        add("-fps_mode:v passthrough -c:v libx264 -preset veryfast -tune zerolatency -threads 1");
        add("-crf 26 -pix_fmt yuv420p");
        // For players that jump, whatever the frame rate is.
        add(&format!("-force_key_frames expr:gte(t-{zero},n_forced*10)"));
        add("-f mp4 -movflags +frag_keyframe+empty_moov+default_base_moof");
        add(&format!("-frag_duration 1000000 -flush_packets 1 -fs {} pipe:1", self.limit));
        all
    }

    /// Starts the encoder; it ends when its input does.
    pub(super) fn start(
        &self,
        session: &Session,
        logs: &Logs,
        name: &str,
        input: OwnedFd,
        output: &File,
    ) -> io::Result<Encoder> {
        let mut launch = launch(session, &self.arguments())?;
        launch.stdin = Input::Fd(input);
        launch.stdout = Input::Fd(output.try_clone()?.into());
        // The encoder keeps to its limit by itself, but it is one program among others in there.
        let most = self.limit.saturating_add(browserd_protocol::replay::SLACK / 2);
        launch.limits.push(Limit { resource: FILE_SIZE, soft: most, hard: most });
        start(session, logs, launch, name)
    }
}

/// Writes `from` into `to` with its index in front, for players that read from a network.
pub(super) async fn finish(
    session: &Session,
    logs: &Logs,
    name: &str,
    from: &File,
    to: &File,
) -> io::Result<()> {
    // The last picture lasts no time: it stands at the recording's very end. Left to itself, ffmpeg
    // gives it the average of the others, which is long where little happened.
    let arguments = "-f mp4 -i /proc/self/fd/3 -map 0 -c copy -bsf:v setts=duration=1 -f mp4 \
                     -movflags +faststart -y /proc/self/fd/4";
    let arguments: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
    let mut launch = launch(session, &arguments)?;
    launch.extra_fds = vec![(from.try_clone()?.into(), 3), (to.try_clone()?.into(), 4)];
    let mut encoder = start(session, logs, launch, name)?;
    let ended = tokio::time::timeout(FINISH_WITHIN, encoder.wait()).await;
    encoder.clear(session).await;
    match ended {
        Ok(ExitStatus { code: 0, .. }) => Ok(()),
        Ok(status) => Err(io::Error::other(format!("ffmpeg exited with status {}", status.code))),
        Err(_) => Err(io::Error::other("ffmpeg did not finish in time")),
    }
}

fn launch(session: &Session, arguments: &[String]) -> io::Result<Launch> {
    let none = || io::Error::new(io::ErrorKind::NotFound, "this host has no ffmpeg");
    let program: &Path = session.spec.programs.ffmpeg.as_deref().ok_or_else(none)?;
    let mut launch = Launch::new(CString::new(program.as_os_str().as_bytes())?);
    for argument in ["-hide_banner", "-loglevel", "warning", "-nostdin"] {
        launch = launch.arg(CString::new(argument)?);
    }
    for argument in arguments {
        launch = launch.arg(CString::new(argument.as_str())?);
    }
    launch.envp = environment::to_envp(&environment::base(session, &User::browser(session)));
    launch.ids = session.browser_ids();
    launch.limits = vec![session.descriptor_limit];
    Ok(launch)
}

fn start(session: &Session, logs: &Logs, mut launch: Launch, name: &str) -> io::Result<Encoder> {
    let (output, output_theirs) = pipe_with(PipeFlags::CLOEXEC)?;
    launch.stderr = Input::Fd(output_theirs);
    let leaf = session.leaves.as_ref().map(|leaves| leaves.create(name)).transpose()?;
    launch.cgroup = leaf.as_ref().map(|leaf| leaf.dir().try_clone_to_owned()).transpose()?;
    match session.children.start(&launch) {
        Ok(child) => {
            let _ = std::fs::write(format!("/proc/{}/oom_score_adj", child.pid), OOM_SCORE);
            tokio::spawn(pump(output, logs.file("ffmpeg.log"), |_| {}));
            Ok(Encoder { child, leaf })
        }
        Err(error) => {
            if let Some(leaf) = leaf {
                let _ = leaf.remove();
            }
            Err(io::Error::other(error))
        }
    }
}

impl Encoder {
    /// Waits for its end.
    pub(super) async fn wait(&mut self) -> ExitStatus {
        self.child.wait().await
    }

    /// Asks it to end by itself: to close the file though an input goes on.
    pub(super) fn interrupt(&self, session: &Session) {
        session.children.signal(&self.child, Signal::INT);
    }

    /// Kills what is left of it and waits until nothing is.
    pub(super) async fn clear(mut self, session: &Session) {
        let running = self.child.exit.borrow().is_none();
        if let (true, Some(pid)) = (running, Pid::from_raw(self.child.pid)) {
            let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        }
        self.child.wait().await;
        let Some(leaf) = self.leaf else { return };
        loop {
            let reaped = session.children.reaped();
            tokio::pin!(reaped);
            reaped.as_mut().enable();
            match leaf.remove() {
                Ok(true) => return,
                Ok(false) => {
                    let _ = leaf.kill();
                    // A kernel may let go of a leaf a moment after its last process was reaped.
                    let _ = tokio::time::timeout(Duration::from_millis(100), reaped).await;
                }
                Err(error) => {
                    tracing::warn!(
                        %error,
                        "the cgroup of a recording's encoder could not be removed; it goes with the session"
                    );
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_odd_sizes_are_padded_and_only_sound_asks_for_sound() {
        let plain = Encoding { size: (1280, 720), limit: 5, sound: None }.arguments().join(" ");
        assert!(!plain.contains("pad=") && !plain.contains("pulse") && plain.contains("-fs 5 "));
        let odd =
            Encoding { size: (1281, 720), limit: 5, sound: Some(("unix:/x", 1_700_000_000_042)) };
        let odd = odd.arguments().join(" ");
        assert!(odd.contains("pad=") && odd.contains("-output_ts_offset -1700000000.042"));
        assert!(odd.contains("gte(t-1700000000.042,"));
    }
}
