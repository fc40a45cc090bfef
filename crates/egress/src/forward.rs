//! Plain HTTP: one request to one origin and its answer back, bodies streamed both ways.
//!
//! ```text
//!  client request ─ check, rewrite ─▶ kept connection to the same origin, if it still stands
//!                                   └▶ new connection (name looked up, address checked)
//!       ◀─ 101: both sides become a tunnel ─┤
//!       ◀─ answer, body streamed ───────────┤  the connection is kept for the next request
//!       ◀─ odd answer, as it came ──────────┘  and nothing else over either connection
//! ```

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::PROXY_AUTHORIZATION;
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Uri, Version};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, sleep_until, timeout};

use crate::connect::Opened;
use crate::connection::{Client, Tunnel};
use crate::destination::Destination;
use crate::headers::{self, Framing};
use crate::odd_answer::{self, OddAnswer};
use crate::proxy::{self, Proxy, Purpose};
use crate::refusal::{Malformed, Refusal, Stage};
use crate::stream::Stream;
use crate::tape::Taped;

/// How long a kept connection may take to become free after its last answer has been passed on. It
/// is only bookkeeping inside the process; when it is not done by then, something is unfinished.
const FREE_AGAIN: Duration = Duration::from_millis(100);

/// Largest head of an answer that is read here, and most that is read ahead of a slow client, bytes. A larger one
/// is passed on as it came.
const ANSWER_HEAD: usize = 32 * 1024;

/// An open connection to an origin.
pub(crate) struct Upstream {
    dest: Destination,
    /// Set when requests name the whole URL, for this proxy to forward.
    forwarder: Option<Arc<Proxy>>,
    sender: SendRequest<Watched>,
    driver: Driver,
    stream: Taped<Stream>,
}

impl Upstream {
    /// What came that is no proper answer; none: it may not be passed on.
    async fn odd_answer(self, limit: Duration) -> Option<OddAnswer> {
        let (stream, read) = self.stream.take()?;
        drop(self.driver);
        timeout(limit, OddAnswer::read(stream, read)).await.ok().flatten()
    }
}

/// The task that moves a connection's bytes; ends with this value.
pub(crate) struct Driver(JoinHandle<()>);

