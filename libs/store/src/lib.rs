//! What database code repeats: opening, the single SQLite writer, transactions, values, migrations, the file lock.
//!
//! A service writes its SQL once, with `$1` placeholders, and this crate runs it on SQLite (the embedded default)
//! or on PostgreSQL. Start at [`Database`]; [`Tx`] is the unit of change, [`params!`] makes the parameters,
//! [`Row::get`] reads a column. [`Dialect`] holds the few words in which the two databases differ.
//!
//! Not here: tables (each service owns its own), ids and clocks (the application makes them), retries.
//!
//! # SQL that runs on both
//! - Column types: `TEXT`, `BIGINT`, `DOUBLE PRECISION`, `BYTEA`; a flag is a `BIGINT` of 0 or 1.
//! - `ON CONFLICT`, `RETURNING`, partial indexes, `COALESCE`, `CASE`, window functions and `WITH` are alike.
//! - `SUM` of integers is `NUMERIC` on PostgreSQL: write `CAST(SUM(n) AS BIGINT)`.
//! - The order of text follows the server's language on PostgreSQL: where order or comparison matters, write
//!   `ORDER BY name COLLATE "C"`; SQLite gets a collation of that name from this crate.
//! - `LIKE` ignores ASCII case on SQLite only: compare `LOWER(x)` with a lower-case pattern.
//! - A statement inside a transaction that fails ends the transaction (see [`Tx`]): prefer
//!   `ON CONFLICT DO NOTHING` and look at the number of rows to catching [`StoreError::Conflict`].

mod config;
mod database;
mod dialect;
mod driver;
mod error;
mod insert;
mod lock;
mod migrate;
mod postgres;
mod row;
mod sql;
mod sqlite;
#[doc(hidden)]
pub mod testing;
mod transaction;
mod value;

pub use config::DatabaseConfig;
pub use database::{Database, probe};
pub use dialect::Dialect;
pub use error::{Cause, StoreError};
pub use lock::{FileLock, LockError};
pub use row::{FromValue, Row};
pub use sql::{Sql, placeholders};
pub use transaction::Tx;
pub use value::{Kind, Typed, Value};

/// What `sqlx::migrate!` makes; named here so that stores need not name sqlx in their signatures.
pub use sqlx::migrate::Migrator;
