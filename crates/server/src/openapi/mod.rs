//! The parts of the `OpenAPI` document: our own routes, the guest's below `/browsers/{id_or_name}`, and the
//! contract's operations that are not built yet. The router puts them together; it reads the same source, so
//! a route and its description cannot part.

mod unbuilt;

use browserd_api::browser::StatusFilter;
use browserd_api::logs::{LogSource, LogStart};
use browserd_api::profiles::ProfileFormat;
use browserd_rest::{Refusals, declare, describe};
use http::Method;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{Components, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{Info, License, ObjectBuilder, OpenApi, OpenApiBuilder, RefOr, Required};
use utoipa::{PartialSchema, ToSchema};

pub(crate) use unbuilt::unbuilt;

/// Name of the scheme for API keys.
const KEY: &str = "apiKey";
/// Name of the scheme for session tokens.
const TOKEN: &str = "sessionToken";

/// Tag of the operations this version does not have.
const UNBUILT: &str = "not built yet";

/// The rooms of a session: first part of the path, tag, and what is there.
const ROOMS: [(&str, &str, &str); 9] = [
    ("process", "processes", "Programs inside a session."),
    ("fs", "files", "Files inside a session."),
    ("logs", "logs", "Logs of a session's programs, and any text file in it, as they grow."),
    ("computer", "computer", "Mouse, keyboard, screen and clipboard of a session."),
    ("replays", "replays", "Recordings of a session's screen."),
    ("playwright", "playwright", "Playwright code that runs inside a session."),
    ("repl", "playwright", ""),
    ("curl", "curl", "HTTP requests through a session's browser."),
    ("extensions", "browsers", ""),
];

/// Where the guest's paths are described.
const SESSION: &str = "/browsers/{id_or_name}";

/// A document without routes, for those of this server. `guest` is the guest's own.
pub(crate) fn empty(guest: &OpenApi) -> OpenApi {
    let mut info = Info::new("browserd", env!("CARGO_PKG_VERSION"));
    info.description = Some(include_str!("description.md").trim().to_owned());
    info.license = Some(License::new("Apache-2.0"));
    let tag = |name: &str, text: &str| TagBuilder::new().name(name).description(Some(text)).build();
    // Recordings outlive their sessions: their routes are this server's own.
    let there = |room: &str| {
        room == "replays"
            || guest.paths.paths.keys().any(|path| path.split('/').nth(1) == Some(room))
    };
    let rooms = ROOMS
        .iter()
        .filter(|(room, _, text)| !text.is_empty() && there(room))
        .map(|(_, name, text)| tag(name, text));
    OpenApiBuilder::new()
        .info(info)
        .tags(Some(
            [tag("browsers", "Browser sessions: create, find, change, end.")]
                .into_iter()
                .chain(rooms)
                .chain([
                    tag("profiles", "State of browsers that outlives sessions."),
                    tag("proxies", "Upstream proxies sessions go out through."),
                    tag("cdp", "Chrome DevTools Protocol of a session."),
                    tag("webdriver", "WebDriver BiDi of a session."),
                    tag("auth", "Who asks, and what it may reach."),
                    tag("server", "The server itself, and documents about it. No key needed."),
                    tag(
                        UNBUILT,
                        "Operations of the public API that this version answers with 501.",
                    ),
                ]),
        ))
        .build()
}

/// The guest's routes as those of a session.
pub(crate) fn in_sessions(guest: &OpenApi) -> OpenApi {
    let mut below = guest.clone();
    below.paths.paths =
        relayed(guest).map(|(path, item)| (format!("{SESSION}{path}"), item.clone())).collect();
    for (path, item) in &mut below.paths.paths {
        for (method, operation) in operations_mut(item) {
            belong_to_session(path, &method, operation);
        }
    }
    below.tags = None;
    below.security = None;
    below.servers = None;
    below
}

/// Describes what is checked before every route of a document: the credential, and what else may be refused.
pub(crate) fn guard<R: Refusals>(credential: Credential, mut routes: OpenApi) -> OpenApi {
    for item in routes.paths.paths.values_mut() {
        for (_, operation) in operations_mut(item) {
            operation.security = Some(credential.requirements());
            declare::<R>(operation);
        }
    }
    routes
}

/// Completes a document of all routes.
pub(crate) fn complete(document: &mut OpenApi) {
    unbuilt::describe_fields(document);
    let components = document.components.get_or_insert_with(Components::new);
    for item in document.paths.paths.values_mut() {
        for (_, operation) in operations_mut(item) {
            describe(operation, components);
        }
    }
    // Types that only parameters and shared answers mention, which nothing collects by itself.
    for (name, schema) in schemas::<browserd_api::ErrorBody>()
        .into_iter()
        .chain(schemas::<StatusFilter>())
        .chain(schemas::<LogSource>())
        .chain(schemas::<LogStart>())
        .chain(schemas::<ProfileFormat>())
    {
        components.schemas.entry(name).or_insert(schema);
    }
    components.add_security_scheme(
        KEY,
        SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some("An API key of this server."))
                .build(),
        ),
    );
    components.add_security_scheme(
        TOKEN,
        SecurityScheme::ApiKey(ApiKey::Query(ApiKeyValue::with_description(
            "jwt",
            "The token in the URLs of a session. Good for that session, as long as it is active.",
        ))),
    );
}

