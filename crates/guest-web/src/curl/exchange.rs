//! One request: navigate a hidden target, put the request in before it is sent, stop after the head
//! of the answer.

use std::sync::Arc;

use browserd_api::curl::CurlMethod;
use browserd_chromium::cdp::CdpError;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;
use url::Url;

use super::answer::{Answer, Head};
use super::body::{Body, Held};
use super::events::{Events, Paused, Said};
use super::failure::{Failure, Refusal};
use super::target::Target;
use super::{Curl, headers};

/// Chromium's code for a session that is not there any more.
const NO_SESSION: i64 = -32001;
/// How Chromium begins when it does not let a header be set.
const UNSAFE: &str = "Unsafe header: ";
/// The header with which the session's gateway says that it did not pass a request on. It takes the
/// header out of what servers answer.
const GATEWAY: &str = "x-kernel-proxy-error";
/// Most bytes read of what the gateway says.
const GATEWAY_WORDS: usize = 16 << 10;

/// What to send.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) url: Url,
    pub(super) method: CurlMethod,
    /// Laid over the browser's own.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<Bytes>,
}

/// How a navigation ended.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Navigated {
    #[serde(default)]
    error_text: Option<String>,
}

pub(super) type Navigation = JoinHandle<Result<Navigated, CdpError>>;

enum Next {
    Said(Said),
    Navigated(Result<Navigated, CdpError>),
}

impl Curl {
    /// Makes a request; answers once the head of the answer is there. When the future is dropped the
    /// request is given up.
    pub(super) async fn send(&self, request: Request) -> Result<Answer, Failure> {
        let slots = Arc::clone(&self.0.slots);
        let mut slot = slots.acquire_owned().await.map_err(|_| Failure::Gone)?;
        loop {
            let running = self.0.browser.running().await?;
            let target = self.0.pool.take(running).await?;
            let cdp = target.cdp.clone();
            let exchange = Exchange::begin(self, target, request.clone(), slot);
            let answer = tokio::select! {
                answer = exchange.run() => answer,
                () = cdp.closed() => return Err(Failure::Gone),
            };
            match answer {
                // Somebody has closed a kept target; nothing was sent.
                Err((Failure::Cdp(CdpError::Refused { code: NO_SESSION, .. }), Some(back))) => {
                    slot = back;
                }
                Err((failure, _)) => return Err(failure),
                Ok(answer) => return Ok(answer),
            }
        }
    }
}

struct Exchange {
    curl: Curl,
    target: Target,
    events: Events,
    request: Request,
    slot: OwnedSemaphorePermit,
    /// Gone once it has ended.
    navigation: Option<Navigation>,
    /// Chromium's name for the request, once it is known.
    network_id: Option<String>,
    cookies: Vec<String>,
}

impl Exchange {
    fn begin(curl: &Curl, target: Target, request: Request, slot: OwnedSemaphorePermit) -> Self {
        let events = Events::of(&target);
        let (cdp, session) = (target.cdp.clone(), target.session.clone());
        let params = json!({ "url": request.url.as_str() });
        let navigation =
            tokio::spawn(async move { cdp.call(Some(&session), "Page.navigate", params).await });
        Self {
            curl: curl.clone(),
            target,
            events,
            request,
            slot,
            navigation: Some(navigation),
            network_id: None,
            cookies: Vec::new(),
        }
    }

    /// The failure comes with the slot when nothing was sent.
    async fn run(mut self) -> Result<Answer, (Failure, Option<OwnedSemaphorePermit>)> {
        match self.head().await {
            Ok(paused) => self.answer(paused).await.map_err(|failure| (failure, None)),
            Err(failure) => {
                let unsent = self.network_id.is_none().then_some(self.slot);
                Err((failure, unsent))
            }
        }
    }

    /// Lets the request go and waits for the head of the answer.
    async fn head(&mut self) -> Result<Paused, Failure> {
        loop {
            match self.next().await? {
                Next::Said(Said::Paused(paused)) if paused.response_status_code.is_some() => {
                    return Ok(*paused);
                }
                // There is no answer. The reason is told, in more detail than here, when the
                // navigation fails of it.
                Next::Said(Said::Paused(paused)) if paused.response_error_reason.is_some() => {
                    let params = json!({ "requestId": paused.request_id });
                    self.target.call("Fetch.continueRequest", params).await?;
                }
                Next::Said(Said::Paused(paused)) => self.release(*paused).await?,
                Next::Said(said) => self.note(said)?,
                Next::Navigated(Ok(Navigated { error_text: Some(text) })) => {
                    return Err(Failure::Net(text));
                }
                Next::Navigated(Ok(_)) => return Err(Failure::Net("ERR_UNEXPECTED".into())),
                // It waits for the answer just as we do, with less patience.
                Next::Navigated(Err(CdpError::TimedOut { .. })) => {}
                Next::Navigated(Err(error)) => return Err(error.into()),
            }
        }
    }

