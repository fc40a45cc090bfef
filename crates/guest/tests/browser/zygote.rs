//! A Chromium whose zygote has ended can open no page any more, and is started again.

use crate::support::{Guest, config, run, spec};
use browserd_protocol::GuestReport;
use rustix::process::{Pid, Signal, kill_process};

pub(crate) fn a_chromium_without_its_zygote_is_started_again() {
    run(async {
        let mut guest = Guest::start(spec(config()));
        assert!(matches!(guest.report().await, GuestReport::Ready { .. }));
        let generation = guest.running().await.generation;
        let zygotes = crate::support::descendants().into_iter().filter(|(_, line)| {
            line.contains("--type=zygote") && !line.contains("--no-zygote-sandbox")
        });
        for (pid, _) in zygotes {
            // One may have ended with another.
            let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
        }
        match guest.report().await {
            GuestReport::BrowserLost { detail } => assert!(detail.contains("zygote"), "{detail}"),
            other => panic!("{other:?}"),
        }
        assert!(matches!(guest.report().await, GuestReport::BrowserBack));
        let running = guest.running().await;
        assert!(running.generation > generation);
        assert_eq!(running.cdp.pages().await.unwrap().len(), 1);
        guest.browser.stop().await;
    });
}
