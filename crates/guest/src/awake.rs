//! Who inside wants the session to stay awake while no client uses it.

use browserd_protocol::GuestReport;
use tokio::sync::watch;

use crate::init::ShimLine;

/// Counts them. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Awake(std::sync::Arc<watch::Sender<usize>>);

impl Awake {
    /// The session does not stand by until what this answers is dropped.
    #[must_use]
    pub fn hold(&self) -> Hold {
        self.0.send_modify(|count| *count += 1);
        Hold(self.clone())
    }

    /// Tells the shim whenever the first comes or the last goes.
    pub async fn report(self, shim: ShimLine) {
        let mut count = self.0.subscribe();
        let mut told = false;
        while let Ok(wanted) = count.wait_for(|count| (*count > 0) != told).await.map(|n| *n > 0) {
            shim.report(GuestReport::StayAwake { wanted }).await;
            told = wanted;
        }
    }
}

/// Held by whoever wants the session awake.
#[derive(Debug)]
pub struct Hold(Awake);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[tokio::test]
    async fn the_first_and_the_last_are_told() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (shim, _commands) = ShimLine::new(theirs).unwrap();
        let awake = Awake::default();
        tokio::spawn(awake.clone().report(shim));
        let (first, second) = (awake.hold(), awake.hold());
        let mut lines = BufReader::new(ours).lines();
        let mut next = async || {
            let (line, rest) =
                tokio::task::spawn_blocking(move || (lines.next(), lines)).await.unwrap();
            lines = rest;
            serde_json::from_str::<GuestReport>(&line.unwrap().unwrap()).unwrap()
        };
        assert_eq!(next().await, GuestReport::StayAwake { wanted: true });
        drop(first);
        drop(second);
        assert_eq!(next().await, GuestReport::StayAwake { wanted: false });
    }
}
