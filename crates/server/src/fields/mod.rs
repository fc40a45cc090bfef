//! Bodies of requests: one struct a body, which is documented and read.
//!
//! A body says in [`Body::read`] how each of its fields is taken. Its JSON is walked as a value instead of
//! being deserialized into the type, because serde stops at the first field that does not fit, and here
//! all are named at once. Decision 43 has the reasons.
//!
//! ```text
//!  JSON ─▶ Fields ─ T::read ─▶ Checked<T> ─ finish ─▶ (T, ignored fields)
//!             │                    ▲            └───▶ 400, every field that does not fit
//!             └ errors, ignored ───┘
//! ```

mod checked;
#[cfg(test)]
pub(crate) mod documented;
mod errors;
mod rules;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;

use serde_json::Value;
use utoipa::ToSchema;

pub(crate) use checked::Checked;
pub(crate) use errors::ValidationErrors;
pub(crate) use rules::{name, name_or_none, query_flag};

/// A body, or an object within one. A test compares the fields it reads with those it documents.
pub(crate) trait Body: ToSchema + Sized {
    /// Takes its fields, each one whatever became of the others. None without a field that it cannot be
    /// without; then that is among the errors.
    fn read(fields: &mut Fields<'_>) -> Option<Self>;
}

/// What reading a body finds.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// What does not fit.
    errors: ValidationErrors,
    /// Fields this version does not know.
    ignored: Vec<String>,
    /// Every documented field that was asked for.
    #[cfg(test)]
    read: Vec<String>,
}

/// Reads the object at `path`, which is empty for the body itself.
fn read<T: Body>(path: &str, value: &Value, report: &mut Report) -> Option<T> {
    let Some(map) = value.as_object() else {
        report.errors.add(as_a_whole(path), "must be an object");
        return None;
    };
    let left = map.iter().map(|(key, value)| (key.as_str(), value)).collect();
    let mut fields = Fields { path: path.to_owned(), left, report };
    let body = T::read(&mut fields);
    let ignored: Vec<String> = fields.left.keys().map(|name| fields.path(name)).collect();
    report.ignored.extend(ignored);
    body
}

/// What an object as a whole is called in errors.
fn as_a_whole(path: &str) -> &str {
    if path.is_empty() { "body" } else { path }
}

/// The fields of an object, taken out one by one; what nobody takes is ignored and named. A field that is
/// null counts as absent.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    path: String,
    left: BTreeMap<&'a str, &'a Value>,
    report: &'a mut Report,
}

impl<'a> Fields<'a> {
    /// The whole path of a field.
    fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// What does not fit so far.
    pub(crate) fn errors(&mut self) -> &mut ValidationErrors {
        &mut self.report.errors
    }

    /// Notes that a field does not fit.
    pub(crate) fn refuse(&mut self, name: &str, message: impl Into<String>) {
        self.report.errors.add(self.path(name), message);
    }

    /// Notes that the object as a whole does not fit.
    pub(crate) fn refuse_all(&mut self, message: impl Into<String>) {
        self.report.errors.add(as_a_whole(&self.path), message);
    }

    /// What a rule made of a field; its refusal is noted.
    pub(crate) fn check<T, E: Into<String>>(
        &mut self,
        name: &str,
        outcome: Result<T, E>,
    ) -> Option<T> {
        self.report.errors.check(self.path(name), outcome)
    }