impl Driver {
    /// Moves them. The request's own answer says what went wrong.
    pub(crate) fn of<F: Future + Send + 'static>(connection: F) -> Self {
        Self(tokio::spawn(async move {
            connection.await;
        }))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Why there is no answer.
pub(crate) enum Failure {
    /// Tell the client.
    Refused(Refusal),
    /// The kept connection broke while the request was on it. The client sees its own connection
    /// close, as it would without a proxy, and knows whether to repeat the request.
    Broken,
    /// The answer is passed on as it came, over the client's bare connection.
    Odd(OddAnswer),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Forwards one absolute-form request.
pub(crate) async fn forward(
    client: &Client,
    mut request: Request<Incoming>,
    dest: Destination,
) -> Result<Response<Incoming>, Failure> {
    let framing = headers::framing(request.headers()).map_err(Refusal::from)?;
    let wanted = headers::upgrade(request.headers());
    if wanted.is_some() && (framing == Framing::Chunked || !request.body().is_end_stream()) {
        let what = Malformed("a request that asks for an upgrade cannot have a body");
        return Err(Refusal::from(what).into());
    }
    let client_side = wanted.is_some().then(|| hyper::upgrade::on(&mut request));
    headers::for_origin(request.headers_mut(), &dest, framing, wanted.as_ref());
    let path = path_of(request.uri());
    *request.version_mut() = Version::HTTP_11;
    let is_whole = request.body().is_end_stream();
    let progress = Arc::new(Mutex::new(Progress { last_byte: Instant::now(), is_whole }));
    let request = request.map(|inner| Watched { inner, progress: Arc::clone(&progress) });

    // Whoever gives up plain HTTP goes on over the same connection, which must lead to the origin then.
    let purpose = if wanted.is_some() { Purpose::Tunnel } else { Purpose::Requests };
    let target = Target { dest: &dest, path, purpose };
    let (mut response, upstream) = exchange(client, request, &target, &progress).await?;
    if upstream.forwarder.is_some()
        && response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED
    {
        return Err(proxy::refused(&dest, response.status()).into());
    }

    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let agreed = headers::upgrade(response.headers());
        let (Some(client_side), Some(agreed)) = (client_side, agreed) else {
            return Err(Refusal::Answer(dest).into());
        };
        let upstream_side = hyper::upgrade::on(&mut response);
        headers::for_client(response.headers_mut(), Some(&agreed));
        client.set_tunnel(Tunnel::Upgraded {
            client: client_side,
            upstream: upstream_side,
            driver: upstream.driver,
        });
        return Ok(response);
    }
    let is_odd = headers::framing(response.headers()).map_or(true, |framing| {
        let is_chunked = framing == Framing::Chunked;
        upstream.stream.forget_unless(|answer| is_chunked && odd_answer::has_odd_chunks(answer))
    });
    if is_odd {
        return Err(odd_or_refused(client, upstream, &dest, &progress).await);
    }
    headers::for_client(response.headers_mut(), None);
    client.keep(upstream);
    Ok(response)
}

/// Sends the request over the kept connection if there is one, otherwise over a new one.
async fn exchange(
    client: &Client,
    mut request: Request<Watched>,
    target: &Target<'_>,
    progress: &Mutex<Progress>,
) -> Result<(Response<Incoming>, Upstream), Failure> {
    let dest = target.dest;
    if let Some(mut kept) = reuse(client, target).await {
        target.write(&mut request, &kept);
        match send(client, &mut kept, request, progress).await {
            Ok(response) => return Ok((response, kept)),
            Err(Unsent::Returned(again)) => request = *again,
            Err(Unsent::TimedOut) => {
                return Err(Refusal::Timeout(dest.clone(), Stage::Answer).into());
            }
            Err(Unsent::Odd) => return Err(odd_or_refused(client, kept, dest, progress).await),
            Err(Unsent::Lost) => return Err(Failure::Broken),
        }
    }
    let opened = client.connect(dest, target.purpose).await?;
    let mut fresh = handshake(opened, dest).await?;
    target.write(&mut request, &fresh);
    match send(client, &mut fresh, request, progress).await {
        Ok(response) => Ok((response, fresh)),
        Err(Unsent::TimedOut) => Err(Refusal::Timeout(dest.clone(), Stage::Answer).into()),
        Err(Unsent::Odd | Unsent::Lost) => Err(odd_or_refused(client, fresh, dest, progress).await),
        Err(Unsent::Returned(_)) => Err(Refusal::Answer(dest.clone()).into()),
    }
}

/// What becomes of an answer that is no proper one. While the request is not sent as a whole it cannot be passed
/// on: nobody would send the rest.
async fn odd_or_refused(
    client: &Client,
    upstream: Upstream,
    dest: &Destination,
    progress: &Mutex<Progress>,
) -> Failure {
    let is_whole = progress.lock().is_whole;
    let odd = if is_whole { upstream.odd_answer(client.limits().answer).await } else { None };
    odd.map_or_else(|| Refusal::Answer(dest.clone()).into(), Failure::Odd)
}

/// The kept connection, if it goes where this request goes, still may, and is free.
async fn reuse(client: &Client, target: &Target<'_>) -> Option<Upstream> {
    let mut kept = client.take_kept()?;
    let forwarded = kept.forwarder.is_some() && target.purpose == Purpose::Tunnel;
    if kept.dest != *target.dest || forwarded || kept.sender.is_closed() || !client.still_allowed()
    {
        return None;
    }
    matches!(timeout(FREE_AGAIN, kept.sender.ready()).await, Ok(Ok(()))).then_some(kept)
}

async fn handshake(opened: Opened, dest: &Destination) -> Result<Upstream, Refusal> {
    let Opened { stream, early, forwarder, .. } = opened;
    // An HTTP server does not speak first.
    if !early.is_empty() {
        return Err(Refusal::Answer(dest.clone()));
    }
    let stream = Taped::new(stream);
    let (sender, connection) = Builder::new()
        .max_buf_size(ANSWER_HEAD)
        .max_header_size(ANSWER_HEAD)
        .preserve_header_case(true)
        .handshake(TokioIo::new(stream.clone()))
        .await
        .map_err(|_| Refusal::Answer(dest.clone()))?;
    let driver = Driver::of(connection.with_upgrades());
    Ok(Upstream { dest: dest.clone(), forwarder, sender, driver, stream })
}

/// Why a request has no answer.
enum Unsent {
    /// Nothing of it was sent; here it is again.
    Returned(Box<Request<Watched>>),
    /// It was sent, at least in part, and the connection broke.
    Lost,
    /// The answer cannot be read.
    Odd,
    TimedOut,
}

/// Sends a request and waits for the head of its answer: at most [`crate::Limits::answer`] after
/// the last byte of the request, however long that takes to arrive.
async fn send(
    client: &Client,
    upstream: &mut Upstream,
    request: Request<Watched>,
    progress: &Mutex<Progress>,
) -> Result<Response<Incoming>, Unsent> {
    progress.lock().last_byte = Instant::now();
    upstream.stream.record();
    let mut answer = std::pin::pin!(upstream.sender.try_send_request(request));
    loop {
        let deadline = progress.lock().last_byte + client.limits().answer;
        tokio::select! {
            biased;
            answered = &mut answer => {
                return answered.map_err(|mut e| match e.take_message() {
                    Some(request) => Unsent::Returned(Box::new(request)),
                    None if e.error().is_parse() => Unsent::Odd,
                    None => Unsent::Lost,
                });
            }
            () = sleep_until(deadline) => {
                if progress.lock().last_byte + client.limits().answer <= Instant::now() {
                    return Err(Unsent::TimedOut);
                }
            }
        }
    }
}

/// Where a request goes.
struct Target<'a> {
    dest: &'a Destination,
    /// With the query.
    path: PathAndQuery,
    purpose: Purpose,
}

