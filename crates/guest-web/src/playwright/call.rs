//! One script on its executor's worker.

use std::io;
use std::time::Duration;

use browserd_api::ErrorCode;
use browserd_api::playwright::{ExecuteResponse, Tab};
use browserd_chromium::cdp::{Cdp, CdpError};
use browserd_guest_browser::{BrowserState, NoBrowser};
use browserd_rest::Error;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::Playwright;
use super::executor::Executor;
use crate::runner::{Event, Names, Output, Run, Text, Worker, fresh_id, not_started};

/// The runner's file.
const RUNNER: &str = "playwright.mjs";
const NAMES: Names = Names {
    code: "the script",
    process: "the script's process",
    its_process: "its process",
    line: "its executor's own line",
};
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

/// What a script writes.
#[derive(Default)]
pub(super) struct Written {
    stdout: Text,
    stderr: Text,
}

impl Output for Written {
    fn keep(&mut self, event: Event) {
        match event {
            Event::Stdout(bytes) => self.stdout.push(&bytes),
            Event::Stderr(bytes) => self.stderr.push(&bytes),
            _ => {}
        }
    }

    fn words(&self) -> &Text {
        &self.stderr
    }
}

/// A script under way; dropped before its end, it takes its worker with it.
pub(super) struct Call<'a> {
    playwright: &'a Playwright,
    executor: &'a Executor,
    pub(super) run: Run<Written>,
    tab: Option<Tab>,
    last_id: u64,
}

impl<'a> Call<'a> {
    pub(super) fn new(playwright: &'a Playwright, executor: &'a Executor) -> Self {
        let run = Run::new(executor.take_worker(), Written::default(), &NAMES);
        Self { playwright, executor, run, tab: None, last_id: 0 }
    }

    /// Runs `code` to its end.
    ///
    /// # Errors
    ///
    /// When there is no Chromium or no worker to run it.
    pub(super) async fn execute(&mut self, code: &str) -> Result<Outcome, Error> {
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
        if self.run.worker.is_none() {
            let started = Worker::start(&self.playwright.inner.kit, RUNNER, LINE_LIMIT);
            self.run.worker = Some(started.map_err(not_started)?);
        }
        self.last_id = fresh_id();
        let request = Request { id: self.last_id, code, endpoint, target, avoid };
        self.send(&request).map_err(Error::internal)?;
        loop {
            let answer = match self.run.answer::<Answer>().await {
                Ok(answer) if answer.id == Some(self.last_id) => answer,
                // Of a script that has ended, or the greeting.
                Ok(_) => continue,
                Err(why) => return Ok(Ok(Outcome::failed(why))),
            };
            if let Some(tab) = answer.tab {
                self.executor.set_target(tab.target_id.clone());
                self.tab = Some(tab);
                continue;
            }
            if answer.ends {
                self.run.end().await;
            } else {
                self.run.keep_left();
            }
            if let Some(why) = answer.unconnected {
                return Ok(Err(why));
            }
            return Ok(Ok(outcome(answer)));
        }
    }

    fn send(&mut self, request: &Request<'_>) -> io::Result<()> {
        let Some(worker) = &mut self.run.worker else { return Ok(()) };
        worker.begin();
        // What a script left behind wrote since does not belong to this one.
        while worker.left().is_some() {}
        worker.begin();
        worker.send(request)
    }

    /// The answer to the client; the worker is kept if it lives.
    pub(super) fn finish(mut self, outcome: Outcome) -> ExecuteResponse {
        if let Some(worker) = self.run.worker.take() {
            self.executor.keep_worker(worker);
        }
        let Written { stdout, stderr } = self.run.output;
        let (stdout, mut stderr) = (stdout.finish(), stderr.finish());
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

/// 502, which clients may repeat.
pub(crate) fn no_browser(why: NoBrowser) -> Error {
    Error::new(ErrorCode::UpstreamUnavailable, why.to_string())
}
