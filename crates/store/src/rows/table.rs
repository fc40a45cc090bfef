//! How a table is described, and the values in it: nothing here knows a database.

use std::fmt::Display;

use browserd_api::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::StoreError;

/// A table, as every implementation of [`crate::Store`] has it. Beside `columns` each has `id` and
/// `project_id`, and one with names `name` and `name_folded`.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Its own columns.
    pub columns: &'static [Column],
    /// Whether rows have names, and who may have the same.
    pub names: Names,
    /// When a row was made: lists are in this order, rows of one time in the order of their ids.
    pub made_at: &'static str,
    /// When a row ended, of rows that stay readable then.
    pub ended_at: Option<&'static str>,
    /// What a search looks through beside id and name.
    pub searched: &'static [Searched],
    /// A column with JSON and a field of it that is left out of lists, because it may be large.
    pub unlisted: Option<(&'static str, &'static str)>,
    /// A unique column: a second row with the same there is not added, which is no error.
    pub once: Option<&'static str>,
}

impl Table {
    /// A table without anything special, for the rest of a description.
    pub const PLAIN: Self = Self {
        name: "",
        columns: &[],
        names: Names::None,
        made_at: "created_at",
        ended_at: None,
        searched: &[],
        unlisted: None,
        once: None,
    };

    /// All columns.
    pub fn all_columns(&self) -> impl Iterator<Item = Column> + '_ {
        let named: &[Column] = match self.names {
            Names::None => &[],
            _ => &NAMED,
        };
        [Column::text("id"), Column::text("project_id")]
            .into_iter()
            .chain(named.iter().copied())
            .chain(self.columns.iter().copied())
    }
}

/// Columns of a table with names.
const NAMED: [Column; 2] = [Column::text("name"), Column::text("name_folded")];

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
}

/// What a column holds, or nothing.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Text; JSON too.
    Text,
    /// A number; times too, as microseconds since the Unix epoch.
    Integer,
    /// Bytes.
    Bytes,
}

impl Column {
    /// One with text.
    #[must_use]
    pub const fn text(name: &'static str) -> Self {
        Self { name, kind: Kind::Text }
    }

    /// One with a number or a time.
    #[must_use]
    pub const fn integer(name: &'static str) -> Self {
        Self { name, kind: Kind::Integer }
    }

    /// One with bytes.
    #[must_use]
    pub const fn bytes(name: &'static str) -> Self {
        Self { name, kind: Kind::Bytes }
    }
}

/// Whether rows have names, and who of one project may have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// They have none.
    None,
    /// Several may have the same; one is found by its name, in any case, while it is the only one.
    Shared,
    /// Each has its own.
    Unique,
    /// One that has not ended has its own; ended ones keep theirs.
    UniqueWhileOpen,
}

/// What a search looks through.
#[derive(Debug, Clone, Copy)]
pub enum Searched {
    /// A column with folded text, of which any part will do.
    Part(&'static str),
    /// A column with text, which must be the same.
    Whole(&'static str),
}

/// What is in a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A number or a time.
    Integer(i64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Integer(yes.into())
    }
}

impl From<u64> for Value {
    /// Larger than a column can hold is as large as it can.
    fn from(number: u64) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<Timestamp> for Value {
    fn from(at: Timestamp) -> Self {
        Self::Integer(at.as_micros())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The columns of a row, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns(Vec<(&'static str, Value)>);

impl Columns {
    /// Sets a column.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        let value = value.into();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// Sets a column to a value as JSON.
    pub fn set_json(
        &mut self,
        name: &'static str,
        value: &impl Serialize,
    ) -> Result<(), StoreError> {
        let text = serde_json::to_string(value).map_err(|why| self.unreadable(name, why))?;
        self.set(name, text);
        Ok(())
    }

    /// Sets a column to the text that a value is on the wire.
    pub fn set_word(
        &mut self,
        name: &'static str,
        value: &impl Serialize,
    ) -> Result<(), StoreError> {
        match serde_json::to_value(value) {
            Ok(serde_json::Value::String(text)) => {
                self.set(name, text);
                Ok(())
            }
            other => Err(self.unreadable(name, format!("it has no text: {other:?}"))),
        }
    }

    /// What is in a column; nothing, when it was never set.
    #[must_use]
    pub fn get(&self, name: &str) -> &Value {
        self.0.iter().find(|(known, _)| *known == name).map_or(&Value::Null, |(_, value)| value)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    /// Text, if there is any.
    pub fn text_if(&self, name: &str) -> Result<Option<&str>, StoreError> {
        match self.get(name) {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            other => Err(self.unreadable(name, format!("no text: {other:?}"))),
        }
    }

    /// Text.
    pub fn text(&self, name: &str) -> Result<&str, StoreError> {
        self.text_if(name)?.ok_or_else(|| self.unreadable(name, "nothing"))
    }

    /// A number, if there is one.
    pub fn integer_if(&self, name: &str) -> Result<Option<i64>, StoreError> {
        match self.get(name) {
            Value::Null => Ok(None),
            Value::Integer(number) => Ok(Some(*number)),
            other => Err(self.unreadable(name, format!("no number: {other:?}"))),
        }
    }

    /// A size, if there is one.
    pub fn size_if(&self, name: &str) -> Result<Option<u64>, StoreError> {
        let size = self.integer_if(name)?;
        size.map(|size| u64::try_from(size).map_err(|why| self.unreadable(name, why))).transpose()
    }

    /// A time, if there is one.
    pub fn time_if(&self, name: &str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.integer_if(name)?.map(Timestamp::from_micros))
    }

    /// A time.
    pub fn time(&self, name: &str) -> Result<Timestamp, StoreError> {
        self.time_if(name)?.ok_or_else(|| self.unreadable(name, "nothing"))
    }

    /// What is kept as JSON.
    pub fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, StoreError> {
        serde_json::from_str(self.text(name)?).map_err(|why| self.unreadable(name, why))
    }

    /// What is kept as the text it is on the wire, if there is any.
    pub fn word_if<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        let Some(text) = self.text_if(name)? else { return Ok(None) };
        let read = serde_json::from_value(serde_json::Value::String(text.to_owned()));
        read.map(Some).map_err(|why| self.unreadable(name, why))
    }

    /// An id.
    pub fn id<T: std::str::FromStr>(&self, name: &str) -> Result<T, StoreError> {
        self.text(name)?.parse().map_err(|_| self.unreadable(name, "no id"))
    }

    /// The name, if there is one.
    pub fn name(&self) -> Result<Option<String>, StoreError> {
        Ok(self.text_if("name")?.map(str::to_owned))
    }

    /// Says that a column holds what this version cannot read.
    #[must_use]
    pub fn unreadable(&self, column: &str, why: impl Display) -> StoreError {
        let id = match self.get("id") {
            Value::Text(id) => id.clone(),
            _ => "(new)".to_owned(),
        };
        StoreError::Corrupt { id, detail: format!("{column}: {why}") }
    }
}

/// The form in which text is searched.
#[must_use]
pub fn fold(text: &str) -> String {
    text.to_lowercase()
}
