//! What every [`Runtime`] must do, as checks that panic where it does not.
//!
//! Owns the checks, not the runtimes: a test of a runtime passes a maker of [`Subject`]s.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use browserd_api::browser::EndReason;
use browserd_api::proxies::{ProxyProtocol, Upstream};
use browserd_api::{ReplayId, SessionId};
use browserd_protocol::Route;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    ByteStream, Class, CommandError, Instance, Runtime, RuntimeEvent, StartError, Urgency,
};

/// A runtime, and a hand in what its sessions do. Their guests and browsers send back what they get.
pub trait Subject: Send + Sync {
    /// The runtime.
    fn runtime(&self) -> Arc<dyn Runtime>;

    /// Starts do not get to their end from now on.
    fn hold_starts(&self);

    /// The route a session's gateway takes.
    fn route(&self, session: &SessionId) -> Route;

    /// The gateways refuse the next route.
    fn refuse_next_route(&self);

    /// The guest has a file with this content on offer; answers its ticket.
    fn offer(&self, session: &SessionId, content: &[u8]) -> u64;

    /// The session has the file of a recording with this content inside.
    fn record(&self, session: &SessionId, replay: &ReplayId, content: &[u8]);

    /// The session ends by itself, without a word.
    fn crash(&self, session: &SessionId);

    /// Whether anything is left of a session.
    fn is_left(&self, session: &SessionId) -> bool;
}

/// Longer than anything here takes.
const SOON: Duration = Duration::from_secs(20);

/// A session that runs.
struct Running {
    id: SessionId,
    instance: Box<dyn Instance>,
    events: mpsc::Receiver<RuntimeEvent>,
}

/// Runs every check, each with a runtime of its own.
///
/// # Panics
/// Where the runtime does not do what [`Runtime`] and [`Instance`] say.
pub async fn check<S: Subject>(subject: impl Fn() -> S) {
    an_end_is_the_last_event(&subject()).await;
    a_crash_is_told(&subject()).await;
    ended_sessions_do_nothing(&subject()).await;
    connections_carry_bytes(&subject()).await;
    files_are_taken_once_offered(&subject()).await;
    routes_are_in_force_when_answered(&subject()).await;
    a_refused_route_changes_nothing(&subject()).await;
    one_started_ahead_becomes_what_is_asked(&subject()).await;
    freezing_says_how_it_is(&subject()).await;
    pings_are_answered(&subject()).await;
    a_start_can_be_called_off(&subject()).await;
    an_earlier_servers_sessions_are_cleared_away(&subject()).await;
    recordings_outlive_their_session(&subject()).await;
    rescued_recordings_go_unless_they_are_to_be_kept(&subject()).await;
}

async fn begin(subject: &impl Subject, urgency: Urgency) -> Result<Running, StartError> {
    let (id, config) = (SessionId::generate(), Class::HEADLESS.template());
    let (sender, events) = mpsc::channel(16);
    let runtime = subject.runtime();
    let started = runtime.start(&id, &config, &Route::Direct, urgency, sender);
    let instance = within(started).await?;
    Ok(Running { id, instance, events })
}

async fn running(subject: &impl Subject) -> Running {
    begin(subject, Urgency::Now).await.unwrap_or_else(|error| panic!("it does not start: {error}"))
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, what).await.unwrap_or_else(|_| panic!("no answer in {SOON:?}"))
}

impl Running {
    /// Why it ended; nothing comes after that.
    async fn ended(&mut self) -> EndReason {
        loop {
            match within(self.events.recv()).await {
                Some(RuntimeEvent::Ended { reason, .. }) => {
                    assert_eq!(within(self.events.recv()).await, None, "its end is the last event");
                    return reason;
                }
                Some(_) => {}
                None => panic!("its end was not told"),
            }
        }
    }
}

fn upstream(host: &str) -> Route {
    Route::Upstream(Box::new(Upstream {
        protocol: ProxyProtocol::Http,
        host: host.to_owned(),
        port: 3128,
        username: None,
        password: None,
        bypass_hosts: Vec::new(),
    }))
}

/// The reason of the first command is told, once, when nothing is left; another command does no harm.
async fn an_end_is_the_last_event(subject: &impl Subject) {
    for reason in [EndReason::Deleted, EndReason::TimedOut, EndReason::ServerShutdown] {
        let mut session = running(subject).await;
        assert!(subject.is_left(&session.id));
        session.instance.end(reason);
        session.instance.end(EndReason::Crashed);
        assert_eq!(session.ended().await, reason);
        assert!(!subject.is_left(&session.id), "something is left");
    }
}

