//! Names to addresses, on the host's side.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{Semaphore, oneshot};

/// A future in a box, for traits used behind `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Looks names up. The answer is used for one connection and never asked for again on its behalf,
/// so an answer that changes between check and use changes nothing.
pub trait Resolver: Send + Sync + 'static {
    /// All addresses of `name`, best first.
    ///
    /// # Errors
    /// Whatever kept it from finding one.
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// How many lookups may be under way; each holds a thread, and a lookup cannot be cancelled.
const LOOKUPS: usize = 8;

/// The host's own resolver (`getaddrinfo`).
#[derive(Debug)]
pub struct SystemResolver {
    slots: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { slots: Arc::new(Semaphore::new(LOOKUPS)) }
    }
}

impl Resolver for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(io::Error::other)?;
            let name = name.to_owned();
            let (answer, answered) = oneshot::channel();
            // A task of its own, so that the slot stays taken for as long as the thread is busy,
            // even when the caller has given up.
            tokio::spawn(async move {
                let found = tokio::net::lookup_host((name.as_str(), 0))
                    .await
                    .map(|addrs| addrs.map(|addr| addr.ip()).collect());
                drop(slot);
                // The caller may be gone; then the answer is dropped.
                answer.send(found).ok();
            });
            answered.await.map_err(io::Error::other)?
        })
    }
}
