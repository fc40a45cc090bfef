//! Which refusals a route can meet, declared with its handler and described in the API document.
//!
//! A set of codes ([`Refusals`]) belongs to a step of a request: reading a body, finding something. It stands
//! beside the code that refuses. A handler names the steps it takes among its answers, and the routes of one
//! group get what is checked before their handlers:
//!
//! ```text
//!  responses((status = 200, …), Refused<(ReadBody, …)>) ─┐
//!  declare::<…> on the routes of a group ────────────────┴▶ codes of each status ─▶ describe()
//! ```

use std::collections::BTreeMap;
use std::marker::PhantomData;

use browserd_api::ErrorCode;
use utoipa::IntoResponses;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{Components, ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

/// What a step of a request may refuse with.
pub trait Refusals {
    /// The codes, in any order.
    fn codes() -> Vec<ErrorCode>;
}

/// Declares sets of codes, each with a name and what it is about.
#[macro_export]
macro_rules! refusals {
    ($($(#[$meta:meta])* $visible:vis $name:ident: $($code:ident),+ $(,)?;)+) => {$(
        $(#[$meta])*
        $visible enum $name {}

        impl $crate::Refusals for $name {
            fn codes() -> Vec<$crate::ErrorCode> {
                vec![$($crate::ErrorCode::$code),+]
            }
        }
    )+};
}

refusals! {
    /// Reading what a path names.
    pub ReadPath: BadRequest;
    /// Reading a query whose parameters are checked.
    pub ReadQuery: InvalidInput;
    /// Reading a JSON body whose fields are checked.
    pub ReadBody: BadRequest, InvalidInput, PayloadTooLarge, UnsupportedMediaType;
}

macro_rules! steps {
    ($($name:ident)+) => {
        impl<$($name: Refusals),+> Refusals for ($($name,)+) {
            fn codes() -> Vec<ErrorCode> {
                [$($name::codes()),+].concat()
            }
        }
    };
}

steps!(A);
steps!(A B);
steps!(A B C);
steps!(A B C D);
steps!(A B C D E);

/// Declares among the answers of a handler what it may refuse with.
pub struct Refused<R>(PhantomData<R>);

impl<R: Refusals> IntoResponses for Refused<R> {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut responses = BTreeMap::new();
        for code in R::codes() {
            add(&mut responses, code);
        }
        responses
    }
}

/// Where the codes of an answer are until they are described.
const CODES: &str = "x-codes";

/// Adds refusals to those that an operation declares itself.
pub fn declare<R: Refusals>(operation: &mut Operation) {
    for code in R::codes() {
        add(&mut operation.responses.responses, code);
    }
}

fn add(responses: &mut BTreeMap<String, RefOr<Response>>, code: ErrorCode) {
    let response = responses
        .entry(code.status().to_string())
        .or_insert_with(|| RefOr::T(Response::new(String::new())));
    if let RefOr::T(response) = response {
        let codes = response.extensions.get_or_insert_default().entry(CODES.to_owned());
        if let serde_json::Value::Array(codes) = codes.or_insert_with(|| serde_json::json!([])) {
            codes.push(code.as_str().into());
        }
    }
}

/// Puts the declared refusals of an operation in words. Answers that say nothing else are shared, in the
/// components.
pub fn describe(operation: &mut Operation, components: &mut Components) {
    for response in operation.responses.responses.values_mut() {
        let RefOr::T(answer) = response else { continue };
        let codes = take_codes(answer);
        if codes.is_empty() {
            continue;
        }
        if !answer.description.is_empty() {
            codes.iter().for_each(|code| name(answer, *code));
            continue;
        }
        let shared = codes.iter().map(|code| code.as_str()).collect::<Vec<_>>().join("_or_");
        *response = RefOr::Ref(Ref::from_response_name(&shared));
        components.responses.entry(shared).or_insert_with(|| {
            let error = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).build();
            let mut answer = ResponseBuilder::new().content("application/json", error).build();
            codes.iter().for_each(|code| name(&mut answer, *code));
            RefOr::T(answer)
        });
    }
}

/// The codes declared for an answer, each once, in the order of their names.
fn take_codes(answer: &mut Response) -> Vec<ErrorCode> {
    let Some(extensions) = &mut answer.extensions else { return Vec::new() };
    let declared = extensions.remove(CODES).unwrap_or_default();
    if extensions.is_empty() {
        answer.extensions = None;
    }
    let mut codes: Vec<ErrorCode> = serde_json::from_value(declared).unwrap_or_default();
    codes.sort_by_key(|code| code.as_str());
    codes.dedup();
    codes
}

/// Names a code in an answer that may have it.
fn name(answer: &mut Response, code: ErrorCode) {
    let name = format!("`{}`", code.as_str());
    if answer.description.contains(&name) {
        return;
    }
    if !answer.description.is_empty() {
        answer.description.push(' ');
    }
    answer.description.push_str(&format!("{name}: {}.", code.meaning()));
}

#[cfg(test)]
mod tests {
    use super::*;

    refusals! {
        /// Finding something.
        Find: NotFound, BadRequest;
    }

    fn described(operation: &Operation, components: &Components) -> Vec<(String, String)> {
        let text = |response: &RefOr<Response>| match response {
            RefOr::T(response) => response.description.clone(),
            RefOr::Ref(shared) => {
                let shared = shared.ref_location.rsplit('/').next().unwrap();
                match &components.responses[shared] {
                    RefOr::T(response) => format!("{shared}: {}", response.description),
                    RefOr::Ref(_) => panic!("shared twice"),
                }
            }
        };
        let responses = operation.responses.responses.iter();
        responses.map(|(status, response)| (status.clone(), text(response))).collect()
    }

    #[test]
    fn codes_of_all_steps_are_described_once() {
        let mut operation = Operation::new();
        operation.responses.responses = Refused::<(ReadBody, Find)>::responses();
        declare::<Find>(&mut operation);
        let own = RefOr::T(Response::new("Too large."));
        operation.responses.responses.insert("413".to_owned(), own);
        declare::<ReadBody>(&mut operation);
        let mut components = Components::new();
        describe(&mut operation, &mut components);
        let expected = [
            (
                "400",
                "bad_request_or_invalid_input: `bad_request`: the request cannot be understood. \
                 `invalid_input`: `details` names the fields that do not fit.",
            ),
            ("404", "not_found: `not_found`: no such thing inside the session."),
            ("413", "Too large. `payload_too_large`: the body is larger than this route takes."),
            (
                "415",
                "unsupported_media_type: `unsupported_media_type`: the body is not of a type this \
                 route reads.",
            ),
        ]
        .map(|(status, text)| (status.to_owned(), text.to_owned()));
        assert_eq!(described(&operation, &components), expected);
        assert!(!serde_json::to_string(&operation).unwrap().contains(CODES));
    }
}
