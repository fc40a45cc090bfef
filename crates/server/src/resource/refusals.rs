//! What the steps of a resource's handlers may refuse with.

use std::marker::PhantomData;

use browserd_api::ErrorCode;
use browserd_rest::{Error, Refusals, refusals};
use browserd_store::{Names, Outage, Row as _, StoreError};

use super::Resource;

/// What reading and writing rows may fail with.
const FAILURES: [ErrorCode; 2] = [ErrorCode::DatabaseUnavailable, ErrorCode::Internal];

refusals! {
    /// Listing a page of rows.
    pub(crate) ListRows: InvalidInput, DatabaseUnavailable, Internal;
}

/// Finding one by the id or name in a path.
pub(crate) struct Find<R>(PhantomData<R>);

impl<R: Resource> Refusals for Find<R> {
    fn codes() -> Vec<ErrorCode> {
        let mut codes = vec![ErrorCode::BadRequest, R::NOT_FOUND];
        codes.extend(FAILURES);
        if R::Row::TABLE.names == Names::Shared {
            codes.push(R::AMBIGUOUS);
        }
        codes
    }
}

/// Writing one, which may get a name.
pub(crate) struct Write<R>(PhantomData<R>);

impl<R: Resource> Refusals for Write<R> {
    fn codes() -> Vec<ErrorCode> {
        let mut codes = FAILURES.to_vec();
        if matches!(R::Row::TABLE.names, Names::Unique | Names::UniqueWhileOpen) {
            codes.push(ErrorCode::AlreadyExists);
        }
        codes
    }
}

/// Turns a failure of the store that is about no row into an answer.
pub(crate) fn from_store(error: StoreError) -> Error {
    match error {
        StoreError::Unavailable { outage, detail } => {
            tracing::warn!(%outage, detail, "a request needs the database");
            unavailable(outage)
        }
        other => Error::internal(other),
    }
}

/// 503 for a database that cannot be used just now.
pub(crate) fn unavailable(outage: Outage) -> Error {
    Error::new(ErrorCode::DatabaseUnavailable, format!("{outage}; try again in a moment"))
}