    async fn next(&mut self) -> Result<Next, Failure> {
        let Some(navigation) = &mut self.navigation else {
            return self.events.next(&self.target).await.map(Next::Said);
        };
        tokio::select! {
            biased;
            said = self.events.next(&self.target) => said.map(Next::Said),
            navigated = navigation => {
                self.navigation = None;
                navigated.map(Next::Navigated).map_err(Failure::Lost)
            }
        }
    }

    fn note(&mut self, said: Said) -> Result<(), Failure> {
        match said {
            Said::Extra(extra) if Some(&extra.request_id) == self.network_id.as_ref() => {
                self.cookies = extra
                    .headers
                    .into_iter()
                    .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"))
                    .flat_map(|(_, values)| {
                        values.split('\n').map(str::to_owned).collect::<Vec<_>>()
                    })
                    .collect();
                Ok(())
            }
            Said::Failed(failed) if Some(&failed.request_id) == self.network_id.as_ref() => {
                Err(Failure::Net(failed.error_text))
            }
            _ => Ok(()),
        }
    }

    /// Puts method, headers and body into the paused request and sends it.
    async fn release(&mut self, paused: Paused) -> Result<(), Failure> {
        let mut params = json!({ "requestId": paused.request_id });
        if self.request.method != CurlMethod::Get {
            params["method"] = self.request.method.as_str().into();
        }
        if !self.request.headers.is_empty() {
            params["headers"] = headers::merge(paused.request.headers, &self.request.headers);
        }
        if let Some(body) = &self.request.body {
            params["postData"] = base64_simd::STANDARD.encode_to_string(body).into();
        }
        self.network_id = paused.network_id;
        self.target.call("Fetch.continueRequest", params).await.map_err(|error| match error {
            CdpError::Refused { message, .. } if message.starts_with(UNSAFE) => {
                Failure::Header(message[UNSAFE.len()..].to_owned())
            }
            other => other.into(),
        })
    }

    async fn answer(mut self, paused: Paused) -> Result<Answer, Failure> {
        let status = paused.response_status_code.unwrap_or_default();
        let take = json!({ "requestId": paused.request_id });
        let session = Some(&self.target.session);
        let taken = self.target.cdp.call(session, "Fetch.takeResponseBodyAsStream", take).await;
        let stream: Option<Stream> = match taken {
            Ok(stream) => Some(stream),
            // Chromium reads no body of a redirection that says where to.
            Err(CdpError::Refused { .. }) if (300..400).contains(&status) => None,
            Err(error) => return Err(error.into()),
        };
        // What scripts may not see of the head is told apart from it, but before the answer above.
        while let Some(said) = self.events.there(&self.target) {
            self.note(said)?;
        }
        let mut headers: Vec<(String, String)> =
            paused.response_headers.into_iter().map(|header| (header.name, header.value)).collect();
        headers.retain(|(name, _)| !name.eq_ignore_ascii_case("set-cookie"));
        headers.extend(self.cookies.drain(..).map(|cookie| ("Set-Cookie".to_owned(), cookie)));
        let held = Held {
            target: self.target,
            pool: self.curl.0.pool.clone(),
            navigation: self.navigation,
            request_id: paused.request_id,
            _slot: self.slot,
        };
        let head = Head { url: self.request.url, status, headers };
        let length = head.length().filter(|_| self.request.method != CurlMethod::Head);
        let length = length.filter(|_| stream.is_some());
        let body = Body::new(held, stream.map(|stream| stream.stream), length);
        let mut answer = Answer { head, body };
        if answer.head.url.scheme() == "http" && answer.head.header(GATEWAY).is_some() {
            let words = answer.body.whole(GATEWAY_WORDS).await?;
            let refusal = serde_json::from_slice::<Refusal>(&words).unwrap_or_default();
            return Err(Failure::Gateway(refusal));
        }
        Ok(answer)
    }
}

#[derive(Deserialize)]
struct Stream {
    stream: String,
}
