//! `PUT /internal/profile` and `POST /internal/profile/save`.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use browserd_api::ErrorCode;
use browserd_guest_fs::{blocking, pour, refuse_io};
use browserd_guest_profile::{Profile, ProfileError};
use browserd_rest::{Error, Result};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

/// Gives the running Chromium the profile in the body, a tar with zstd, in place of its own; Chromium
/// goes on running. Answers `{}` once pages have it. 400 for an archive that is none, 507 when it does
/// not fit on the session's disk; nothing is changed then.
pub(super) async fn apply(State(profile): State<Profile>, body: Body) -> Result<axum::Json<Value>> {
    profile.is_possible().map_err(refused)?;
    let (staging, archive) = blocking({
        let profile = profile.clone();
        move || {
            let staging = profile.staging_dir().map_err(|error| refused(error.into()))?;
            let mut options = OpenOptions::new();
            options.read(true).write(true).create_new(true).mode(0o600);
            let archive = options.open(staging.path().join("archive"));
            Ok((staging, archive.map_err(|error| refused(error.into()))?))
        }
    })
    .await?;
    let archive = Arc::new(archive);
    let disk = profile.session().disk.clone();
    let size = pour(body, Arc::clone(&archive), "the profile", disk).await?;
    let archive = archive.try_clone().map_err(Error::internal)?;
    // A task, so that it is not given up half way when the caller is gone.
    let applied = tokio::spawn(async move { profile.apply(archive, size, staging).await });
    applied.await.map_err(Error::internal)?.map_err(refused)?;
    Ok(axum::Json(json!({})))
}

/// Ends Chromium and answers with its profile. After that the session is only good for being ended.
pub(super) async fn save(State(profile): State<Profile>) -> Result<Response> {
    // As above: Chromium is closed, or it is not.
    let saved = tokio::spawn(async move { profile.save().await });
    let body = saved.await.map_err(Error::internal)?.map_err(refused)?;
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/zstd"));
    Ok(response)
}

fn refused(error: ProfileError) -> Error {
    match error {
        ProfileError::Shell | ProfileError::Archive(_) => {
            Error::field("profile", error.to_string())
        }
        ProfileError::NoBrowser(_) | ProfileError::Cdp(_) => {
            Error::new(ErrorCode::UpstreamUnavailable, error.to_string())
        }
        ProfileError::Files(error) => refuse_io("profile", "the profile", &error),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn each_failure_has_its_code() {
        let code = |error: ProfileError| refused(error).0.code();
        assert_eq!(code(ProfileError::Shell), ErrorCode::InvalidInput);
        assert_eq!(code(ProfileError::Archive("x".into())), ErrorCode::InvalidInput);
        for errno in [rustix::io::Errno::NOSPC, rustix::io::Errno::DQUOT] {
            let full = ProfileError::Files(errno.into());
            assert_eq!(code(full), ErrorCode::InsufficientStorage);
        }
        assert_eq!(code(ProfileError::Files(io::Error::other("x"))), ErrorCode::Internal);
        let gone = browserd_guest_browser::NoBrowser::NotYet;
        assert_eq!(code(gone.into()), ErrorCode::UpstreamUnavailable);
    }
}
