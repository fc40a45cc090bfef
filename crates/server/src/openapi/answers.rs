//! Which refusals each operation can meet, added to its description.

use browserd_api::ErrorCode;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{Components, ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

use super::{Area, SESSION, UNBUILT, area};

/// Adds every refusal this server can give to what the operation describes already. Refusals it does
/// not describe yet are shared, in the components.
pub(super) fn complete(path: &str, operation: &mut Operation, components: &mut Components) {
    let mut codes = refusals(path, operation);
    codes.sort_by_key(|code| (code.status(), code.as_str()));
    for group in codes.chunk_by(|a, b| a.status() == b.status()) {
        let status = group[0].status().to_string();
        match operation.responses.responses.get_mut(&status) {
            Some(RefOr::T(response)) => group.iter().for_each(|code| name(response, *code)),
            Some(RefOr::Ref(_)) => {}
            None => {
                let shared =
                    group.iter().map(|code| code.as_str()).collect::<Vec<_>>().join("_or_");
                operation
                    .responses
                    .responses
                    .insert(status, RefOr::Ref(Ref::from_response_name(&shared)));
                components.responses.entry(shared).or_insert_with(|| {
                    let mut response = refusal(String::new());
                    group.iter().for_each(|code| name(&mut response, *code));
                    RefOr::T(response)
                });
            }
        }
    }
}

fn refusals(path: &str, operation: &Operation) -> Vec<ErrorCode> {
    use ErrorCode as C;
    let mut codes = vec![C::HeadersTooLarge];
    match area(path) {
        Area::Open => {}
        Area::Key => codes.extend([C::Unauthorized, C::ProjectNotFound]),
        Area::Token => codes.extend([C::Unauthorized, C::UpstreamUnavailable, C::BrowserNotFound]),
    }
    let unbuilt = operation.tags.iter().flatten().any(|tag| tag == UNBUILT);
    let id = operation.operation_id.as_deref().unwrap_or_default();
    codes.extend(match id {
        _ if unbuilt => &[C::NotImplemented][..],
        "browsers.create" => &[
            C::BadRequest,
            C::InvalidInput,
            C::AmbiguousProxyName,
            C::ProxyNotFound,
            C::ProfileNotFound,
            C::Conflict,
            C::AlreadyExists,
            C::Ended,
            C::PayloadTooLarge,
            C::UnsupportedMediaType,
            C::Internal,
            C::UpstreamUnavailable,
            C::ShuttingDown,
            C::CapacityExhausted,
        ],
        "browsers.list" => &[C::InvalidInput, C::Internal],
        "browsers.retrieve" => &[C::BadRequest, C::InvalidInput, C::BrowserNotFound, C::Internal],
        "browsers.delete_by_id" => &[C::BadRequest, C::BrowserNotFound, C::Internal],
        "browsers.update" => &[
            C::BadRequest,
            C::InvalidInput,
            C::AmbiguousProxyName,
            C::ProxyNotFound,
            C::ProfileNotFound,
            C::Conflict,
            C::BrowserNotFound,
            C::AlreadyExists,
            C::BeingRecorded,
            C::PayloadTooLarge,
            C::UnsupportedMediaType,
            C::Internal,
            C::UpstreamUnavailable,
        ],
        "profiles.list" => &[C::InvalidInput, C::Internal],
        "profiles.create" | "profiles.update" => &[
            C::BadRequest,
            C::InvalidInput,
            C::AlreadyExists,
            C::ProfileNotFound,
            C::PayloadTooLarge,
            C::UnsupportedMediaType,
            C::Internal,
        ],
        "profiles.retrieve" | "profiles.delete" => {
            &[C::BadRequest, C::ProfileNotFound, C::Internal]
        }
        "profiles.download" => &[C::BadRequest, C::InvalidInput, C::ProfileNotFound, C::Internal],
        "proxies.list" => &[C::InvalidInput, C::Internal],
        "proxies.create" => &[
            C::BadRequest,
            C::InvalidInput,
            C::PayloadTooLarge,
            C::UnsupportedMediaType,
            C::Internal,
        ],
        "proxies.retrieve" | "proxies.delete" => {
            &[C::BadRequest, C::AmbiguousProxyName, C::ProxyNotFound, C::Internal]
        }
        "proxies.update" | "proxies.check" => &[
            C::BadRequest,
            C::InvalidInput,
            C::AmbiguousProxyName,
            C::ProxyNotFound,
            C::PayloadTooLarge,
            C::UnsupportedMediaType,
            C::Internal,
        ],
        "browsers.replays.start" => &[
            C::BadRequest,
            C::InvalidInput,
            C::BrowserNotFound,
            C::TooManyReplays,
            C::PayloadTooLarge,
            C::UnsupportedMediaType,
            C::NotImplemented,
            C::Internal,
            C::UpstreamUnavailable,
        ],
        "browsers.replays.list" => &[C::BadRequest, C::BrowserNotFound, C::Internal],
        "browsers.replays.stop" => &[
            C::BadRequest,
            C::BrowserNotFound,
            C::ReplayNotFound,
            C::Internal,
            C::UpstreamUnavailable,
        ],
        "browsers.replays.download" => &[
            C::BadRequest,
            C::BrowserNotFound,
            C::ReplayNotFound,
            C::RangeNotSatisfiable,
            C::NotImplemented,
            C::Internal,
        ],
        "replays.view" => {
            &[C::ReplayNotFound, C::RangeNotSatisfiable, C::NotImplemented, C::Internal]
        }
        "docs.page" => &[C::BadRequest, C::NotFound],
        _ if id.starts_with("cdp.connect") => &[C::BadRequest, C::NotFound, C::UpgradeRequired],
        _ if id.starts_with("cdp.") => &[C::BadRequest, C::NotFound],
        _ if id.starts_with("webdriver.") => &[C::BadRequest, C::UpgradeRequired, C::Internal],
        _ if path.starts_with(SESSION) => {
            &[C::BadRequest, C::BrowserNotFound, C::UpstreamUnavailable, C::OutcomeUnknown]
        }
        _ => &[],
    });
    codes
}

/// Names a code in a response that may have it.
fn name(response: &mut Response, code: ErrorCode) {
    let name = format!("`{}`", code.as_str());
    if response.description.contains(&name) {
        return;
    }
    if !response.description.is_empty() {
        response.description.push(' ');
    }
    response.description.push_str(&format!("{name}: {}.", meaning(code)));
}

/// A response with the one error body.
fn refusal(description: String) -> Response {
    ResponseBuilder::new()
        .description(description)
        .content(
            "application/json",
            ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).build(),
        )
        .build()
}

