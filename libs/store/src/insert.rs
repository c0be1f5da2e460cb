//! Many rows by few statements.

use std::fmt::Write;

use crate::{Dialect, Sql, StoreError, Tx, Value, placeholders};

/// How many rows a statement inserts at most.
const ROWS: usize = 128;

/// How many rows it inserts on SQLite: few lengths, so that the statements stay prepared.
const LENGTHS: [usize; 8] = [ROWS, 64, 32, 16, 8, 4, 2, 1];

impl Tx {
    /// Inserts rows: `into` is the table with its columns in brackets, `rest` what follows the values (`ON CONFLICT …`) or
    /// nothing. Every row has a value for each column. Returns how many rows were inserted.
    ///
    /// # Errors
    /// Those of [`Tx::execute`], which end the transaction.
    pub async fn insert_rows(
        &mut self,
        into: &str,
        rows: Vec<Vec<Value>>,
        rest: &str,
    ) -> Result<u64, StoreError> {
        let dialect = self.dialect();
        let (mut left, mut inserted) = (rows.len(), 0);
        let mut rows = rows.into_iter();
        while left > 0 {
            let length = at_once(left, dialect);
            let mut values: Vec<Value> = Vec::new();
            values.extend(rows.by_ref().take(length).flatten());
            let text = insert(into, length, values.len() / length, rest, dialect);
            let sql = if LENGTHS.contains(&length) { Sql::from(text) } else { Sql::once(text) };
            inserted += self.execute(sql, &values).await?;
            left -= length;
        }
        Ok(inserted)
    }
}

/// SQLite is near, and reading a statement anew costs it more than another turn; PostgreSQL is far away.
fn at_once(left: usize, dialect: Dialect) -> usize {
    match dialect {
        Dialect::Sqlite => LENGTHS.into_iter().find(|length| *length <= left).unwrap_or(1),
        Dialect::Postgres => left.min(ROWS),
    }
}

/// SQLite looks for a named parameter among all others, each time; nameless ones it just counts. PostgreSQL has no others
/// than numbered ones.
fn insert(into: &str, rows: usize, columns: usize, rest: &str, dialect: Dialect) -> String {
    let nameless = vec!["?"; columns].join(", ");
    let mut text = format!("INSERT INTO {into} VALUES ");
    for row in 0..rows {
        let comma = if row == 0 { "" } else { ", " };
        // Writing into a String cannot fail.
        let _ = match dialect {
            Dialect::Sqlite => write!(text, "{comma}({nameless})"),
            Dialect::Postgres => write!(text, "{comma}({})", placeholders(row * columns + 1, columns)),
        };
    }
    if !rest.is_empty() {
        let _ = write!(text, " {rest}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_rows_make_one_statement() {
        let sqlite = insert("t (a, b)", 2, 2, "", Dialect::Sqlite);
        assert_eq!(sqlite, "INSERT INTO t (a, b) VALUES (?, ?), (?, ?)");
        let postgres = insert("t (a, b)", 2, 2, "ON CONFLICT DO NOTHING", Dialect::Postgres);
        assert_eq!(postgres, "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4) ON CONFLICT DO NOTHING");
    }

    #[test]
    fn lengths_cover_every_number_of_rows() {
        for (left, dialect, length) in [
            (1, Dialect::Sqlite, 1),
            (17, Dialect::Sqlite, 16),
            (500, Dialect::Sqlite, ROWS),
            (17, Dialect::Postgres, 17),
            (500, Dialect::Postgres, ROWS),
        ] {
            assert_eq!(at_once(left, dialect), length);
        }
    }
}
