//! Rows of every kind, in one shape.
//!
//! A kind of row is declared ([`Row`]: its table, and how it goes into columns and comes out of them);
//! [`Rows`] does the rest with any of them, through the few statements a [`Store`] knows. What only one
//! kind has is a small method in its own file.
//!
//! ```text
//!  Rows<T> of a project ── insert, by id, by name, list, update, delete ─┐
//!  Everywhere<T> ───────── what a server does for all projects at once ──┴─▶ Store (SQLite)
//! ```

mod api_key;
mod profile;
mod proxy;
mod replay;
mod select;
mod session;
mod table;

use std::fmt::Display;
use std::marker::PhantomData;
use std::str::FromStr;

use browserd_api::ProjectId;

pub use api_key::ApiKeyRow;
pub use profile::{ProfileRow, Saved};
pub use proxy::ProxyRow;
pub use replay::{ReplayEnd, ReplayRow};
pub use select::{Condition, Filter, Order, Select};
pub use session::{SessionPatch, SessionRow};
pub use table::{Column, Columns, Kind, Names, Searched, Table, Value, fold};

use crate::{Store, StoreError};

/// A kind of row.
pub trait Row: Clone + Send + Sync + Sized + 'static {
    /// What tells it from others, in all projects.
    type Id: Display + FromStr + Clone + Send + Sync;
    /// Where it is kept.
    const TABLE: &'static Table;

    /// Its id.
    fn id(&self) -> &Self::Id;

    /// Its name, of rows that have names.
    fn name(&self) -> Option<&str> {
        None
    }

    /// Sets the table's own columns; id, project and name are set already.
    fn write(&self, columns: &mut Columns) -> Result<(), StoreError>;

    /// Reads it.
    fn read(columns: &Columns) -> Result<Self, StoreError>;
}

/// The rows of one kind in one project: those of others are not there.
pub struct Rows<'a, T> {
    store: &'a dyn Store,
    project: &'a ProjectId,
    kind: PhantomData<fn() -> T>,
}

/// The rows of one kind in all projects, for what a server does for all of them at once.
pub struct Everywhere<'a, T> {
    store: &'a dyn Store,
    kind: PhantomData<fn() -> T>,
}

// Not derived, because that would ask the same of the rows.
impl<T> Clone for Rows<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Rows<'_, T> {}

impl dyn Store + '_ {
    /// The rows of one kind in one project.
    #[must_use]
    pub fn rows<'a, T: Row>(&'a self, project: &'a ProjectId) -> Rows<'a, T> {
        Rows { store: self, project, kind: PhantomData }
    }

    /// The rows of one kind in all projects: not for what a client asks.
    #[must_use]
    pub fn everywhere<T: Row>(&self) -> Everywhere<'_, T> {
        Everywhere { store: self, kind: PhantomData }
    }
}

impl<'a, T: Row> Rows<'a, T> {
    /// Adds one; `Taken` when another has its name.
    pub async fn insert(&self, row: &T) -> Result<(), StoreError> {
        let mut columns = self.columns(row)?;
        columns.set("project_id", self.project.as_str());
        self.store.insert(T::TABLE, columns).await
    }

    /// One by id.
    pub async fn by_id(&self, id: &T::Id) -> Result<Option<T>, StoreError> {
        self.first(vec![self.project(), is_id(id)], Vec::new()).await
    }

    /// One by name. Of rows that may share names the only one, in any case, or `Ambiguous`; of rows that
    /// end, the one that has not, else the last that has.
    pub async fn by_name(&self, name: &str) -> Result<Option<T>, StoreError> {
        let exactly = || Condition::Is("name", name.into());
        match (T::TABLE.names, T::TABLE.ended_at) {
            (Names::None, _) => Ok(None),
            (Names::Shared, _) => {
                let filter = Filter { name: Some(name.to_owned()), limit: 1, ..Filter::default() };
                let mut select = filter.select(T::TABLE, self.project());
                select.listing = false;
                let mut found = self.store.select(T::TABLE, select).await?;
                match found.len() {
                    0 => Ok(None),
                    1 => T::read(&found.remove(0)).map(Some),
                    _ => Err(StoreError::Ambiguous),
                }
            }
            (Names::UniqueWhileOpen, Some(ended_at)) => {
                let order = vec![
                    Order::EmptyFirst(ended_at),
                    Order::Down(ended_at),
                    Order::Down(T::TABLE.made_at),
                    Order::Down("id"),
                ];
                self.first(vec![self.project(), exactly()], order).await
            }
            _ => self.first(vec![self.project(), exactly()], Vec::new()).await,
        }
    }