impl Target<'_> {
    /// Names the target as whoever is at the other end expects it.
    fn write<B>(&self, request: &mut Request<B>, upstream: &Upstream) {
        let headers = request.headers_mut();
        headers.remove(PROXY_AUTHORIZATION);
        let whole = upstream.forwarder.as_ref().and_then(|proxy| {
            if let Some(authorization) = proxy.authorization() {
                headers.insert(PROXY_AUTHORIZATION, authorization.clone());
            }
            let authority = self.dest.host_header();
            let parts = Uri::builder().scheme("http").authority(authority);
            parts.path_and_query(self.path.clone()).build().ok()
        });
        *request.uri_mut() = whole.unwrap_or_else(|| Uri::from(self.path.clone()));
    }
}

/// The path and query of an absolute URL.
fn path_of(uri: &Uri) -> PathAndQuery {
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    PathAndQuery::try_from(path).unwrap_or(PathAndQuery::from_static("/"))
}

/// How far the body of a request has come.
struct Progress {
    last_byte: Instant,
    is_whole: bool,
}

/// A request body that notes how far it has come.
pub(crate) struct Watched {
    inner: Incoming,
    progress: Arc<Mutex<Progress>>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(frame) = &polled {
            let is_whole = frame.is_none() || self.inner.is_end_stream();
            *self.progress.lock() = Progress { last_byte: Instant::now(), is_whole };
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_path_and_query_reach_the_origin() {
        for (uri, want) in [
            ("http://a.example", "/"),
            ("http://a.example/", "/"),
            ("http://a.example/b/c?d=e", "/b/c?d=e"),
            ("http://a.example?d=e", "/?d=e"),
            ("http://a.example//evil.example/x", "//evil.example/x"),
        ] {
            assert_eq!(path_of(&uri.parse().expect("a URI")).to_string(), want, "{uri}");
        }
    }
}
