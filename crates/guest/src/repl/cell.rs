//! One cell in the runtime.

use browserd_api::repl::{ReplChannel, ReplContent, new_repl_id};
use browserd_rest::Error;
use serde::{Deserialize, Serialize};

use super::shown::Shown;
use super::{Repl, Runtime};
use crate::init::ExitStatus;
use crate::runner::{Event, HEAP_MIB, Text, Worker, not_started};

/// The runner's file.
const RUNNER: &str = "repl.mjs";
/// Longest line of it: an image of 8 MiB in base64 and room for the rest.
const LINE_LIMIT: usize = 12 << 20;

#[derive(Serialize)]
struct Request<'a> {
    id: u64,
    code: &'a str,
    endpoint: &'a str,
}

#[derive(Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    id: Option<u64>,
    #[serde(default)]
    pub(super) item: Option<ReplContent>,
    #[serde(default)]
    ok: bool,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    stack: Option<String>,
    #[serde(default)]
    ends: bool,
    #[serde(default)]
    truncated: bool,
}

/// How a cell ended.
#[derive(Debug, Default)]
pub(super) struct End {
    pub(super) error: Option<String>,
    pub(super) stack: Option<String>,
}

impl End {
    pub(super) fn failed(error: impl Into<String>) -> Self {
        Self { error: Some(error.into()), stack: None }
    }
}

/// A cell under way; dropped before its end, it takes the runtime with it.
pub(super) struct Cell<'a> {
    repl: &'a Repl,
    pub(super) repl_id: String,
    worker: Option<Worker>,
    pub(super) shown: Shown,
    /// The end of standard error, which may say why the runtime ended.
    words: Text,
    /// Cells have numbers from 1.
    number: u64,
}

impl<'a> Cell<'a> {
    /// A cell for the runtime there is, or for a fresh one.
    ///
    /// # Errors
    ///
    /// When none can be started.
    pub(super) fn new(repl: &'a Repl) -> Result<Self, Error> {
        let known = repl.inner.runtime.lock().take();
        let Runtime { id, worker } = match known.filter(|known| !known.worker.has_ended()) {
            Some(known) => known,
            None => {
                let worker = Worker::start(&repl.inner.kit, RUNNER, LINE_LIMIT);
                Runtime { id: new_repl_id(), worker: worker.map_err(not_started)? }
            }
        };
        Ok(Self {
            repl,
            repl_id: id,
            worker: Some(worker),
            shown: Shown::default(),
            words: Text::default(),
            number: fresh_number(),
        })
    }

    /// Runs it to its end.
    ///
    /// # Errors
    ///
    /// When it cannot be sent.
    pub(super) async fn run(&mut self, code: &str, endpoint: &str) -> Result<End, Error> {
        if let Some(worker) = &mut self.worker {
            worker.begin();
            let request = Request { id: self.number, code, endpoint };
            worker.send(&request).map_err(Error::internal)?;
        }
        loop {
            let Some(worker) = &mut self.worker else {
                return Ok(End::failed("the runtime is gone"));
            };
            let answer = match worker.next().await {
                Event::Line(line) => match serde_json::from_slice::<Answer>(&line) {
                    Ok(answer) => answer,
                    Err(_) => return Ok(self.broken().await),
                },
                Event::TooLong => return Ok(self.broken().await),
                Event::Exited(status) => {
                    self.worker = None;
                    return Ok(End::failed(self.exit_in_words(status)));
                }
                Event::Stdout(bytes) => {
                    self.shown.push_bytes(ReplChannel::Stdout, &bytes);
                    continue;
                }
                Event::Stderr(bytes) => {
                    self.words.push(&bytes);
                    self.shown.push_bytes(ReplChannel::Stderr, &bytes);
                    continue;
                }
            };
            if answer.id != Some(self.number) {
                continue;
            }
            if let Some(item) = answer.item {
                self.shown.push(item);
                continue;
            }
            self.shown.truncated |= answer.truncated;
            if answer.ends {
                self.end_runtime().await;
            } else {
                self.keep_left();
            }
            let error = answer.error.or_else(|| (!answer.ok).then(|| "the cell failed".to_owned()));
            return Ok(End { error, stack: answer.stack });
        }
    }

    fn keep_left(&mut self) {
        while let Some(event) = self.worker.as_mut().and_then(Worker::left) {
            match event {
                Event::Stdout(bytes) => self.shown.push_bytes(ReplChannel::Stdout, &bytes),
                Event::Stderr(bytes) => self.shown.push_bytes(ReplChannel::Stderr, &bytes),
                Event::Line(line) => {
                    let answer = serde_json::from_slice::<Answer>(&line).ok();
                    let mine = answer.filter(|answer| answer.id == Some(self.number));
                    if let Some(item) = mine.and_then(|answer| answer.item) {
                        self.shown.push(item);
                    }
                }
                _ => {}
            }
        }
    }

    async fn broken(&mut self) -> End {
        self.end_runtime().await;
        End::failed("the cell wrote to the runtime's own line, and was ended")
    }

    /// Ends the runtime for good and keeps what was shown until then.
    pub(super) async fn end_runtime(&mut self) {
        if let Some(worker) = &mut self.worker {
            worker.end().await;
        }
        self.keep_left();
        self.worker = None;
    }

    fn exit_in_words(&self, status: ExitStatus) -> String {
        if self.words.contains("heap out of memory") {
            return format!(
                "the runtime ran out of memory: it may have {HEAP_MIB} MiB of JavaScript"
            );
        }
        match status.signal {
            Some(signal) => format!("the runtime was ended by signal {signal}"),
            None => format!("the cell ended the runtime, with exit status {}", status.code),
        }
    }

    /// Keeps the runtime for the next cell; whether it lives.
    pub(super) fn keep_runtime(&mut self) -> bool {
        let Some(worker) = self.worker.take() else { return false };
        let runtime = Runtime { id: self.repl_id.clone(), worker };
        *self.repl.inner.runtime.lock() = Some(runtime);
        true
    }
}

/// A number no cell had before.
fn fresh_number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
