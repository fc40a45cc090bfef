//! A Chromium that is not there is not tried again and again.

use crate::support::{Guest, config, run, spec};
use browserd_api::browser::EndReason;
use browserd_protocol::GuestReport;

pub(crate) fn a_missing_program_is_fatal_at_once() {
    run(async {
        let mut broken = spec(config());
        broken.programs.chromium = "/nonexistent/chromium".into();
        let mut guest = Guest::start(broken);
        match guest.report().await {
            GuestReport::Fatal { reason: EndReason::FailedToStart, detail } => {
                assert!(detail.contains("No such file"), "{detail}");
            }
            other => panic!("{other:?}"),
        }
        assert!(!guest.log("guest.log").contains("restarting"));
    });
}
