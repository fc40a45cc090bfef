//! Which rows are wanted, said so that every database can be asked.

use std::collections::BTreeMap;

use browserd_api::browser::StatusFilter;

use super::table::{Searched, Table, Value, fold};

/// Which rows of a project to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Those that have not ended, those that have, or both; of rows that stay when they end.
    pub status: StatusFilter,
    /// The name, in any case.
    pub name: Option<String>,
    /// Part of the name or of another searched text, in any case, or exactly the id or another searched
    /// id.
    pub query: Option<String>,
    /// Labels that must all be there, exactly.
    pub tags: BTreeMap<String, String>,
    /// Columns that must hold exactly this.
    pub exactly: Vec<(&'static str, String)>,
    /// At most so many.
    pub limit: u32,
    /// Leave out so many first.
    pub offset: u32,
}

/// What must be true of a row.
#[derive(Debug, Clone)]
pub enum Condition {
    /// A column holds this.
    Is(&'static str, Value),
    /// A column holds nothing.
    Empty(&'static str),
    /// A column holds something.
    Filled(&'static str),
    /// A column holds less than this.
    Below(&'static str, Value),
    /// No row of this table, of the same project, has the row's id in this column.
    Unused(&'static Table, &'static str),
    /// A text column has this as part; nothing in it is a pattern.
    Part(&'static str, String),
    /// The JSON object in a column has all these entries.
    Has(&'static str, BTreeMap<String, String>),
    /// One of these is true.
    Any(Vec<Condition>),
}

/// What comes first.
#[derive(Debug, Clone, Copy)]
pub enum Order {
    /// The least.
    Up(&'static str),
    /// The greatest; nothing at the end.
    Down(&'static str),
    /// What holds nothing.
    EmptyFirst(&'static str),
}

/// Which rows, in which order, and how many of them.
#[derive(Debug, Clone, Default)]
pub struct Select {
    /// All of this is true of them.
    pub wanted: Vec<Condition>,
    /// What comes first; of equals the next of these says.
    pub order: Vec<Order>,
    /// At most so many; none: all.
    pub limit: Option<u64>,
    /// Leave out so many first.
    pub offset: u64,
    /// Whether [`Table::unlisted`] is left out.
    pub listing: bool,
}

impl Filter {
    /// What is asked of the database: one row more than wanted tells whether more follow.
    pub(super) fn select(&self, table: &Table, project: Condition) -> Select {
        let mut wanted = vec![project];
        if let Some(ended_at) = table.ended_at {
            match self.status {
                StatusFilter::Active => wanted.push(Condition::Empty(ended_at)),
                StatusFilter::Deleted => wanted.push(Condition::Filled(ended_at)),
                StatusFilter::All => {}
            }
        }
        if let Some(name) = &self.name {
            wanted.push(Condition::Is("name_folded", fold(name).into()));
        }
        if let Some(query) = self.query.as_deref().filter(|query| !query.is_empty()) {
            wanted.push(Condition::Any(search(table, query)));
        }
        if !self.tags.is_empty() {
            wanted.push(Condition::Has("tags", self.tags.clone()));
        }
        for (column, text) in &self.exactly {
            wanted.push(Condition::Is(column, text.as_str().into()));
        }
        Select {
            wanted,
            order: vec![Order::Down(table.made_at), Order::Down("id")],
            limit: Some(u64::from(self.limit) + 1),
            offset: self.offset.into(),
            listing: true,
        }
    }
}

fn search(table: &Table, query: &str) -> Vec<Condition> {
    let mut any = vec![Condition::Is("id", query.into())];
    if table.names != super::Names::None {
        any.push(Condition::Part("name_folded", fold(query)));
    }
    any.extend(table.searched.iter().map(|searched| match *searched {
        Searched::Part(column) => Condition::Part(column, fold(query)),
        Searched::Whole(column) => Condition::Is(column, query.into()),
    }));
    any
}
