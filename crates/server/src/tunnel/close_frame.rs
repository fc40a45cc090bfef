//! The close frame of a tunnel: which code and words a client gets when we end its connection.

use browserd_api::browser::EndReason;

use super::splice::Kind;

/// A WebSocket close frame from server to client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CloseFrame {
    /// Status code (RFC 6455, section 7.4).
    pub(crate) code: u16,
    /// Reason, at most 123 bytes.
    pub(crate) reason: &'static str,
}

/// The endpoint goes away.
const GOING_AWAY: u16 = 1001;
/// Something failed.
const INTERNAL_ERROR: u16 = 1011;
/// Connect again in a moment.
const SERVICE_RESTART: u16 = 1012;

impl CloseFrame {
    /// For the end of a session.
    pub(crate) fn session_ended(reason: EndReason) -> Self {
        let (code, reason) = match reason {
            EndReason::Deleted => (GOING_AWAY, "deleted: the browser session was deleted"),
            EndReason::TimedOut => {
                (GOING_AWAY, "timed_out: the browser session was inactive for its timeout_seconds")
            }
            EndReason::ServerShutdown => {
                (GOING_AWAY, "server_shutdown: the server is shutting down")
            }
            EndReason::Crashed => (INTERNAL_ERROR, "crashed: the browser session crashed"),
            EndReason::OutOfMemory => {
                (INTERNAL_ERROR, "out_of_memory: the browser session ran out of memory")
            }
            EndReason::DiskFull => (
                INTERNAL_ERROR,
                "disk_full: the browser session wrote past its disk limit, or past what the host can spare",
            ),
            EndReason::FailedToStart => {
                (INTERNAL_ERROR, "failed_to_start: the browser session did not start")
            }
            EndReason::HostLost => (INTERNAL_ERROR, "host_lost: the browser session was lost"),
        };
        Self { code, reason }
    }

    /// For the loss of what is inside, while the session goes on.
    pub(crate) fn inside_lost(kind: Kind) -> Self {
        match kind {
            Kind::Cdp => Self {
                code: SERVICE_RESTART,
                reason: "browser restarting: connect again to the same URL",
            },
            Kind::Guest => Self {
                code: INTERNAL_ERROR,
                reason: "the connection inside the browser session was lost",
            },
        }
    }

    /// The frame's bytes: final, unmasked, as servers send them.
    pub(crate) fn bytes(self) -> Vec<u8> {
        let reason = &self.reason.as_bytes()[..self.reason.len().min(123)];
        let mut frame = vec![0x88, 2 + reason.len() as u8];
        frame.extend(self.code.to_be_bytes());
        frame.extend(reason);
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::super::frames::FrameTracker;
    use super::*;

    #[test]
    fn frames_are_whole_control_frames() {
        let all = EndReason::ALL
            .iter()
            .copied()
            .map(CloseFrame::session_ended)
            .chain([Kind::Cdp, Kind::Guest].map(CloseFrame::inside_lost));
        for frame in all {
            assert!(frame.reason.len() <= 123, "{}", frame.reason);
            let mut tracker = FrameTracker::default();
            tracker.advance(&frame.bytes());
            assert!(tracker.closed() && tracker.at_boundary());
        }
    }
}