/// An end by itself is told as well, and leaves as little.
async fn a_crash_is_told(subject: &impl Subject) {
    let mut session = running(subject).await;
    subject.crash(&session.id);
    assert_eq!(session.ended().await, EndReason::Crashed);
    assert!(!subject.is_left(&session.id), "something is left");
}

/// Every call to an ended session fails, and soon.
async fn ended_sessions_do_nothing(subject: &impl Subject) {
    let mut session = running(subject).await;
    session.instance.end(EndReason::Deleted);
    session.ended().await;
    let instance = &*session.instance;
    assert!(within(instance.dial_guest()).await.is_err());
    assert!(within(instance.dial_browser()).await.is_err());
    assert!(within(instance.take_file(1)).await.is_err());
    assert_eq!(within(instance.route(Route::Closed)).await, Err(CommandError::Gone));
    assert_eq!(within(instance.ping()).await, Err(CommandError::Gone));
    let config = Class::HEADLESS.template();
    assert!(within(instance.assign(&config, &Route::Direct, true)).await.is_err());
    instance.end(EndReason::Deleted);
}

async fn echoes(stream: io::Result<ByteStream>, said: &[u8]) {
    let mut stream = stream.unwrap_or_else(|error| panic!("no connection: {error}"));
    within(stream.write_all(said)).await.expect("it takes bytes");
    let mut heard = vec![0; said.len()];
    within(stream.read_exact(&mut heard)).await.expect("it gives bytes");
    assert_eq!(heard, said);
}

/// Every connection is one of its own, to the guest and to the browser.
async fn connections_carry_bytes(subject: &impl Subject) {
    let session = running(subject).await;
    let (first, second) = (session.instance.dial_guest(), session.instance.dial_guest());
    let (first, second) = within(async { tokio::join!(first, second) }).await;
    echoes(second, b"second").await;
    echoes(first, b"first").await;
    let browser = within(session.instance.dial_browser()).await;
    let browser = browser.unwrap_or_else(|error| panic!("no connection to the browser: {error}"));
    assert!(browser.path.starts_with("/devtools/browser/"), "{browser:?}");
    assert!(browser.host.contains(':'), "{browser:?}");
    echoes(Ok(browser.stream), b"to the browser").await;
}

/// A ticket gives its file, and no other ticket does.
async fn files_are_taken_once_offered(subject: &impl Subject) {
    let session = running(subject).await;
    let ticket = subject.offer(&session.id, b"content");
    assert!(within(session.instance.take_file(ticket + 1)).await.is_err());
    let file = within(session.instance.take_file(ticket)).await.expect("it is on offer");
    assert_eq!(io::read_to_string(file).expect("it can be read"), "content");
}

/// What was answered last is in force, however many are asked for at once.
async fn routes_are_in_force_when_answered(subject: &impl Subject) {
    let session = running(subject).await;
    assert_eq!(subject.route(&session.id), Route::Direct);
    for route in [upstream("one"), Route::Closed, upstream("two"), Route::Direct] {
        within(session.instance.route(route.clone())).await.expect("it is taken");
        assert_eq!(subject.route(&session.id), route);
    }
    let (one, two) =
        (session.instance.route(upstream("one")), session.instance.route(Route::Closed));
    let answers = within(async { tokio::join!(one, two) }).await;
    assert_eq!(answers, (Ok(()), Ok(())));
}

/// A refusal says so, and the route in force stays.
async fn a_refused_route_changes_nothing(subject: &impl Subject) {
    let session = running(subject).await;
    within(session.instance.route(upstream("one"))).await.expect("it is taken");
    subject.refuse_next_route();
    let refused = within(session.instance.route(upstream("two"))).await;
    assert!(matches!(refused, Err(CommandError::Refused(_))), "{refused:?}");
    assert_eq!(subject.route(&session.id), upstream("one"));
    within(session.instance.route(Route::Closed)).await.expect("the next one is taken");
}

