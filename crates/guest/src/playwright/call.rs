//! One script on its executor's worker.

use std::io;
use std::time::Duration;

use browserd_api::ErrorCode;
use browserd_api::playwright::{ExecuteResponse, Tab};
use browserd_chromium::cdp::{Cdp, CdpError};
use browserd_rest::Error;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::Playwright;
use super::executor::Executor;
use crate::browser::{BrowserState, NoBrowser};
use crate::init::ExitStatus;
use crate::runner::{Event, HEAP_MIB, Text, Worker, not_started};

/// The runner's file.
const RUNNER: &str = "playwright.mjs";
/// Longest line of it: a result of 8 MiB and room for the rest.
const LINE_LIMIT: usize = 9 << 20;
/// Chromiums tried, should one be on its way out when a script comes.
const ATTEMPTS: usize = 3;
/// How long the end of a Chromium that cannot be connected to may take to be noticed.
const NOTICED_WITHIN: Duration = Duration::from_secs(2);

#[derive(Serialize)]
struct Request<'a> {
    id: u64,
    code: &'a str,
    endpoint: &'a str,
    target: Option<&'a str>,
    avoid: &'a [String],
}

#[derive(Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    id: Option<u64>,
    #[serde(default)]
    tab: Option<Tab>,
    #[serde(default)]
    result: Option<Box<RawValue>>,
    #[serde(default)]
    pub(super) error: Option<String>,
    #[serde(default)]
    stack: Option<String>,
    /// The worker ends after this.
    #[serde(default)]
    ends: bool,
    /// Why it could not connect to Chromium.
    #[serde(default)]
    unconnected: Option<String>,
}

/// How a script ended.
pub(super) enum Outcome {
    Result(Box<RawValue>),
    Failed { error: String, stack: Option<String> },
}

impl Outcome {
    pub(super) fn failed(error: impl Into<String>) -> Self {
        Self::Failed { error: error.into(), stack: None }
    }
}

/// A script under way; dropped before its end, it takes its worker with it.
pub(super) struct Call<'a> {
    playwright: &'a Playwright,
    executor: &'a Executor,
    worker: Option<Worker>,
    stdout: Text,
    stderr: Text,
    tab: Option<Tab>,
    last_id: u64,
}

impl<'a> Call<'a> {
    pub(super) fn new(playwright: &'a Playwright, executor: &'a Executor) -> Self {
        let worker = executor.take_worker();
        let (stdout, stderr) = (Text::default(), Text::default());
        Self { playwright, executor, worker, stdout, stderr, tab: None, last_id: 0 }
    }

    /// Runs `code` to its end.
    ///
    /// # Errors
    ///
    /// When there is no Chromium or no worker to run it.
    pub(super) async fn run(&mut self, code: &str) -> Result<Outcome, Error> {
        let browser = &self.playwright.inner.browser;
        let mut why = String::new();
        for _ in 0..ATTEMPTS {
            let running = browser.running().await.map_err(no_browser)?;
            let own_tab = match self.own_tab(&running.cdp).await {
                Ok(tab) => tab,
                Err(error) => {
                    why = error.to_string();
                    self.next_browser(running.generation).await;
                    continue;
                }
            };
            let avoid = if own_tab.is_some() { Vec::new() } else { self.playwright.owned_tabs() };
            let endpoint = running.endpoint.url();
            let target = own_tab.as_ref().map(|tab| tab.target_id.as_str());
            let outcome = self.dispatch(code, &endpoint, target, &avoid).await?;
            if let (Some(tab), Some(own)) = (&mut self.tab, &own_tab) {
                tab.created = own.created;
            }
            match outcome {
                Ok(outcome) => return Ok(outcome),
                Err(unconnected) => why = unconnected,
            }
            self.next_browser(running.generation).await;
        }
        Err(Error::new(
            ErrorCode::UpstreamUnavailable,
            format!("the executor cannot connect to Chromium: {why}; try again"),
        ))
    }

