//! One cell in the runtime.

use browserd_api::repl::{ReplChannel, ReplContent, new_repl_id};
use browserd_rest::Error;
use serde::{Deserialize, Serialize};

use super::shown::Shown;
use super::{Repl, Runtime};
use crate::runner::{Event, Names, Output, Run, Text, Worker, fresh_id, not_started};

/// The runner's file.
const RUNNER: &str = "repl.mjs";
const NAMES: Names = Names {
    code: "the cell",
    process: "the runtime",
    its_process: "the runtime",
    line: "the runtime's own line",
};
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

/// What a cell shows and writes.
pub(super) struct Written {
    pub(super) shown: Shown,
    stderr: Text,
    /// The cell's number.
    number: u64,
}

impl Output for Written {
    fn keep(&mut self, event: Event) {
        match event {
            Event::Stdout(bytes) => self.shown.push_bytes(ReplChannel::Stdout, &bytes),
            Event::Stderr(bytes) => {
                self.stderr.push(&bytes);
                self.shown.push_bytes(ReplChannel::Stderr, &bytes);
            }
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

    fn words(&self) -> &Text {
        &self.stderr
    }
}

/// A cell under way; dropped before its end, it takes the runtime with it.
pub(super) struct Cell<'a> {
    repl: &'a Repl,
    pub(super) repl_id: String,
    pub(super) run: Run<Written>,
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
        let output =
            Written { shown: Shown::default(), stderr: Text::default(), number: fresh_id() };
        Ok(Self { repl, repl_id: id, run: Run::new(Some(worker), output, &NAMES) })
    }

    /// Runs it to its end.
    ///
    /// # Errors
    ///
    /// When it cannot be sent.
    pub(super) async fn evaluate(&mut self, code: &str, endpoint: &str) -> Result<End, Error> {
        let number = self.run.output.number;
        if let Some(worker) = &mut self.run.worker {
            worker.begin();
            let request = Request { id: number, code, endpoint };
            worker.send(&request).map_err(Error::internal)?;
        }
        loop {
            let answer = match self.run.answer::<Answer>().await {
                Ok(answer) if answer.id == Some(number) => answer,
                Ok(_) => continue,
                Err(why) => return Ok(End::failed(why)),
            };
            if let Some(item) = answer.item {
                self.run.output.shown.push(item);
                continue;
            }
            self.run.output.shown.truncated |= answer.truncated;
            if answer.ends {
                self.run.end().await;
            } else {
                self.run.keep_left();
            }
            let error = answer.error.or_else(|| (!answer.ok).then(|| "the cell failed".to_owned()));
            return Ok(End { error, stack: answer.stack });
        }
    }

    /// Keeps the runtime for the next cell; whether it lives.
    pub(super) fn keep_runtime(&mut self) -> bool {
        let Some(worker) = self.run.worker.take() else { return false };
        let runtime = Runtime { id: self.repl_id.clone(), worker };
        *self.repl.inner.runtime.lock() = Some(runtime);
        true
    }
}
