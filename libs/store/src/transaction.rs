//! The unit of change.

use sqlx::{Postgres, Sqlite, Transaction};

use crate::{Dialect, Row, Sql, StoreError, Value, driver};

/// An open transaction. Dropped without [`commit`](Self::commit) it is rolled back.
///
/// On SQLite it holds the only writer (`BEGIN IMMEDIATE`), so it should not wait for anything but the database.
/// On PostgreSQL its isolation is READ COMMITTED: rows that a decision rests on are read with
/// [`Dialect::for_update`].
///
/// A statement that fails or is cancelled half-way ends the transaction on both databases: later calls answer
/// [`StoreError::Aborted`]. (PostgreSQL would refuse them and turn the commit into a silent rollback; SQLite
/// would carry on.)
#[derive(Debug)]
pub struct Tx {
    inner: Inner,
    failed: bool,
}

#[derive(Debug)]
enum Inner {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// Runs a statement with the failure mark set, and clears the mark when it succeeded: a caller that stops
/// polling in the middle leaves it set.
macro_rules! guarded {
    ($tx:expr, $call:ident, $sql:expr, $params:expr) => {{
        if $tx.failed {
            return Err(StoreError::Aborted);
        }
        $tx.failed = true;
        let outcome = match &mut $tx.inner {
            Inner::Sqlite(inner) => driver::$call(&mut **inner, $sql, $params).await,
            Inner::Postgres(inner) => driver::$call(&mut **inner, $sql, $params).await,
        };
        $tx.failed = outcome.is_err();
        outcome
    }};
}

impl Tx {
    pub(crate) fn sqlite(inner: Transaction<'static, Sqlite>) -> Self {
        Self { inner: Inner::Sqlite(inner), failed: false }
    }

    pub(crate) fn postgres(inner: Transaction<'static, Postgres>) -> Self {
        Self { inner: Inner::Postgres(inner), failed: false }
    }

    /// Which database this runs on.
    pub fn dialect(&self) -> Dialect {
        match self.inner {
            Inner::Sqlite(_) => Dialect::Sqlite,
            Inner::Postgres(_) => Dialect::Postgres,
        }
    }

    /// All rows of a statement, which may also be an `INSERT`, `UPDATE` or `DELETE` with `RETURNING`.
    ///
    /// # Errors
    /// Any [`StoreError`]; the transaction is then over.
    pub async fn query(&mut self, sql: impl Into<Sql>, params: &[Value]) -> Result<Vec<Row>, StoreError> {
        let sql = sql.into();
        guarded!(self, fetch_all, sql, params)
    }

    /// The first row of a statement, if it has one.
    ///
    /// # Errors
    /// Any [`StoreError`]; the transaction is then over.
    pub async fn query_opt(
        &mut self,
        sql: impl Into<Sql>,
        params: &[Value],
    ) -> Result<Option<Row>, StoreError> {
        let sql = sql.into();
        guarded!(self, fetch_optional, sql, params)
    }

    /// Runs a statement and returns how many rows it inserted, changed or deleted.
    ///
    /// # Errors
    /// Any [`StoreError`]; the transaction is then over.
    pub async fn execute(&mut self, sql: impl Into<Sql>, params: &[Value]) -> Result<u64, StoreError> {
        let sql = sql.into();
        guarded!(self, execute, sql, params)
    }

    /// Makes the changes durable and visible.
    ///
    /// # Errors
    /// [`StoreError::Aborted`] when a statement had failed; nothing is stored then. On
    /// [`StoreError::Unavailable`] the outcome is unknown: the connection may have broken after the commit.
    pub async fn commit(self) -> Result<(), StoreError> {
        if self.failed {
            self.rollback().await?;
            return Err(StoreError::Aborted);
        }
        match self.inner {
            Inner::Sqlite(tx) => tx.commit().await?,
            Inner::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }

    /// Takes the changes back and waits until that is done; dropping does the same without waiting.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the connection broke; the changes are gone all the same.
    pub async fn rollback(self) -> Result<(), StoreError> {
        match self.inner {
            // After a failure SQLite may have rolled back by itself; dropping copes with that, asking does not.
            Inner::Sqlite(tx) if self.failed => drop(tx),
            Inner::Sqlite(tx) => tx.rollback().await?,
            Inner::Postgres(tx) => tx.rollback().await?,
        }
        Ok(())
    }
}
