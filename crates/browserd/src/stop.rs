//! When to stop.
//!
//! ```text
//!  SIGTERM or SIGINT ─▶ orderly: sessions end, connections finish ─▶ exit
//!                                 └ the same again: exit at once
//! ```

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens for SIGTERM and SIGINT from now on. The future ends with the first of them; a second one
/// ends the process there and then, for people who cannot wait. Shims notice, and end their sessions.
pub(crate) fn requested() -> io::Result<impl Future<Output = ()> + Send> {
    let mut signals = Signals {
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
    };
    Ok(async move {
        let name = signals.next().await;
        tracing::info!(signal = name, "stopping; once more to stop at once");
        tokio::spawn(async move {
            let name = signals.next().await;
            tracing::warn!(signal = name, "stopping at once; sessions end by themselves");
            std::process::exit(1);
        });
    })
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
