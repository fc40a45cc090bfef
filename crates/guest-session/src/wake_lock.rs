//! Wake locks: while a process inside holds one, the session is not suspended though no client uses it.

use browserd_protocol::GuestReport;
use tokio::sync::watch;

use crate::shim::ShimLine;

/// Counts the locks that are held. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct WakeLocks(std::sync::Arc<watch::Sender<usize>>);

impl WakeLocks {
    /// The session is not suspended until what this answers is dropped.
    #[must_use]
    pub fn acquire(&self) -> WakeLock {
        self.0.send_modify(|count| *count += 1);
        WakeLock(self.clone())
    }

    /// Tells the shim whenever the first lock is taken or the last one dropped.
    pub async fn report(self, shim: ShimLine) {
        let mut count = self.0.subscribe();
        let mut told = false;
        while let Ok(held) = count.wait_for(|count| (*count > 0) != told).await.map(|n| *n > 0) {
            shim.report(GuestReport::WakeLock { held }).await;
            told = held;
        }
    }
}

/// Keeps the session from being suspended until it is dropped.
#[derive(Debug)]
pub struct WakeLock(WakeLocks);

impl Drop for WakeLock {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, BufReader};

    use super::*;

    #[tokio::test]
    async fn the_first_and_the_last_are_told() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let (shim, _commands) = ShimLine::new(theirs).unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut lines = BufReader::new(tokio::net::UnixStream::from_std(ours).unwrap()).lines();
        let locks = WakeLocks::default();
        tokio::spawn(locks.clone().report(shim));
        let (first, second) = (locks.acquire(), locks.acquire());
        let mut told = async || lines.next_line().await.unwrap().unwrap();
        let report = |held| serde_json::to_string(&GuestReport::WakeLock { held }).unwrap();
        assert_eq!(told().await, report(true));
        drop(first);
        drop(second);
        assert_eq!(told().await, report(false));
    }
}
