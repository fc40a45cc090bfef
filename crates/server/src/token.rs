//! Session tokens: the `jwt` in every URL that reaches one session without an API key.
//!
//! A token names a session and is good for exactly as long as that session is active: signature and
//! issuer are checked here, life by asking the fleet. It has no expiry of its own, because a session
//! may live for days and its URLs are written down once. It holds nothing but the session.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use browserd_api::{ErrorCode, ProjectId, ReplayId, SessionId, Timestamp};
use browserd_fleet::{Fleet, LiveSession};
use browserd_rest::{Error, refusals};
use http::request::Parts;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret, SecretBox};
use serde::{Deserialize, Serialize};

use crate::{query, refusal};

refusals! {
    /// Checking a token.
    pub(crate) CheckToken: Unauthorized, BrowserNotFound, ShuttingDown, DatabaseUnavailable, Internal;
}

/// The key that signs session tokens.
pub type TokenSecret = SecretBox<[u8; 32]>;

const ISSUER: &str = "browserd";
/// Of tokens for one recording, which are good for nothing else.
const REPLAY_ISSUER: &str = "browserd-replay";

/// Longest token looked at, bytes; ours are about 300.
const LENGTH_LIMIT: usize = 2048;

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    /// The session's id.
    sub: String,
    /// Its project, unless that is the default one.
    #[serde(default, skip_serializing_if = "ProjectId::is_default")]
    project: ProjectId,
    /// When the session was created, seconds: the same session always has the same token.
    iat: i64,
    /// Where the official CLI looks for the host of its `ssh` command.
    session: SessionClaim,
}

#[derive(Debug, Serialize, Deserialize)]
struct SessionClaim {
    id: String,
    fqdn: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct ReplayClaims {
    iss: String,
    /// The session's id.
    sub: String,
    /// Its project, unless that is the default one.
    #[serde(default, skip_serializing_if = "ProjectId::is_default")]
    project: ProjectId,
    /// The recording's.
    replay: String,
}

/// Signs and checks session tokens, and those for one recording. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tokens(Arc<Keys>);

struct Keys {
    sign: EncodingKey,
    check: DecodingKey,
    validation: Validation,
    replay_validation: Validation,
    fqdn: String,
}

impl Tokens {
    pub(crate) fn new(secret: &TokenSecret, fqdn: &str) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_exp = false;
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["iss", "sub"]);
        let mut replay_validation = validation.clone();
        replay_validation.set_issuer(&[REPLAY_ISSUER]);
        Self(Arc::new(Keys {
            sign: EncodingKey::from_secret(secret.expose_secret()),
            check: DecodingKey::from_secret(secret.expose_secret()),
            validation,
            replay_validation,
            fqdn: fqdn.to_owned(),
        }))
    }

    /// The token of a session.
    pub(crate) fn sign(
        &self,
        project: &ProjectId,
        id: &SessionId,
        created_at: Timestamp,
    ) -> Result<String, Error> {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: id.to_string(),
            project: project.clone(),
            iat: created_at.as_micros() / 1_000_000,
            session: SessionClaim { id: id.to_string(), fqdn: self.0.fqdn.clone() },
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.0.sign)
            .map_err(Error::internal)
    }

    /// The session a token of ours names, and its project.
    pub(crate) fn check(&self, token: &str) -> Option<(ProjectId, SessionId)> {
        if token.len() > LENGTH_LIMIT {
            return None;
        }
        let data = jsonwebtoken::decode::<Claims>(token, &self.0.check, &self.0.validation).ok()?;
        Some((data.claims.project, data.claims.sub.parse().ok()?))
    }

    /// The token of a recording: whoever has it may watch the recording, also when its session has
    /// ended, and do nothing else.
    pub(crate) fn sign_replay(
        &self,
        project: &ProjectId,
        id: &SessionId,
        replay: &ReplayId,
    ) -> Result<String, Error> {
        let (sub, project, replay) = (id.to_string(), project.clone(), replay.to_string());
        let claims = ReplayClaims { iss: REPLAY_ISSUER.to_owned(), sub, project, replay };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.0.sign)
            .map_err(Error::internal)
    }

    /// The session and recording a token of ours names, and their project.
    pub(crate) fn check_replay(&self, token: &str) -> Option<(ProjectId, SessionId, ReplayId)> {
        if token.len() > LENGTH_LIMIT {
            return None;
        }
        let validation = &self.0.replay_validation;
        let data = jsonwebtoken::decode::<ReplayClaims>(token, &self.0.check, validation).ok()?;
        let ReplayClaims { sub, project, replay, .. } = data.claims;
        Some((project, sub.parse().ok()?, replay.parse().ok()?))
    }
}

