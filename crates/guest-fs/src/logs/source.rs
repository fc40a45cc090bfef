//! Which file a request is about.

use browserd_api::{ApiError, ErrorCode};
use browserd_guest_http::Query;
use browserd_guest_session::Session;
use browserd_rest::{Error, Result};

use crate::Given;

/// The session's own programs, with their log files.
const SERVICES: [(&str, &str); 3] =
    [("chromium", "chromium.log"), ("xserver", "xserver.log"), ("guest", "guest.log")];

/// A log file.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: Given,
    /// The file rotated last, where that is known.
    pub(super) before: Option<Given>,
    /// It is ours, and may have nothing in it yet.
    pub(super) service: bool,
}

impl Source {
    /// The file that `source`, `path` and `supervisor_process` name together.
    pub(super) fn of(query: &Query, session: &Session) -> Result<Self> {
        let (path, service) = (query.get("path")?, query.get("supervisor_process")?);
        match query.need("source")?.as_str() {
            "path" => {
                if service.is_some() {
                    return Err(both("supervisor_process", "path"));
                }
                let path =
                    path.ok_or_else(|| Error::field("path", "is needed with source=path"))?;
                Ok(Self { path: Given::new("path", path)?, before: None, service: false })
            }
            "supervisor" => {
                if path.is_some() {
                    return Err(both("path", "supervisor"));
                }
                let name = service.ok_or_else(|| {
                    Error::field("supervisor_process", "is needed with source=supervisor")
                })?;
                Self::of_service(&name, session)
            }
            _ => Err(Error::field("source", "is neither path nor supervisor")),
        }
    }

    fn of_service(name: &str, session: &Session) -> Result<Self> {
        let known = |name: &str| name != "xserver" || !session.spec.config.headless;
        let file = SERVICES.iter().find(|(service, _)| *service == name && known(name));
        let Some((_, file)) = file else {
            let names: Vec<&str> =
                SERVICES.iter().map(|(name, _)| *name).filter(|name| known(name)).collect();
            let message = format!("no such program in this session; it has {}", names.join(", "));
            return Err(Error(
                ApiError::new(ErrorCode::NotFound, format!("supervisor_process: {message}"))
                    .detail("supervisor_process", message),
            ));
        };
        let path = session.places.logs.join(file).to_string_lossy().into_owned();
        let given = |path| Given::new("supervisor_process", path);
        let before = Some(given(format!("{path}.1"))?);
        Ok(Self { path: given(path)?, before, service: true })
    }
}

fn both(field: &str, source: &str) -> Error {
    Error::field(field, format!("does not go with source={source}; leave it out"))
}
