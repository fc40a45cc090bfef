//! The fleet's refusals as the wire says them.

use browserd_api::browser::EndReason;
use browserd_api::{ApiError, ErrorCode, SessionId};
use browserd_fleet::{Ended, FleetError, LiveSession};
use browserd_rest::{Error, refusals};

use crate::proxies::Proxies;
use crate::resource::Resource as _;
use crate::resource::refusals::from_store;

/// Longest cause shown to a client, characters. Causes may quote programs inside a session.
const CAUSE_LIMIT: usize = 400;

refusals! {
    /// Finding a session by the id or name in a path.
    pub(crate) FindSession: BadRequest, BrowserNotFound, ShuttingDown, DatabaseUnavailable, Internal;
}

/// Turns a refusal of the fleet into an answer.
pub(crate) fn from_fleet(error: FleetError) -> Error {
    match error {
        FleetError::NotFound(id_or_name) => no_browser(&id_or_name),
        FleetError::Ended { id, end, detail } => over(&id, end, detail.as_deref()),
        FleetError::NameTaken { name, existing_id } => Error(
            ApiError::new(
                ErrorCode::AlreadyExists,
                format!("an active browser session is already called {name}; choose another name or delete {existing_id}"),
            )
            .detail("name", "taken by an active session")
            .detail("existing_id", existing_id),
        ),
        FleetError::NoCapacity { limit, detail, starting } => {
            // What is being started cannot be deleted yet, and would not help.
            let advice = match starting {
                true => "try again in a moment",
                false => "delete one or try again later",
            };
            Error(
                ApiError::new(
                    ErrorCode::CapacityExhausted,
                    format!("no room for another browser session: {detail}; {advice}"),
                )
                .detail("limit", limit.as_str()),
            )
        }
        FleetError::StartFailed(why) => {
            tracing::error!(%why, "a browser session did not start");
            Error::new(
                ErrorCode::UpstreamUnavailable,
                format!("the browser session did not start: {}", shorten(&why)),
            )
        }
        FleetError::EndedMeanwhile => Error::new(
            ErrorCode::Ended,
            "the browser session was deleted while it was being created; create another",
        ),
        FleetError::ProxyGone(id) => Proxies::not_found(id.as_str()),
        FleetError::Busy => Error::new(
            ErrorCode::Conflict,
            "many changes of this session wait already; try again in a moment",
        ),
        FleetError::NotRouted(cause) => {
            tracing::error!(%cause, "a session keeps its egress route");
            Error::new(
                ErrorCode::UpstreamUnavailable,
                "the session's egress route did not change; try again in a moment",
            )
        }
        FleetError::Refused(refusal) => Error(*refusal),
        error @ FleetError::Unreachable(_) => Error::internal(error),
        FleetError::ShuttingDown => shutting_down(),
        FleetError::Store(error) => from_store(error),
    }
}

fn shutting_down() -> Error {
    Error::new(ErrorCode::ShuttingDown, "the server is shutting down; try again once it is back")
}

/// 404 for an id or name that is no active session.
pub(crate) fn no_browser(id_or_name: &str) -> Error {
    Error::new(
        ErrorCode::BrowserNotFound,
        format!(
            "no active browser session has the id or name {:?}; GET /browsers lists them",
            id_or_name.chars().take(64).collect::<String>()
        ),
    )
}

/// 404 for a session that has ended.
fn over(id: &SessionId, end: Ended, detail: Option<&str>) -> Error {
    let Ended { at, reason } = end;
    let detail = detail.map(|detail| format!(" ({})", shorten(detail))).unwrap_or_default();
    Error(
        ApiError::new(
            ErrorCode::BrowserNotFound,
            format!(
                "the browser session {id} ended at {at}: {}{detail}; create another",
                reason.as_str()
            ),
        )
        .detail("ended_at", at.to_string())
        .detail("deletion_reason", reason.as_str()),
    )
}

/// For a session that has ended while it was used: 404, or 503 where the server took it along.
pub(crate) fn ended(session: &LiveSession) -> Error {
    match session.end() {
        Some(Ended { reason: EndReason::ServerShutdown, .. }) => shutting_down(),
        Some(end) => over(session.id(), end, None),
        None => no_browser(session.id().as_str()),
    }
}

/// 502 for a Chromium that does not answer, or 404 when its session has ended meanwhile.
pub(crate) async fn no_chromium(
    session: &LiveSession,
    cause: &(impl std::fmt::Display + ?Sized),
) -> Error {
    if session.over().await.is_some() {
        return ended(session);
    }
    tracing::warn!(session = %session.id(), %cause, "Chromium did not answer");
    Error::new(
        ErrorCode::UpstreamUnavailable,
        "Chromium did not answer; it may be restarting: try again in a moment",
    )
}

pub(crate) fn shorten(text: &str) -> String {
    let mut short: String = text.chars().filter(|c| !c.is_control()).take(CAUSE_LIMIT).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_name_says_who_has_it() {
        let error = from_fleet(FleetError::NameTaken {
            name: "crawler".into(),
            existing_id: "htzv5orfit78e1m2biiifpbv".into(),
        });
        assert_eq!(error.0.code(), ErrorCode::AlreadyExists);
        let details = &error.0.body().details;
        assert!(details.iter().any(|d| d.code == "existing_id" && d.message.starts_with("htzv")));
    }

    #[test]
    fn only_what_can_be_deleted_is_to_be_deleted() {
        for starting in [true, false] {
            let (limit, detail) = (browserd_fleet::Limit::Cpu, "why".to_owned());
            let error = from_fleet(FleetError::NoCapacity { limit, detail, starting });
            assert_eq!(error.0.code(), ErrorCode::CapacityExhausted);
            assert_eq!(error.0.body().message.contains("delete one"), !starting);
        }
    }

    #[test]
    fn causes_are_bounded() {
        let error = from_fleet(FleetError::StartFailed("x\n".repeat(100_000)));
        assert!(error.0.body().message.len() < 1000);
    }
}