/// It goes out as its client wants before it is its client's.
async fn one_started_ahead_becomes_what_is_asked(subject: &impl Subject) {
    let unless = CancellationToken::new();
    let Ok(session) = begin(subject, Urgency::Ahead(unless.clone())).await else {
        panic!("it does not start ahead");
    };
    let config = Class::HEADLESS.template();
    within(session.instance.assign(&config, &upstream("one"), true)).await.expect("it is assigned");
    assert_eq!(subject.route(&session.id), upstream("one"));
    // It is a client's by now.
    unless.cancel();
    echoes(within(session.instance.dial_guest()).await, b"still there").await;
}

/// Where sessions cannot be frozen they say that they run; one that goes on runs everywhere.
async fn freezing_says_how_it_is(subject: &impl Subject) {
    let session = running(subject).await;
    let frozen = within(session.instance.freeze(true)).await;
    assert_eq!(within(session.instance.freeze(true)).await, frozen);
    // Asked in this order it is so in the end, whoever waits.
    drop(session.instance.freeze(true));
    assert!(!within(session.instance.freeze(false)).await);
    echoes(within(session.instance.dial_guest()).await, b"going on").await;
}

async fn pings_are_answered(subject: &impl Subject) {
    let session = running(subject).await;
    assert_eq!(within(session.instance.ping()).await, Ok(()));
    drop(session.instance.freeze(true));
    drop(session.instance.freeze(false));
    assert_eq!(within(session.instance.ping()).await, Ok(()));
}

/// Nothing is left of it then.
async fn a_start_can_be_called_off(subject: &impl Subject) {
    subject.hold_starts();
    let unless = CancellationToken::new();
    unless.cancel();
    let started = begin(subject, Urgency::Ahead(unless)).await;
    assert!(started.is_err(), "it was called off");
}

/// What is there when a server begins is another server's, and goes.
async fn an_earlier_servers_sessions_are_cleared_away(subject: &impl Subject) {
    let session = running(subject).await;
    let found = within(subject.runtime().reconcile()).await.expect("it can look");
    assert!(found.contains(&session.id) && !subject.is_left(&session.id), "{found:?}");
    assert!(within(subject.runtime().reconcile()).await.expect("it can look").is_empty());
}

async fn rescued(subject: &impl Subject, session: &SessionId, replay: &ReplayId) -> Option<String> {
    let file = within(subject.runtime().open_rescued(session, replay)).await.expect("it can look");
    file.map(|file| io::read_to_string(file).expect("it can be read"))
}

/// Whichever way it ended: what was recorded can be read once its end is told, until it is dropped.
async fn recordings_outlive_their_session(subject: &impl Subject) {
    let runtime = subject.runtime();
    let [ended, crashed, left] =
        [running(subject).await, running(subject).await, running(subject).await];
    let replay = ReplayId::generate();
    for session in [&ended, &crashed, &left] {
        subject.record(&session.id, &replay, b"film");
        assert_eq!(rescued(subject, &session.id, &replay).await, None, "it runs");
    }
    let [mut ended, mut crashed, left] = [ended, crashed, left];
    ended.instance.end(EndReason::Deleted);
    ended.ended().await;
    subject.crash(&crashed.id);
    crashed.ended().await;
    within(runtime.reconcile()).await.expect("it can look");
    for session in [&ended.id, &crashed.id, &left.id] {
        // It can be read again after an interruption.
        for _ in 0..2 {
            assert_eq!(rescued(subject, session, &replay).await.as_deref(), Some("film"));
        }
        assert_eq!(rescued(subject, session, &ReplayId::generate()).await, None);
    }
    for _ in 0..2 {
        within(runtime.drop_rescued(&ended.id, &replay)).await.expect("it can be dropped");
        assert_eq!(rescued(subject, &ended.id, &replay).await, None);
    }
    assert!(rescued(subject, &crashed.id, &replay).await.is_some(), "that one was not dropped");
}

async fn rescued_recordings_go_unless_they_are_to_be_kept(subject: &impl Subject) {
    let runtime = subject.runtime();
    within(runtime.drop_rescued_except(&[])).await.expect("nothing to drop is no error");
    let replay = ReplayId::generate();
    let mut all = Vec::new();
    for _ in 0..2 {
        let mut session = running(subject).await;
        subject.record(&session.id, &replay, b"film");
        session.instance.end(EndReason::Deleted);
        session.ended().await;
        all.push(session.id);
    }
    within(runtime.drop_rescued_except(&all[..1])).await.expect("they can be dropped");
    assert!(rescued(subject, &all[0], &replay).await.is_some(), "that one was to be kept");
    assert_eq!(rescued(subject, &all[1], &replay).await, None);
}
