//! A Chromium that cannot be restarted for want of descriptors comes back when there are some.

use std::time::Duration;

use crate::support::{Guest, config, run, spec};
use browserd_protocol::GuestReport;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

/// Lowers this process's limit so far that it can open nothing; answers what it was.
fn exhaust_descriptors() -> Rlimit {
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), maximum: before.maximum }).unwrap();
    before
}

pub(crate) fn a_shortage_at_a_restart_passes() {
    run(async {
        let mut guest = Guest::start(spec(config()));
        assert!(matches!(guest.report().await, GuestReport::Ready { .. }));
        let generation = guest.running().await.generation;
        let chromium = crate::support::descendants()
            .into_iter()
            .find(|(_, line)| line.contains("/chromium ") && !line.contains("--type="))
            .unwrap();
        let before = exhaust_descriptors();
        kill_process(Pid::from_raw(chromium.0).unwrap(), Signal::KILL).unwrap();
        assert!(matches!(guest.report().await, GuestReport::BrowserLost { .. }));
        // The restart is tried at once and fails; then nothing happens for seconds.
        let mut state = guest.browser.state();
        while tokio::time::timeout(Duration::from_secs(1), state.changed()).await.is_ok() {}
        setrlimit(Resource::Nofile, before).unwrap();
        assert!(matches!(guest.report().await, GuestReport::BrowserBack));
        assert!(guest.log("guest.log").contains("Too many open files"));
        assert!(guest.running().await.generation > generation);
        guest.browser.stop().await;
    });
}
