//! Who asks: the wire types of `GET /auth/context`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ProjectId;

/// Who a request came from, and what it may reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuthContext {
    /// How the caller has shown who it is.
    pub authentication: Authentication,
    /// What it may reach.
    pub authorization: Authorization,
    /// Whose server this is.
    pub organization: Organization,
    /// Who the caller is.
    pub principal: Principal,
}

/// How a caller has shown who it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Authentication {
    /// The kind of credential.
    pub method: AuthMethod,
    /// Where the credential came from.
    pub source: AuthSource,
    /// Id of the credential, which is not the credential.
    pub credential_id: Option<String>,
}

/// Kinds of credentials. The others of the public API are sold by its hosted original.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// An API key.
    ApiKey,
}

/// Where credentials come from. The others of the public API are sold by its hosted original.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthSource {
    /// An API key of this server.
    ApiKey,
}

/// What a caller may reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Authorization {
    /// What its credential may reach, whatever the request says.
    pub credential_scope: Scope,
    /// What this request reaches.
    pub effective_scope: Scope,
}

/// A part of the organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Scope {
    /// Id of the project; null is all of the organization.
    #[schema(value_type = Option<String>)]
    pub project_id: Option<ProjectId>,
}

/// Whose server it is. A server has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Organization {
    /// Its id, the same on every server.
    pub id: String,
}

impl Organization {
    /// The id of the one organization of a server.
    pub const ID: &str = "default";
}

/// Who a caller is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Principal {
    /// Its id: that of the API key.
    pub id: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: PrincipalKind,
}

/// What callers are. The others of the public API are sold by its hosted original.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalKind {
    /// A program with an API key.
    ApiKey,
}
