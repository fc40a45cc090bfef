//! What a change needs of others, as a test wants it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use browserd_api::browser::{LocationRequest, Viewport};
use browserd_api::profiles::ProfileInUse;
use browserd_api::proxies::{ProxyProtocol, Upstream};
use browserd_api::{ApiError, ErrorCode, ProfileId, ProxyId, Timestamp};
use browserd_fleet::{
    ChangeServices, LiveSession, ProfileChoice, ProxyChoice, SessionView, StepError,
};
use browserd_protocol::Route;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// Serves every step, and notes what it did.
pub(crate) struct Services {
    /// Each resize takes one of these.
    pub(crate) resizes: Semaphore,
    /// What resizes answer next; they succeed when there is nothing here.
    pub(crate) answers: Mutex<VecDeque<Result<(), StepError>>>,
    /// The sizes windows were given.
    pub(crate) sizes: Mutex<Vec<Viewport>>,
    /// Pages that were opened.
    pub(crate) opened: Mutex<Vec<String>>,
    busy: AtomicBool,
}

impl Services {
    pub(crate) fn new() -> Arc<Self> {
        Self::with_resizes(Semaphore::MAX_PERMITS)
    }

    /// Only so many resizes get to their end, until there are more permits.
    pub(crate) fn with_resizes(resizes: usize) -> Arc<Self> {
        Arc::new(Self {
            resizes: Semaphore::new(resizes),
            answers: Mutex::default(),
            sizes: Mutex::default(),
            opened: Mutex::default(),
            busy: AtomicBool::new(false),
        })
    }

    /// Whether a resize is under way.
    pub(crate) fn resizing(&self) -> bool {
        self.busy.load(Ordering::SeqCst)
    }
}

pub(crate) fn refusal() -> ApiError {
    ApiError::new(ErrorCode::UpstreamUnavailable, "not today")
}

/// The route through the proxy of this name; it says which one it is.
pub(crate) fn route_of(proxy: &ProxyId) -> Route {
    Route::Upstream(Box::new(upstream(proxy.as_str())))
}

pub(crate) fn upstream(host: &str) -> Upstream {
    Upstream {
        protocol: ProxyProtocol::Http,
        host: host.to_owned(),
        port: 3128,
        username: None,
        password: None,
        bypass_hosts: Vec::new(),
    }
}

#[async_trait]
impl ChangeServices for Services {
    async fn may_resize(&self, _: &SessionView) -> Result<(), ApiError> {
        Ok(())
    }

    async fn route(&self, choice: &ProxyChoice) -> Result<(Option<ProxyId>, Route), ApiError> {
        match choice {
            ProxyChoice::Direct => Ok((None, Route::Direct)),
            ProxyChoice::Id(id) => Ok((Some(id.clone()), route_of(id))),
            ProxyChoice::Name(_) => Err(refusal()),
        }
    }

    async fn profile(
        &self,
        choice: &ProfileChoice,
        _: &SessionView,
    ) -> Result<ProfileId, ApiError> {
        choice.id_or_name.parse().map_err(|_| refusal())
    }

    async fn load_profile(
        &self,
        _: &LiveSession,
        id: &ProfileId,
        save_changes: bool,
    ) -> Result<ProfileInUse, StepError> {
        let (id, created_at) = (id.clone(), Timestamp::now());
        Ok(ProfileInUse { id, name: None, created_at, save_changes, save_error: None })
    }

    async fn resize(&self, _: &LiveSession, viewport: Viewport) -> Result<(), StepError> {
        assert!(!self.busy.swap(true, Ordering::SeqCst), "two changes at once");
        if let Ok(permit) = self.resizes.acquire().await {
            permit.forget();
        }
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let answer = self.answers.lock().pop_front().unwrap_or(Ok(()));
        if answer.as_ref().map_or_else(|error| error.maybe_done, |()| true) {
            self.sizes.lock().push(viewport);
        }
        self.busy.store(false, Ordering::SeqCst);
        answer
    }

    async fn relocate(&self, _: &LiveSession, _: LocationRequest) -> Result<(), StepError> {
        Ok(())
    }

    async fn open(&self, _: &LiveSession, url: &str) -> Result<(), StepError> {
        self.opened.lock().push(url.to_owned());
        Ok(())
    }
}
