//! `GET /auth/context`.

use axum::Json;
use browserd_api::ProjectId;
use browserd_api::auth::{
    AuthContext, AuthMethod, AuthSource, Authentication, Authorization, Organization, Principal,
    PrincipalKind, Scope,
};
use http::HeaderMap;

use crate::caller::Caller;
use crate::wire::project;

/// Who asks
///
/// The key a request came with, and what it reaches. Clients ask it to learn whether a key is good. A key of
/// a project has that project for its scope. A key of the default project has none, which the public API calls
/// unscoped; a request that names the default project in `X-Kernel-Project` or `X-Kernel-Project-Id` reaches
/// that project, and its `effective_scope` says so.
#[utoipa::path(get, path = "/auth/context", operation_id = "auth.context.retrieve", tag = "auth",
    responses((status = 200, description = "Who the caller is.", body = AuthContext)))]
pub(crate) async fn retrieve(caller: Caller, headers: HeaderMap) -> Json<AuthContext> {
    Json(context(&caller, project::is_named(&headers)))
}

/// `named`: whether the request names the caller's project.
fn context(caller: &Caller, named: bool) -> AuthContext {
    let scoped =
        |scoped: bool| Scope { project_id: scoped.then(|| ProjectId::clone(&caller.project)) };
    let of_a_project = !caller.project.is_default();
    AuthContext {
        authentication: Authentication {
            method: AuthMethod::ApiKey,
            source: AuthSource::ApiKey,
            credential_id: Some(caller.key.to_string()),
        },
        authorization: Authorization {
            credential_scope: scoped(of_a_project),
            effective_scope: scoped(of_a_project || named),
        },
        organization: Organization { id: Organization::ID.to_owned() },
        principal: Principal { id: caller.key.to_string(), kind: PrincipalKind::ApiKey },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::caller::Permissions;

    fn scopes(project: ProjectId, named: bool) -> serde_json::Value {
        let caller = Caller { key: "one".into(), project, permissions: Permissions::All };
        serde_json::to_value(context(&caller, named)).unwrap()["authorization"].take()
    }

    #[test]
    fn a_scope_is_null_until_there_is_one() {
        let (default, other) = (ProjectId::default(), ProjectId::generate());
        let none = json!({"project_id": null});
        let the = |project: &ProjectId| json!({"project_id": project});
        let is = |credential: &serde_json::Value, effective: &serde_json::Value| json!({"credential_scope": credential, "effective_scope": effective});
        assert_eq!(scopes(default.clone(), false), is(&none, &none));
        assert_eq!(scopes(default.clone(), true), is(&none, &the(&default)));
        for named in [false, true] {
            assert_eq!(scopes(other.clone(), named), is(&the(&other), &the(&other)));
        }
    }
}
