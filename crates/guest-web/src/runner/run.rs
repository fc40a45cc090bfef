//! A worker that runs code, and what the code writes meanwhile.

use browserd_guest_session::ExitStatus;
use serde::de::DeserializeOwned;

use super::{Event, HEAP_MIB, Text, Worker};

/// What is called what, in the messages for unwanted ends.
pub(crate) struct Names {
    /// The code: `the script`.
    pub(crate) code: &'static str,
    /// What runs it: `the script's process`.
    pub(crate) process: &'static str,
    /// The same, said of the code: `its process`.
    pub(crate) its_process: &'static str,
    /// What the runner answers on: `its executor's own line`.
    pub(crate) line: &'static str,
}

/// What code writes.
pub(crate) trait Output {
    /// Takes what came outside an answer that was waited for: output, or a line found after it.
    fn keep(&mut self, event: Event);

    /// Standard error, which may say why the worker ended.
    fn words(&self) -> &Text;
}

/// Code under way; dropped before its end, it takes its worker with it.
pub(crate) struct Run<O> {
    /// None when it is not started yet, or has ended.
    pub(crate) worker: Option<Worker>,
    pub(crate) output: O,
    names: &'static Names,
}

impl<O: Output> Run<O> {
    pub(crate) fn new(worker: Option<Worker>, output: O, names: &'static Names) -> Self {
        Self { worker, output, names }
    }

    /// The runner's next answer; what is written until then is kept.
    ///
    /// # Errors
    ///
    /// In words when there will be none; the worker is gone then.
    pub(crate) async fn answer<A: DeserializeOwned>(&mut self) -> Result<A, String> {
        loop {
            let Some(worker) = &mut self.worker else {
                return Err(format!("{} is gone", self.names.process));
            };
            let answer = match worker.next().await {
                Event::Line(line) => serde_json::from_slice(&line).ok(),
                Event::TooLong => None,
                Event::Exited(status) => {
                    self.worker = None;
                    return Err(self.names.exit_in_words(status, self.output.words()));
                }
                output => {
                    self.output.keep(output);
                    continue;
                }
            };
            if let Some(answer) = answer {
                return Ok(answer);
            }
            self.end().await;
            return Err(format!("{} wrote to {}, and was ended", self.names.code, self.names.line));
        }
    }

    /// Keeps what was written and is not read yet.
    pub(crate) fn keep_left(&mut self) {
        while let Some(event) = self.worker.as_mut().and_then(Worker::left) {
            self.output.keep(event);
        }
    }

    /// Ends the worker for good and keeps what was written until then.
    pub(crate) async fn end(&mut self) {
        if let Some(worker) = &mut self.worker {
            worker.end().await;
        }
        self.keep_left();
        self.worker = None;
    }
}

/// A number no request of this guest had before, from 1.
pub(crate) fn fresh_id() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Names {
    fn exit_in_words(&self, status: ExitStatus, stderr: &Text) -> String {
        let Self { code, process, its_process, .. } = self;
        if stderr.contains("heap out of memory") {
            return format!(
                "{process} ran out of memory: it may have {HEAP_MIB} MiB of JavaScript"
            );
        }
        match status.signal {
            Some(signal) => format!("{process} was ended by signal {signal}"),
            None => format!("{code} ended {its_process}, with exit status {}", status.code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_in_words() {
        const NAMES: Names = Names {
            code: "the code",
            process: "the runtime",
            its_process: "its runtime",
            line: "the line",
        };
        let words = |code, signal, stderr: &str| {
            let mut text = Text::default();
            text.push(stderr.as_bytes());
            NAMES.exit_in_words(ExitStatus { code, signal }, &text)
        };
        assert_eq!(words(3, None, "x"), "the code ended its runtime, with exit status 3");
        assert_eq!(words(137, Some(9), ""), "the runtime was ended by signal 9");
        let full =
            "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory";
        assert!(
            words(134, Some(6), full).starts_with("the runtime ran out of memory: it may have")
        );
    }
}
