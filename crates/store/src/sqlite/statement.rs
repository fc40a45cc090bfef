//! The statements, as `SQLite` says them. Names of tables and columns come from descriptions in this
//! crate's code; everything else is bound.

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite};

use crate::{Columns, Condition, Kind, Order, Select, StoreError, Table, Value};

type Statement = QueryBuilder<Sqlite>;

pub(super) fn insert(table: &Table, row: &Columns) -> Statement {
    let mut statement = Statement::new(format!("INSERT INTO {} (", table.name));
    separated(&mut statement, row.iter(), |statement, (column, _)| _ = statement.push(column));
    statement.push(") VALUES (");
    separated(&mut statement, row.iter(), |statement, (_, value)| bind(statement, value));
    statement.push(")");
    if let Some(once) = table.once {
        statement.push(format_args!(" ON CONFLICT ({once}) DO NOTHING"));
    }
    statement
}

pub(super) fn select(table: &Table, select: &Select) -> Statement {
    let mut statement = Statement::new("SELECT ");
    separated(&mut statement, table.all_columns(), |statement, column| match table.unlisted {
        Some((unlisted, field)) if select.listing && unlisted == column.name => {
            // One row that is no JSON is left out by itself; json_remove would refuse the whole list.
            statement.push(format_args!(
                "CASE WHEN json_valid({unlisted}) THEN json_remove({unlisted}, '$.{field}') \
                 ELSE {unlisted} END AS {unlisted}"
            ));
        }
        _ => _ = statement.push(column.name),
    });
    statement.push(format_args!(" FROM {}", table.name));
    only(&mut statement, table, &select.wanted);
    for (at, order) in select.order.iter().enumerate() {
        statement.push(if at == 0 { " ORDER BY " } else { ", " });
        match order {
            Order::Up(column) => statement.push(column),
            Order::Down(column) => statement.push(format_args!("{column} DESC")),
            Order::EmptyFirst(column) => statement.push(format_args!("{column} IS NOT NULL")),
        };
    }
    if let Some(limit) = select.limit {
        statement.push(" LIMIT ");
        bind(&mut statement, &limit.into());
        statement.push(" OFFSET ");
        bind(&mut statement, &select.offset.into());
    }
    statement
}

/// Changes what differs between two states of one row; none: nothing does.
pub(super) fn update(table: &Table, old: &Columns, new: &Columns) -> Option<Statement> {
    let mut set = Columns::default();
    for (column, value) in new.iter().filter(|(column, value)| old.get(column) != *value) {
        set.set(column, value.clone());
    }
    set.iter().next()?;
    Some(update_all(table, &[Condition::Is("id", old.get("id").clone())], &set))
}

pub(super) fn update_all(table: &Table, wanted: &[Condition], set: &Columns) -> Statement {
    let mut statement = Statement::new(format!("UPDATE {} SET ", table.name));
    separated(&mut statement, set.iter(), |statement, (column, value)| {
        statement.push(format_args!("{column} = "));
        bind(statement, value);
    });
    only(&mut statement, table, wanted);
    statement
}

pub(super) fn delete(table: &Table, wanted: &[Condition]) -> Statement {
    let mut statement = Statement::new(format!("DELETE FROM {}", table.name));
    only(&mut statement, table, wanted);
    statement.push(" RETURNING ");
    separated(&mut statement, table.all_columns(), |statement, column| {
        statement.push(column.name);
    });
    statement
}

/// Deletes at most `most` rows, unread.
pub(super) fn delete_some(table: &Table, wanted: &[Condition], most: u64) -> Statement {
    let mut statement =
        Statement::new(format!("DELETE FROM {0} WHERE id IN (SELECT id FROM {0}", table.name));
    only(&mut statement, table, wanted);
    statement.push(" LIMIT ");
    bind(&mut statement, &most.into());
    statement.push(")");
    statement
}

pub(super) fn total(table: &Table, column: &str) -> Statement {
    Statement::new(format!("SELECT TOTAL({column}) FROM {}", table.name))
}

/// Reads a row of [`select`] or [`delete`].
pub(super) fn read(table: &Table, row: &SqliteRow) -> Result<Columns, StoreError> {
    let mut columns = Columns::default();
    for (at, column) in table.all_columns().enumerate() {
        // Unchecked, because what a function answers has no type of a column.
        let value: Value = match column.kind {
            Kind::Text => row.try_get_unchecked::<Option<String>, _>(at)?.into(),
            Kind::Integer => row.try_get_unchecked::<Option<i64>, _>(at)?.into(),
            Kind::Bytes => row.try_get_unchecked::<Option<Vec<u8>>, _>(at)?.into(),
        };
        columns.set(column.name, value);
    }
    Ok(columns)
}

fn only(statement: &mut Statement, table: &Table, wanted: &[Condition]) {
    for (at, condition) in wanted.iter().enumerate() {
        statement.push(if at == 0 { " WHERE " } else { " AND " });
        push(statement, table, condition);
    }
}

fn push(statement: &mut Statement, table: &Table, condition: &Condition) {
    match condition {
        Condition::Is(column, value) => {
            statement.push(format_args!("{column} = "));
            bind(statement, value);
        }
        Condition::Empty(column) => _ = statement.push(format_args!("{column} IS NULL")),
        Condition::Filled(column) => _ = statement.push(format_args!("{column} IS NOT NULL")),
        // instr and not LIKE: nothing in the text is a pattern.
        Condition::Part(column, part) => {
            statement.push(format_args!("instr({column}, "));
            statement.push_bind(part.clone());
            statement.push(") > 0");
        }
        Condition::Below(column, value) => {
            statement.push(format_args!("{column} < "));
            bind(statement, value);
        }
        Condition::Unused(other, column) => {
            statement.push(format_args!(
                "NOT EXISTS (SELECT 1 FROM {} AS other WHERE other.project_id = {table}.project_id \
                 AND other.{column} = {table}.id)",
                other.name,
                table = table.name
            ));
        }
        Condition::Has(column, entries) => {
            // No entry that is wanted is missing.
            statement.push("NOT EXISTS (SELECT 1 FROM json_each(");
            statement.push_bind(serde_json::json!(entries).to_string());
            statement.push(format_args!(
                ") AS wanted WHERE NOT EXISTS (SELECT 1 FROM json_each({}.{column}) AS present \
                 WHERE present.key = wanted.key AND present.value = wanted.value))",
                table.name
            ));
        }
        Condition::Any(conditions) => {
            for (at, condition) in conditions.iter().enumerate() {
                statement.push(if at == 0 { "(" } else { " OR " });
                push(statement, table, condition);
            }
            statement.push(")");
        }
    }
}

fn bind(statement: &mut Statement, value: &Value) {
    match value {
        Value::Null => statement.push("NULL"),
        Value::Integer(number) => statement.push_bind(*number),
        Value::Text(text) => statement.push_bind(text.clone()),
        Value::Bytes(bytes) => statement.push_bind(bytes.clone()),
    };
}

fn separated<T>(
    statement: &mut Statement,
    items: impl Iterator<Item = T>,
    mut push: impl FnMut(&mut Statement, T),
) {
    for (at, item) in items.enumerate() {
        if at > 0 {
            statement.push(", ");
        }
        push(statement, item);
    }
}