/// What lets a client in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credential {
    /// An API key.
    Key,
    /// The token of a session, or of a recording.
    Token,
    /// Nothing.
    None,
}

impl Credential {
    fn requirements(self) -> Vec<SecurityRequirement> {
        let none: [&str; 0] = [];
        match self {
            Self::Key => vec![SecurityRequirement::new(KEY, none)],
            Self::Token => vec![SecurityRequirement::new(TOKEN, none)],
            Self::None => Vec::new(),
        }
    }
}

/// The paths of the guest that are reached from outside. `WebDriver` has routes of its own, and what
/// is below `/internal` is between the server and the guest.
pub(crate) fn relayed(guest: &OpenApi) -> impl Iterator<Item = (&String, &PathItem)> {
    guest.paths.paths.iter().filter(|(path, _)| {
        path.starts_with('/')
            && path.len() > 1
            && !path.starts_with("/webdriver")
            && !path.starts_with("/internal")
    })
}

/// The operations of a path.
pub(crate) fn operations(item: &PathItem) -> impl Iterator<Item = (Method, &Operation)> {
    [
        (Method::GET, &item.get),
        (Method::PUT, &item.put),
        (Method::POST, &item.post),
        (Method::DELETE, &item.delete),
        (Method::PATCH, &item.patch),
        (Method::HEAD, &item.head),
        (Method::OPTIONS, &item.options),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

fn operations_mut(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    [
        (Method::GET, &mut item.get),
        (Method::PUT, &mut item.put),
        (Method::POST, &mut item.post),
        (Method::DELETE, &mut item.delete),
        (Method::PATCH, &mut item.patch),
        (Method::HEAD, &mut item.head),
        (Method::OPTIONS, &mut item.options),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// The operation at a path, whatever the path's parameters are called.
pub(crate) fn operation_at<'a>(
    document: &'a OpenApi,
    path: &str,
    method: &Method,
) -> Option<&'a Operation> {
    document.paths.paths.iter().filter(|(candidate, _)| same_path(candidate, path)).find_map(
        |(_, item)| operations(item).find(|(m, _)| m == method).map(|(_, operation)| operation),
    )
}

/// A method by its name in the contract.
pub(crate) fn method_of(name: &str) -> Option<Method> {
    name.parse().ok()
}

fn same_path(a: &str, b: &str) -> bool {
    let same = |(a, b): (&str, &str)| a == b || (a.starts_with('{') && b.starts_with('{'));
    a.split('/').count() == b.split('/').count() && a.split('/').zip(b.split('/')).all(same)
}

/// Makes an operation of the guest one of a session: it gets the session's parameter and the name
/// under which the public API knows it.
fn belong_to_session(path: &str, method: &Method, operation: &mut Operation) {
    let known = browserd_api::operations::all()
        .find(|known| method.as_str() == known.method && same_path(known.path, path));
    let given = operation.operation_id.take();
    operation.operation_id = Some(match (known, given) {
        (Some(known), _) => known.sdk.to_owned(),
        // Ids name pages, so they keep to what a file may be called.
        (None, given) => {
            let given = given.unwrap_or_else(|| {
                let rest = path.strip_prefix(SESSION).unwrap_or(path);
                let words =
                    rest.split('/').filter(|part| !part.is_empty() && !part.starts_with('{'));
                words.collect::<Vec<_>>().join("_")
            });
            let plain = given.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "_");
            let plain = plain.trim_matches('_');
            let plain = plain.trim_start_matches("browsers").trim_start_matches(['_', '.']);
            format!("browsers.{}", plain.replacen('_', ".", 1))
        }
    });
    let room = path.strip_prefix(SESSION).and_then(|rest| rest.split('/').nth(1));
    if let Some((_, tag, _)) = ROOMS.iter().find(|(name, ..)| Some(*name) == room) {
        operation.tags = Some(vec![(*tag).to_owned()]);
    }
    operation.parameters.get_or_insert_default().insert(0, RefOr::T(session_parameter()));
}

fn session_parameter() -> utoipa::openapi::path::Parameter {
    text_parameter("id_or_name", "Id or name of the session.")
}

fn text_parameter(name: &str, text: &str) -> utoipa::openapi::path::Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(text))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

/// A type's schema and all it refers to.
fn schemas<T: ToSchema + PartialSchema>() -> Vec<(String, RefOr<utoipa::openapi::Schema>)> {
    let mut all = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut all);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_the_guest_become_those_of_the_api() {
        for (path, given, id) in [
            ("/browsers/{id_or_name}/process/exec", Some("exec"), "browsers.process.exec"),
            (
                "/browsers/{id_or_name}/process",
                Some("browsers_process_list"),
                "browsers.process.list",
            ),
            (
                "/browsers/{id_or_name}/process/{x}/wait",
                Some("process_wait"),
                "browsers.process.wait",
            ),
            ("/browsers/{id_or_name}/process/{x}/wait", None, "browsers.process.wait"),
        ] {
            let mut operation = Operation::default();
            operation.operation_id = given.map(str::to_owned);
            let method = if path.ends_with("exec") { Method::POST } else { Method::GET };
            belong_to_session(path, &method, &mut operation);
            assert_eq!(operation.operation_id.as_deref(), Some(id), "{path}");
        }
    }
}
