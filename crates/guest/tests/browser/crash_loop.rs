//! A Chromium that cannot live ends the session with words.

use std::os::unix::fs::PermissionsExt;

use crate::support::{Guest, config, descendants, run, spec};
use browserd_api::browser::EndReason;
use browserd_protocol::GuestReport;

pub(crate) fn a_crash_loop_is_fatal() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let program = dir.path().join("chromium");
        std::fs::write(
            &program,
            "#!/bin/sh\necho started >&2\necho 'No usable sandbox!' >&2\nexit 7\n",
        )
        .unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut broken = spec(config());
        broken.programs.chromium = program;
        let mut guest = Guest::start(broken);
        match guest.report().await {
            GuestReport::Fatal { reason: EndReason::FailedToStart, detail } => {
                assert!(detail.contains("exited with status 7"), "{detail}");
                assert!(detail.contains("No usable sandbox!"), "{detail}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(guest.log("chromium.log").lines().filter(|l| *l == "started").count(), 6);
        assert!(guest.browser.running().await.unwrap_err().to_string().contains("for good"));
        let handoff = guest.handoff_socket();
        let (reply, socket) = crate::support::request_descriptor(handoff, b'c').await;
        assert!(!reply.ok && socket.is_none());
        assert!(descendants().is_empty());
    });
}