    /// The tab a named executor owns, opened if it has none or that is closed.
    async fn own_tab(&self, cdp: &Cdp) -> Result<Option<Tab>, CdpError> {
        if self.executor.is_default() {
            return Ok(None);
        }
        if let Some(target_id) = self.executor.target()
            && cdp.pages().await?.iter().any(|page| page.target_id == target_id)
        {
            return Ok(Some(Tab { target_id, created: false }));
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Created {
            target_id: String,
        }
        let params = json!({ "url": "about:blank", "background": true });
        let Created { target_id } = cdp.call(None, "Target.createTarget", params).await?;
        self.executor.set_target(target_id.clone());
        Ok(Some(Tab { target_id, created: true }))
    }

    /// Waits until Chromium is another than `generation`, or is likely to stay.
    async fn next_browser(&self, generation: u64) {
        let mut state = self.playwright.inner.browser.state();
        let gone = state.wait_for(|state| {
            !matches!(state, BrowserState::Running(running) if running.generation == generation)
        });
        let _ = tokio::time::timeout(NOTICED_WITHIN, gone).await;
    }

    /// Has the worker run it; the inner error is why it has no connection.
    async fn dispatch(
        &mut self,
        code: &str,
        endpoint: &str,
        target: Option<&str>,
        avoid: &[String],
    ) -> Result<Result<Outcome, String>, Error> {
        if self.worker.is_none() {
            let started = Worker::start(&self.playwright.inner.kit, RUNNER, LINE_LIMIT);
            self.worker = Some(started.map_err(not_started)?);
        }
        self.last_id = fresh_id();
        let request = Request { id: self.last_id, code, endpoint, target, avoid };
        self.send(&request).map_err(Error::internal)?;
        loop {
            let Some(worker) = &mut self.worker else {
                return Ok(Ok(Outcome::failed("the script's process is gone")));
            };
            let answer = match worker.next().await {
                Event::Line(line) => match serde_json::from_slice::<Answer>(&line) {
                    Ok(answer) if answer.id == Some(self.last_id) => answer,
                    // Of a script that has ended, or the greeting.
                    Ok(_) => continue,
                    Err(_) => return Ok(Ok(self.broken().await)),
                },
                Event::TooLong => return Ok(Ok(self.broken().await)),
                Event::Exited(status) => {
                    self.worker = None;
                    return Ok(Ok(Outcome::failed(self.exit_in_words(status))));
                }
                output => {
                    self.keep(output);
                    continue;
                }
            };
            if let Some(tab) = answer.tab {
                self.executor.set_target(tab.target_id.clone());
                self.tab = Some(tab);
                continue;
            }
            if answer.ends {
                self.end_worker().await;
            } else {
                self.keep_left();
            }
            if let Some(why) = answer.unconnected {
                return Ok(Err(why));
            }
            return Ok(Ok(outcome(answer)));
        }
    }

    fn send(&mut self, request: &Request<'_>) -> io::Result<()> {
        let Some(worker) = &mut self.worker else { return Ok(()) };
        worker.begin();
        // What a script left behind wrote since does not belong to this one.
        while worker.left().is_some() {}
        worker.begin();
        worker.send(request)
    }

    fn keep(&mut self, output: Event) {
        match output {
            Event::Stdout(bytes) => self.stdout.push(&bytes),
            Event::Stderr(bytes) => self.stderr.push(&bytes),
            _ => {}
        }
    }

    fn keep_left(&mut self) {
        while let Some(output) = self.worker.as_mut().and_then(Worker::left) {
            self.keep(output);
        }
    }

    async fn broken(&mut self) -> Outcome {
        self.end_worker().await;
        Outcome::failed("the script wrote to its executor's own line, and was ended")
    }

    /// Ends the worker for good and keeps what was written until then.
    pub(super) async fn end_worker(&mut self) {
        if let Some(worker) = &mut self.worker {
            worker.end().await;
        }
        self.keep_left();
        self.worker = None;
    }

    fn exit_in_words(&self, status: ExitStatus) -> String {
        if self.stderr.contains("heap out of memory") {
            return format!(
                "the script ran out of memory: its process may have {HEAP_MIB} MiB of JavaScript"
            );
        }
        match status.signal {
            Some(signal) => format!("the script's process was ended by signal {signal}"),
            None => format!("the script ended its process, with exit status {}", status.code),
        }
    }

    /// The answer to the client; the worker is kept if it lives.
    pub(super) fn finish(mut self, outcome: Outcome) -> ExecuteResponse {
        if let Some(worker) = self.worker.take() {
            self.executor.keep_worker(worker);
        }
        let (stdout, mut stderr) = (self.stdout.finish(), self.stderr.finish());
        let (result, error) = match outcome {
            Outcome::Result(result) => (Some(result), None),
            Outcome::Failed { error, stack } => {
                if let Some(stack) = stack {
                    if !stderr.is_empty() && !stderr.ends_with('\n') {
                        stderr.push('\n');
                    }
                    stderr.push_str(&stack);
                }
                (None, Some(error))
            }
        };
        ExecuteResponse { success: error.is_none(), result, error, stdout, stderr, tab: self.tab }
    }
}

/// How a script has ended, as its worker tells it.
pub(super) fn outcome(answer: Answer) -> Outcome {
    match (answer.error, answer.result) {
        (None, result) => Outcome::Result(result.unwrap_or_else(|| RawValue::NULL.to_owned())),
        (Some(error), _) => Outcome::Failed { error, stack: answer.stack },
    }
}

/// An id no request had before.
fn fresh_id() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// 502, which clients may repeat.
pub(crate) fn no_browser(why: NoBrowser) -> Error {
    Error::new(ErrorCode::UpstreamUnavailable, why.to_string())
}
