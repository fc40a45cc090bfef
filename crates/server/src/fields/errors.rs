//! What is wrong with a request, field by field.

use browserd_api::{ApiError, ErrorDetail};
use browserd_rest::{Error, Result};

/// Most errors reported for one request.
const ERRORS_MAX: usize = 64;

/// The validation errors of a request: every field that does not fit, and why.
#[derive(Debug, Default)]
pub(crate) struct ValidationErrors(Vec<ErrorDetail>);

impl ValidationErrors {
    /// Notes that a field does not fit.
    pub(crate) fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        if self.0.len() < ERRORS_MAX {
            self.0.push(ErrorDetail { code: field.into(), message: message.into() });
        }
    }

    /// What a rule made of a field; its refusal is noted.
    pub(crate) fn check<T, E: Into<String>>(
        &mut self,
        field: impl Into<String>,
        outcome: std::result::Result<T, E>,
    ) -> Option<T> {
        outcome.map_err(|message| self.add(field, message)).ok()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The refusal that names them all, if there are any.
    pub(crate) fn into_result(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error(ApiError::fields(self.0))) }
    }
}
