//! Fuzz targets of what clients, guests and Chromium send to `serve`. See `docs/fuzzing.md`.

#[path = "../../../fuzz/common/headers.rs"]
pub(crate) mod headers;
#[path = "../../../fuzz/common/input.rs"]
pub(crate) mod input;
#[path = "../../../fuzz/common/runtime.rs"]
pub(crate) mod runtime;
#[cfg(test)]
#[path = "../../../fuzz/common/seeds.rs"]
mod seeds;

use std::sync::LazyLock;

use browserd_api::{ProjectId, ReplayId, SessionId, Timestamp};

use crate::token::{TokenSecret, Tokens};
use crate::{browsers, cdp, profiles, proxies, query, relay, replays, tunnel, wire};

/// A name, and what takes any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("client_headers", wire::fuzzing::client_headers),
    ("discovery_json", cdp::fuzzing::discovery_json),
    ("guest_refusal", relay::fuzzing::guest_refusal),
    ("proxy_and_profile_bodies", bodies),
    ("relayed_headers", relay::fuzzing::relayed_headers),
    ("replay_answers", replays::fuzzing::replay_answers),
    ("replay_range", replays::fuzzing::replay_range),
    ("session_body", browsers::fuzzing::session_body),
    ("session_query", browsers::fuzzing::session_query),
    ("session_token", session_token),
    ("websocket_frames", tunnel::fuzzing::websocket_frames),
    ("websocket_handshake", tunnel::fuzzing::websocket_handshake),
];

/// The bodies of proxies, profiles and recordings.
fn bodies(data: &[u8]) {
    let Ok(body) = serde_json::from_slice(data) else { return };
    proxies::fuzzing::body(&body);
    profiles::fuzzing::body(&body);
    replays::fuzzing::body(&body);
}

/// What is signed for the one session and recording there are.
struct Signed {
    tokens: Tokens,
    session: SessionId,
    replay: ReplayId,
    token: String,
    replay_token: String,
}

static SIGNED: LazyLock<Signed> = LazyLock::new(|| {
    let tokens = Tokens::new(&TokenSecret::new([7; 32].into()), "b.example");
    let session: SessionId = "htzv5orfit78e1m2biiifpbv".parse().unwrap();
    let replay: ReplayId = "q3m0hs2v8k4xw1dz7c9ytbnr".parse().unwrap();
    let project = ProjectId::default();
    let token = tokens.sign(&project, &session, Timestamp::now()).unwrap();
    let replay_token = tokens.sign_replay(&project, &session, &replay).unwrap();
    Signed { tokens, session, replay, token, replay_token }
});

/// A query with a token in it, good ones among them (`T` and `R` alone stand for those): a token is
/// taken out whole, and opens nothing but what it was signed for.
fn session_token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Signed { tokens, session, replay, token, replay_token } = &*SIGNED;
    let text = text.replace("=T", &format!("={token}")).replace("=R", &format!("={replay_token}"));
    let (found, rest) = query::take_jwt(&text);
    assert_eq!(query::take_jwt(&rest), (None, rest.clone()), "no token is left behind");
    let Some(found) = found else { return };
    if let Some(named) = tokens.check(&found) {
        assert_eq!(named, (ProjectId::default(), session.clone()));
        assert!(tokens.check_replay(&found).is_none(), "a token is good for one thing");
    }
    if let Some(named) = tokens.check_replay(&found) {
        assert_eq!(named, (ProjectId::default(), session.clone(), replay.clone()));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_hold() {
        super::seeds::hold(super::TARGETS);
    }
}
