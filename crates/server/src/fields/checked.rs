//! A body that has been read, with all that is wrong with it.

use browserd_rest::{Error, Result};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Body, Report, ValidationErrors};

/// A body that has been read. Handlers take it as `Json<Checked<T>>`, or as `Optional<Checked<T>>` when it
/// may be left out: an absent body is read as `{}`.
#[derive(Debug)]
pub(crate) struct Checked<T> {
    body: Option<T>,
    report: Report,
}

impl<T: Body> Checked<T> {
    /// Reads a body.
    pub(crate) fn of(value: &Value) -> Self {
        let mut report = Report::default();
        let body = super::read("", value, &mut report);
        Self { body, report }
    }

    /// The body and the fields that were ignored, or the refusal that names every field that does not fit.
    pub(crate) fn finish(self) -> Result<(T, Vec<String>)> {
        self.finish_with(|body, _| body)
    }

    /// The same for what `rule` makes of the body: rules that concern several fields, or the server's
    /// settings, add their errors to those of the fields.
    pub(crate) fn finish_with<U>(
        mut self,
        rule: impl FnOnce(T, &mut ValidationErrors) -> U,
    ) -> Result<(U, Vec<String>)> {
        let made = self.body.map(|body| rule(body, &mut self.report.errors));
        self.report.errors.into_result()?;
        let made = made.ok_or_else(|| Error::internal("a body was refused without an error"))?;
        Ok((made, self.report.ignored))
    }

    /// What reading it has found.
    #[cfg(test)]
    pub(super) fn report(self) -> Report {
        self.report
    }
}

impl<T: Body> Default for Checked<T> {
    fn default() -> Self {
        Self::of(&Value::Object(serde_json::Map::new()))
    }
}

/// Any JSON is taken: what does not fit is told by [`Checked::finish`], all of it at once.
impl<'de, T: Body> Deserialize<'de> for Checked<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|value| Self::of(&value))
    }
}
