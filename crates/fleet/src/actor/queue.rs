//! The changes that wait for a session: one is made at a time, in the order in which they came, by a
//! worker of its own, so that the session actor goes on hearing commands and events meanwhile.

use std::collections::VecDeque;
use std::sync::Arc;

use browserd_api::ProxyId;
use browserd_store::SessionRow;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle};

use crate::change::{Change, ChangeServices, Failure, Step, Worker};
use crate::{FleetError, LiveSession};

/// Changes that may wait behind the one that is being made.
pub(super) const WAITING_LIMIT: usize = 32;

/// Told what came of a change.
pub(super) type Changed = oneshot::Sender<Result<SessionRow, FleetError>>;

/// Something to be done to a session in its turn.
pub(super) enum Job {
    /// What a client asked for.
    Change { change: Box<Change>, services: Arc<dyn ChangeServices>, done: Changed },
    /// A proxy was deleted; nothing may go through it once this is answered.
    CloseProxy { proxy: ProxyId, done: oneshot::Sender<()> },
}

impl Job {
    fn routes(&self) -> bool {
        match self {
            Self::Change { change, .. } => change.proxy.is_some(),
            Self::CloseProxy { .. } => true,
        }
    }

    fn closing(self) -> Option<oneshot::Sender<()>> {
        match self {
            Self::Change { .. } => None,
            Self::CloseProxy { done, .. } => Some(done),
        }
    }

    /// Whether nobody waits for it any more.
    fn is_given_up(&self) -> bool {
        match self {
            Self::Change { done, .. } => done.is_closed(),
            // It is carried out even so: a deleted proxy must not be used.
            Self::CloseProxy { .. } => false,
        }
    }
}

/// What came of a job, and who is to be told.
pub(super) enum Outcome {
    Changed(Result<Box<SessionRow>, Failure>, Changed),
    ProxyClosed(Result<(), Failure>, Option<oneshot::Sender<()>>),
}

/// What a worker answers.
enum Made {
    Change(Result<Box<SessionRow>, Failure>, Changed),
    Closing(Result<(), Failure>),
}

/// Jobs of one session.
pub(super) struct Queue {
    waiting: VecDeque<Job>,
    current: Option<Current>,
    report: mpsc::Sender<Step>,
    reported: mpsc::Receiver<Step>,
    /// A job that was given up under way may have taken another egress route.
    unsettled: bool,
}

struct Current {
    worker: JoinHandle<Made>,
    /// Waits for it, if it closes the route of a deleted proxy. Not with the worker, which may be aborted.
    closing: Option<oneshot::Sender<()>>,
    /// Whether it may take another egress route.
    routes: bool,
}

impl Queue {
    pub(super) fn new() -> Self {
        let (report, reported) = mpsc::channel(1);
        Self { waiting: VecDeque::new(), current: None, report, reported, unsettled: false }
    }

    /// Puts a job at the end, unless too many changes wait already.
    pub(super) fn push(&mut self, job: Job) -> Result<(), Job> {
        self.waiting.retain(|job| !job.is_given_up());
        if matches!(job, Job::Change { .. }) && self.waiting.len() >= WAITING_LIMIT {
            return Err(job);
        }
        self.waiting.push_back(job);
        Ok(())
    }

    /// Whether a job under way or waiting may change the egress route, or one that was given up may have.
    pub(super) fn routes(&self) -> bool {
        self.unsettled
            || self.current.as_ref().is_some_and(|current| current.routes)
            || self.waiting.iter().any(Job::routes)
    }

    /// Begins with the next job when none is under way. `worker` makes one with the session as it is.
    pub(super) fn advance(&mut self, worker: impl FnOnce(mpsc::Sender<Step>) -> Worker) {
        if self.current.is_some() {
            return;
        }
        self.waiting.retain(|job| !job.is_given_up());
        let Some(job) = self.waiting.pop_front() else { return };
        let (routes, worker) = (job.routes(), worker(self.report.clone()));
        let (worker, closing) = match job {
            Job::Change { change, services, done } => {
                let made = async move {
                    Made::Change(worker.change(*change, services).await.map(Box::new), done)
                };
                (tokio::spawn(made), None)
            }
            Job::CloseProxy { proxy, done } => {
                let made = async move { Made::Closing(worker.close_proxy(&proxy).await) };
                (tokio::spawn(made), Some(done))
            }
        };
        self.current = Some(Current { worker, closing, routes });
    }

    /// The next thing heard of the job under way. Safe to cancel.
    pub(super) async fn heard(&mut self) -> Heard {
        let Some(current) = &mut self.current else { return std::future::pending().await };
        tokio::select! {
            // A worker that is over has been heard to the end: it waits for each report's answer.
            Some(step) = self.reported.recv() => Heard::Step(Box::new(step)),
            made = &mut current.worker => {
                let closing = current.closing.take();
                self.current = None;
                Heard::Over(made.map(|made| match made {
                    Made::Change(changed, done) => Outcome::Changed(changed, done),
                    Made::Closing(closed) => Outcome::ProxyClosed(closed, closing),
                }))
            }
        }
    }

    /// Gives up the job under way and all that wait: the session is over. Answers who waits until nothing
    /// goes through a deleted proxy any more, which that alone does not say.
    pub(super) fn stop(&mut self) -> Vec<oneshot::Sender<()>> {
        let mut closings: Vec<_> = self.waiting.drain(..).filter_map(Job::closing).collect();
        if let Some(current) = self.current.take() {
            self.unsettled |= current.routes;
            current.worker.abort();
            closings.extend(current.closing);
        }
        closings
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        drop(self.stop());
    }
}

/// See [`Queue::heard`].
pub(super) enum Heard {
    Step(Box<Step>),
    Over(Result<Outcome, JoinError>),
}

/// What a worker works on.
pub(super) fn worker(
    session: &LiveSession,
    row: &SessionRow,
    route: &browserd_protocol::Route,
    steps: mpsc::Sender<Step>,
) -> Worker {
    Worker { session: session.clone(), row: row.clone(), route: route.clone(), steps }
}
