//! What the steps of a resource's handlers may refuse with.

use std::marker::PhantomData;

use browserd_api::ErrorCode;
use browserd_rest::{Refusals, refusals};
use browserd_store::{Names, Row as _};

use super::Resource;

refusals! {
    /// Listing a page of rows.
    pub(crate) ListRows: InvalidInput, Internal;
}

/// Finding one by the id or name in a path.
pub(crate) struct Find<R>(PhantomData<R>);

impl<R: Resource> Refusals for Find<R> {
    fn codes() -> Vec<ErrorCode> {
        let mut codes = vec![ErrorCode::BadRequest, R::NOT_FOUND, ErrorCode::Internal];
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
        let mut codes = vec![ErrorCode::Internal];
        if matches!(R::Row::TABLE.names, Names::Unique | Names::UniqueWhileOpen) {
            codes.push(ErrorCode::AlreadyExists);
        }
        codes
    }
}
