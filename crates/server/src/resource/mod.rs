//! What every resource does in the same way: finding one by id or name, lists in pages, fields that are
//! ignored, and what is said when one is not there or its name is taken.
//!
//! A resource declares itself ([`Resource`], [`Shown`]); its handlers take [`Mine`], which has the rows of
//! the caller's project and of no other. What a resource may be, and what else happens when one is made or
//! goes, is its own. `docs/adding-a-resource.md` has the steps.
//!
//! ```text
//!  wire ─▶ Caller ─▶ Mine<Proxies> ── find, insert, update, delete, list ─▶ Rows<ProxyRow> of the project
//!                        └─ refusals in the resource's words
//! ```

pub(crate) mod ignored;
#[cfg(test)]
#[path = "../../tests/notes/mod.rs"]
mod notes;
pub(crate) mod paging;
pub(crate) mod refusals;

use std::marker::PhantomData;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRef, FromRequestParts};
use axum::response::{IntoResponse, Response};
use browserd_api::{ApiError, ErrorCode, ProjectId};
use browserd_rest::{Error, Result};
use browserd_store::{Row, Rows, Store, StoreError};
use http::StatusCode;
use http::request::Parts;
use refusals::from_store;
use serde::Serialize;

use crate::caller::Caller;

/// Longest part of what a client called something that a refusal repeats, characters.
const REPEATED: usize = 64;

/// A kind of thing that clients make, find and delete.
pub(crate) trait Resource: Sized + 'static {
    /// What is kept of one.
    type Row: Row;
    /// One, in words.
    const ONE: &'static str;
    /// Several, as in their path.
    const MANY: &'static str;
    /// One is not there.
    const NOT_FOUND: ErrorCode;
    /// Several have the name that was to tell which one.
    const AMBIGUOUS: ErrorCode = ErrorCode::Conflict;

    /// The refusal of what is not there.
    fn not_found(id_or_name: &str) -> Error {
        let (one, many, shown) = (Self::ONE, Self::MANY, repeated(id_or_name));
        Error::new(
            Self::NOT_FOUND,
            format!("no {one} has the id or name {shown:?}; GET /{many} lists them"),
        )
    }
}

/// A resource whose rows are shown by themselves.
pub(crate) trait Shown: Resource {
    /// One as clients see it.
    type Body: Serialize;

    /// Shows one.
    fn show(row: Self::Row) -> Self::Body;
}

/// The resources of one kind that a caller has: those of its project.
pub(crate) struct Mine<R> {
    store: Arc<dyn Store>,
    project: ProjectId,
    kind: PhantomData<fn() -> R>,
}

impl<S, R> FromRequestParts<S> for Mine<R>
where
    S: Send + Sync,
    R: Resource,
    Arc<dyn Store>: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let caller = Caller::from_request_parts(parts, state).await?;
        Ok(Self::of(FromRef::from_ref(state), &caller.project))
    }
}

impl<R: Resource> Mine<R> {
    /// Those of a project.
    pub(crate) fn of(store: Arc<dyn Store>, project: &ProjectId) -> Self {
        Self { store, project: project.clone(), kind: PhantomData }
    }

    /// Whose they are.
    pub(crate) fn project(&self) -> &ProjectId {
        &self.project
    }

    /// Their rows.
    pub(crate) fn rows(&self) -> Rows<'_, R::Row> {
        self.store.rows(&self.project)
    }

    /// The one with this id, else the one with this name.
    pub(crate) async fn find(&self, id_or_name: &str) -> Result<R::Row> {
        let found = self.rows().find(id_or_name).await;
        let found = found.map_err(|error| refused::<R>(error, id_or_name, None))?;
        found.ok_or_else(|| R::not_found(id_or_name))
    }

    /// The one with this name.
    pub(crate) async fn named(&self, name: &str) -> Result<R::Row> {
        let found = self.rows().by_name(name).await;
        let found = found.map_err(|error| refused::<R>(error, name, None))?;
        found.ok_or_else(|| R::not_found(name))
    }

    /// Adds one.
    pub(crate) async fn insert(&self, row: &R::Row) -> Result<()> {
        let name = row.name();
        let inserted = self.rows().insert(row).await;
        inserted.map_err(|error| refused::<R>(error, name.unwrap_or_default(), name))
    }

    /// Changes the one with this id or name; answers it as it is then.
    pub(crate) async fn update(
        &self,
        id_or_name: &str,
        mut change: impl FnMut(&mut R::Row) + Send,
    ) -> Result<R::Row> {
        let found = self.find(id_or_name).await?;
        let mut name = None;
        let updated = self
            .rows()
            .update(found.id(), |row| {
                change(row);
                name = row.name().map(str::to_owned);
            })
            .await;
        updated.map_err(|error| refused::<R>(error, id_or_name, name.as_deref()))
    }

    /// Takes the one with this id or name away; answers what it was.
    pub(crate) async fn delete(&self, id_or_name: &str) -> Result<R::Row> {
        let found = self.find(id_or_name).await?;
        let deleted = self.rows().delete(found.id()).await;
        deleted.map_err(|error| refused::<R>(error, id_or_name, None))
    }
}

impl<R: Shown> Mine<R> {
    /// The page that a query asks for.
    pub(crate) async fn list(&self, query: Option<&str>) -> Result<Response> {
        let filter = paging::filter(query.unwrap_or_default(), R::Row::TABLE)?;
        let listed = self.rows().list(&filter).await;
        let (rows, more) = listed.map_err(from_store)?;
        let shown: Vec<R::Body> = rows.into_iter().map(R::show).collect();
        Ok(paging::answer(&shown, filter.limit, filter.offset, more))
    }
}

/// The answer with one that was made; it names the fields of the body that were ignored.
pub(crate) fn created<R: Shown>(row: R::Row, ignored: &[String]) -> Response {
    let mut response = changed::<R>(row, ignored);
    *response.status_mut() = StatusCode::CREATED;
    response
}

/// The answer with one after a change; it names the fields of the body that were ignored.
pub(crate) fn changed<R: Shown>(row: R::Row, ignored: &[String]) -> Response {
    let mut response = Json(R::show(row)).into_response();
    ignored::name_in_header(response.headers_mut(), ignored);
    response
}

/// What a store's refusal means for the one that was called `id_or_name`, and was to get the name `name`.
pub(crate) fn refused<R: Resource>(
    error: StoreError,
    id_or_name: &str,
    name: Option<&str>,
) -> Error {
    match (error, name) {
        (StoreError::NotFound, _) => R::not_found(id_or_name),
        (StoreError::Ambiguous, _) => Error::new(
            R::AMBIGUOUS,
            format!("several {} are called {:?}; say the id", R::MANY, repeated(id_or_name)),
        ),
        (StoreError::Taken { existing }, Some(name)) => Error(
            ApiError::new(
                ErrorCode::AlreadyExists,
                format!("another {} is called {name}; choose another name", R::ONE),
            )
            .detail("existing_id", existing),
        ),
        (other, _) => from_store(other),
    }
}

/// What a client called something, short enough to be repeated.
pub(crate) fn repeated(text: &str) -> String {
    text.chars().take(REPEATED).collect()
}