    /// Whether a field is still there, and not null.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.left.get(name).is_some_and(|value| !value.is_null())
    }

    /// Notes a field that must be there and is not.
    pub(crate) fn require(&mut self, name: &str, message: &str) {
        if !self.has(name) {
            self.refuse(name, message);
        }
    }

    /// Takes a field that is not documented, in order to refuse it.
    pub(crate) fn take_undocumented(&mut self, name: &str) -> Option<&'a Value> {
        self.left.remove(name).filter(|value| !value.is_null())
    }

    /// Takes a field, whatever it is.
    pub(crate) fn take(&mut self, name: &str) -> Option<&'a Value> {
        self.take_nullable(name).flatten()
    }

    /// Takes a field whose null means something: that is `Some(None)`.
    fn take_nullable(&mut self, name: &str) -> Option<Option<&'a Value>> {
        #[cfg(test)]
        self.report.read.push(self.path(name));
        self.left.remove(name).map(|value| Some(value).filter(|value| !value.is_null()))
    }

    /// Takes an object.
    pub(crate) fn object<T: Body>(&mut self, name: &str) -> Option<T> {
        let value = self.take(name)?;
        read(&self.path(name), value, self.report)
    }

    /// Takes a flag.
    pub(crate) fn flag(&mut self, name: &str) -> Option<bool> {
        let value = self.take(name)?;
        let flag = value.as_bool().ok_or("must be true or false");
        self.check(name, flag)
    }

    /// Takes a text.
    pub(crate) fn text(&mut self, name: &str) -> Option<&'a str> {
        let value = self.take(name)?;
        self.as_text(name, value)
    }

    /// The text of a field taken before.
    pub(crate) fn as_text(&mut self, name: &str, value: &'a Value) -> Option<&'a str> {
        self.check(name, value.as_str().ok_or("must be a string"))
    }

    /// Takes what a rule makes of a text.
    pub(crate) fn parse<T, E: Into<String>>(
        &mut self,
        name: &str,
        rule: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(name)?;
        self.check(name, rule(text))
    }

    /// The same for a field whose null means something: that is `Some(None)`.
    pub(crate) fn parse_nullable<T, E: Into<String>>(
        &mut self,
        name: &str,
        rule: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<Option<T>> {
        let Some(value) = self.take_nullable(name)? else { return Some(None) };
        let text = self.as_text(name, value)?;
        self.check(name, rule(text)).map(Some)
    }

    /// Takes a whole number within bounds. `5.0` is one too, as JSON makes no difference.
    pub(crate) fn number<N: TryFrom<i64> + PartialOrd + Display>(
        &mut self,
        name: &str,
        bounds: RangeInclusive<N>,
    ) -> Option<N> {
        let value = self.take(name)?;
        let whole = value.as_i64().or_else(|| {
            let float = value.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 1e15)?;
            // In range, and without a fraction: nothing is lost.
            Some(float as i64)
        });
        let number = whole.and_then(|n| N::try_from(n).ok()).filter(|n| bounds.contains(n));
        let (min, max) = (bounds.start(), bounds.end());
        let number = number.ok_or_else(|| format!("must be a whole number from {min} to {max}"));
        self.check(name, number)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(ToSchema)]
    struct Inner {
        a: Option<bool>,
        b: Option<bool>,
        c: Option<String>,
        n: Option<u16>,
    }

    impl Body for Inner {
        fn read(fields: &mut Fields<'_>) -> Option<Self> {
            Some(Self {
                a: fields.flag("a"),
                b: fields.flag("b"),
                c: fields.text("c").map(str::to_owned),
                n: fields.number("n", 10..=20),
            })
        }
    }

    fn inner(value: &Value) -> (Option<Inner>, Report) {
        let mut report = Report::default();
        (read("deep", value, &mut report), report)
    }

    fn blamed(errors: ValidationErrors) -> Vec<String> {
        let Err(refusal) = errors.into_result() else { return Vec::new() };
        refusal.0.body().details.iter().map(|detail| detail.code.clone()).collect()
    }

    #[test]
    fn fields_are_taken_and_the_rest_is_ignored() {
        let (read, report) = inner(&json!({"a": true, "b": "x", "c": null, "d": 1}));
        let read = read.unwrap();
        assert_eq!((read.a, read.b, read.c, read.n), (Some(true), None, None, None));
        assert_eq!(report.ignored, ["deep.d"]);
        assert_eq!(blamed(report.errors), ["deep.b"]);
        let (read, report) = inner(&json!([]));
        assert!(read.is_none());
        assert_eq!(blamed(report.errors), ["deep"]);
    }

    #[test]
    fn numbers_are_whole_and_bounded() {
        let read = |value: Value| inner(&json!({ "n": value })).0.unwrap().n;
        assert_eq!(read(json!(10)), Some(10));
        assert_eq!(read(json!(20.0)), Some(20));
        for bad in [
            json!(9),
            json!(21),
            json!(10.5),
            json!("10"),
            json!(-10),
            json!(1e300),
            json!(65_546),
            json!(true),
            json!([]),
        ] {
            let (read, report) = inner(&json!({ "n": bad.clone() }));
            assert_eq!(read.unwrap().n, None, "{bad}");
            assert_eq!(blamed(report.errors), ["deep.n"], "{bad}");
        }
    }
}