    /// One by its id, else by its name: the one rule for whatever a path or body names.
    pub async fn find(&self, id_or_name: &str) -> Result<Option<T>, StoreError> {
        if let Ok(id) = id_or_name.parse::<T::Id>()
            && let Some(row) = self.by_id(&id).await?
        {
            return Ok(Some(row));
        }
        self.by_name(id_or_name).await
    }

    /// Rows, newest first and without what is [`Table::unlisted`], and whether more follow. Rows that
    /// cannot be read are left out: asked for by itself such a row says what is wrong.
    pub async fn list(&self, filter: &Filter) -> Result<(Vec<T>, bool), StoreError> {
        let select = filter.select(T::TABLE, self.project());
        let found = self.store.select(T::TABLE, select).await?;
        let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
        let has_more = found.len() > limit;
        Ok((found.iter().take(limit).filter_map(readable).collect(), has_more))
    }

    /// Changes one, with no other write in between; answers it as it is then. `NotFound` when it is not
    /// there, `Taken` when another has the name it is given.
    pub async fn update(
        &self,
        id: &T::Id,
        mut change: impl FnMut(&mut T) + Send,
    ) -> Result<T, StoreError> {
        self.update_where(id, Vec::new(), |row| {
            change(row);
            Ok(())
        })
        .await
    }

    /// As [`Self::update`], of a row for which all this is true.
    async fn update_where(
        &self,
        id: &T::Id,
        conditions: Vec<Condition>,
        mut change: impl FnMut(&mut T) -> Result<(), StoreError> + Send,
    ) -> Result<T, StoreError> {
        let changed = self
            .change(id, conditions, &mut |old| {
                let mut row = T::read(old)?;
                change(&mut row)?;
                let mut new = old.clone();
                write(&row, &mut new)?;
                Ok(new)
            })
            .await?;
        T::read(&changed)
    }

    /// Changes the columns of one, unread.
    async fn change(
        &self,
        id: &T::Id,
        conditions: Vec<Condition>,
        change: Change<'_>,
    ) -> Result<Columns, StoreError> {
        let mut wanted = vec![self.project(), is_id(id)];
        wanted.extend(conditions);
        self.store.change(T::TABLE, wanted, change).await?.ok_or(StoreError::NotFound)
    }

    /// Takes one away, and answers what it was; `NotFound` when it is not there.
    pub async fn delete(&self, id: &T::Id) -> Result<T, StoreError> {
        let gone = self.store.remove(T::TABLE, vec![self.project(), is_id(id)]).await?;
        T::read(&gone.ok_or(StoreError::NotFound)?)
    }

    async fn first(
        &self,
        wanted: Vec<Condition>,
        order: Vec<Order>,
    ) -> Result<Option<T>, StoreError> {
        let select = Select { wanted, order, limit: Some(1), ..Select::default() };
        let found = self.store.select(T::TABLE, select).await?;
        found.first().map(T::read).transpose()
    }

    fn project(&self) -> Condition {
        Condition::Is("project_id", self.project.as_str().into())
    }

    fn columns(&self, row: &T) -> Result<Columns, StoreError> {
        let mut columns = Columns::default();
        write(row, &mut columns)?;
        Ok(columns)
    }
}

impl<T: Row> Everywhere<'_, T> {
    /// Rows with their projects; those that cannot be read are left out.
    async fn select(&self, select: Select) -> Result<Vec<(ProjectId, T)>, StoreError> {
        let found = self.store.select(T::TABLE, select).await?;
        let read = |columns: &Columns| Some((columns.id("project_id").ok()?, readable(columns)?));
        Ok(found.iter().filter_map(read).collect())
    }
}

/// What becomes of a row's columns.
pub type Change<'a> = &'a mut (dyn FnMut(&Columns) -> Result<Columns, StoreError> + Send);

fn write<T: Row>(row: &T, columns: &mut Columns) -> Result<(), StoreError> {
    columns.set("id", row.id().to_string());
    if T::TABLE.names != Names::None {
        columns.set("name", row.name());
        columns.set("name_folded", row.name().map(fold));
    }
    row.write(columns)
}

fn is_id(id: &impl Display) -> Condition {
    Condition::Is("id", id.to_string().into())
}

fn readable<T: Row>(columns: &Columns) -> Option<T> {
    let read = T::read(columns);
    if let Err(error) = &read {
        let table = T::TABLE.name;
        tracing::error!(table, %error, "a row of the database cannot be read and was left out of a list");
    }
    read.ok()
}