/// A code in words, for documents.
fn meaning(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::BadRequest => "the request cannot be understood",
        ErrorCode::InvalidInput => "`details` names the fields that do not fit",
        ErrorCode::Unauthorized => "the key or token is missing or not valid",
        ErrorCode::RouteNotFound => "no route has this path",
        ErrorCode::MethodNotAllowed => "see the `Allow` header",
        ErrorCode::Timeout => "it took longer than the request allows",
        ErrorCode::BrowserNotFound => "no active session has this id or name",
        ErrorCode::ProcessNotFound => "no such process in this session",
        ErrorCode::ReplayNotFound => "no such recording of this session",
        ErrorCode::ProjectNotFound => "the project named in a header does not exist",
        ErrorCode::ProfileNotFound => "no profile has this id or name",
        ErrorCode::ProxyNotFound => "no proxy has this id or name",
        ErrorCode::AmbiguousProxyName => "several proxies have this name; say the id",
        ErrorCode::NotFound => "no such thing inside the session",
        ErrorCode::Forbidden => "the session's file system does not permit it",
        ErrorCode::AlreadyExists => "another one has the name",
        ErrorCode::StdinClosed => "the process has exited or its input is closed",
        ErrorCode::ProcessExited => "the process has exited",
        ErrorCode::Ended => "the session was ended while this request was under way",
        ErrorCode::BeingRecorded => "the screen is being recorded; `viewport.force` goes on",
        ErrorCode::TooManyReplays => {
            "the session has as many recordings under way as it may; stop one"
        }
        ErrorCode::ExecutorLimit => {
            "the session has as many Playwright executors as it may; delete one"
        }
        ErrorCode::Conflict => "busy; waiting helps",
        ErrorCode::PayloadTooLarge => "the body is larger than this route takes",
        ErrorCode::UnsupportedMediaType => "the body is not of a type this route reads",
        ErrorCode::RangeNotSatisfiable => "the part asked for lies beyond the end",
        ErrorCode::UpgradeRequired => "this route speaks WebSocket only",
        ErrorCode::HeadersTooLarge => "the request's head is too large",
        ErrorCode::TooManyRequests => "over a limit; see `Retry-After`",
        ErrorCode::NotImplemented => "this version does not have the operation yet",
        ErrorCode::Internal => "our fault; the log has the cause under `x-request-id`",
        ErrorCode::ActionFailed => "input broke off; repeated, part of it would happen twice",
        ErrorCode::TransportError => {
            "the browser got no answer; `net_error_name` has Chromium's reason"
        }
        ErrorCode::UpstreamUnavailable => "what runs inside the session did not answer",
        ErrorCode::OutcomeUnknown => "it may have been carried out; look before sending it again",
        ErrorCode::ShuttingDown => "the server is shutting down",
        ErrorCode::InsufficientStorage => "the session's disk is full",
        ErrorCode::CapacityExhausted => "no room for another session",
        _ => "see the message",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_words_of_its_own() {
        for code in ErrorCode::ALL {
            assert_ne!(meaning(*code), "see the message", "{}", code.as_str());
        }
    }
}