/// One refusal for tokens that are missing, malformed, foreign or forged, so that it tells nobody which
/// sessions exist or existed.
fn refused() -> Error {
    Error::new(
        ErrorCode::Unauthorized,
        "the session token (query parameter jwt) is missing or not valid; \
         take the URL from a fresh GET /browsers/{id_or_name}",
    )
}

/// The session a request's `jwt` query parameter gives access to.
pub(crate) struct TokenSession {
    pub(crate) live: LiveSession,
    /// The token, for URLs handed back.
    pub(crate) jwt: String,
    /// The query without it.
    pub(crate) query: String,
}

impl<S> FromRequestParts<S> for TokenSession
where
    S: Send + Sync,
    Tokens: FromRef<S>,
    Fleet: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let (jwt, query) = query::take_jwt(parts.uri.query().unwrap_or_default());
        let jwt = jwt.ok_or_else(refused)?;
        let (project, id) = Tokens::from_ref(state).check(&jwt).ok_or_else(refused)?;
        // Whoever has a token of ours knows of the session, and may know what became of it.
        let live = Fleet::from_ref(state).project(&project).reach(id.as_str()).await;
        let live = live.map_err(refusal::from_fleet)?;
        if live.id() != &id {
            return Err(refused());
        }
        if live.ended().is_some() {
            return Err(refusal::ended(&live));
        }
        Ok(Self { live, jwt, query })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(byte: u8) -> Tokens {
        Tokens::new(&TokenSecret::new(Box::new([byte; 32])), "browsers.example")
    }

    #[test]
    fn a_token_names_its_session_and_is_stable() {
        let (id, at) = (SessionId::generate(), Timestamp::now());
        let token = tokens(1).sign(&ProjectId::default(), &id, at).unwrap();
        assert_eq!(token.split('.').count(), 3);
        assert_eq!(tokens(1).check(&token), Some((ProjectId::default(), id.clone())));
        assert_eq!(tokens(1).sign(&ProjectId::default(), &id, at).unwrap(), token);
    }

    #[test]
    fn a_token_names_its_project() {
        let (id, at, project) = (SessionId::generate(), Timestamp::now(), ProjectId::generate());
        let token = tokens(1).sign(&project, &id, at).unwrap();
        assert_eq!(tokens(1).check(&token), Some((project.clone(), id.clone())));
        let replay = ReplayId::generate();
        let token = tokens(1).sign_replay(&project, &id, &replay).unwrap();
        assert_eq!(tokens(1).check_replay(&token), Some((project, id, replay)));
    }

    #[test]
    fn a_recording_token_opens_nothing_but_its_recording() {
        let (id, replay) = (SessionId::generate(), ReplayId::generate());
        let token = tokens(1).sign_replay(&ProjectId::default(), &id, &replay).unwrap();
        assert_eq!(
            tokens(1).check_replay(&token),
            Some((ProjectId::default(), id.clone(), replay))
        );
        assert_eq!(tokens(2).check_replay(&token), None);
        assert_eq!(tokens(1).check(&token), None);
        let session = tokens(1).sign(&ProjectId::default(), &id, Timestamp::now()).unwrap();
        assert_eq!(tokens(1).check_replay(&session), None);
    }

    #[test]
    fn foreign_and_forged_tokens_name_nothing() {
        let id = SessionId::generate();
        let token = tokens(1).sign(&ProjectId::default(), &id, Timestamp::now()).unwrap();
        assert_eq!(tokens(2).check(&token), None);
        for cut in 0..token.len() {
            assert_eq!(tokens(1).check(&token[..cut]), None);
        }
        // {"alg":"none"}
        let payload = token.split('.').nth(1).unwrap();
        assert_eq!(tokens(1).check(&format!("eyJhbGciOiJub25lIn0.{payload}.")), None);
        assert_eq!(tokens(1).check(&"a".repeat(1 << 20)), None);
        assert_eq!(tokens(1).check(""), None);
        // Signed with our secret, but by another program.
        let claims = serde_json::json!({"iss": "another", "sub": id, "iat": 1,
            "session": {"id": id, "fqdn": ""}});
        let foreign =
            jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &tokens(1).0.sign)
                .unwrap();
        assert_eq!(tokens(1).check(&foreign), None);
    }
}
