//! What can go wrong, by what the caller can do about it.

use std::error::Error;
use std::fmt;

use sqlx::error::ErrorKind;
use sqlx::postgres::PgDatabaseError;

/// A failed database call. Texts and `Debug` forms never contain a stored value, a parameter or an address.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, is too busy, or broke the transaction off to resolve a deadlock. Nothing
    /// was stored unless the call was a commit; the same work may succeed later.
    #[error("the database is unavailable or busy")]
    Unavailable {
        /// What the driver said.
        source: Cause,
    },
    /// A unique key or primary key already has this value.
    #[error("a row with the same {constraint} exists")]
    Conflict {
        /// `table.column, table.column` of the key on both databases; the index name when the key is an
        /// expression.
        constraint: String,
        /// What the driver said.
        source: Cause,
    },
    /// A row refers to one that does not exist, or a row that others refer to would vanish.
    #[error("a reference between rows would be broken")]
    ForeignKey {
        /// What the driver said.
        source: Cause,
    },
    /// A value cannot be stored: NULL in a NOT NULL column, a CHECK rule, NaN, U+0000 in a text.
    #[error("a value cannot be stored: {reason}")]
    Invalid {
        /// Which rule refused it.
        reason: String,
        /// What the driver said, when the database refused it.
        source: Option<Cause>,
    },
    /// A column does not hold what the caller asked for.
    #[error("column {column}: {reason}")]
    Decode {
        /// The column's name.
        column: String,
        /// Expected and found kind, without content.
        reason: String,
    },
    /// The file is damaged or not a database.
    #[error("the database file is damaged")]
    Corrupt {
        /// What the driver said.
        source: Cause,
    },
    /// The tables could not be brought to the wanted version, or were changed by another build.
    #[error("the database could not be migrated")]
    Migration {
        /// What the migrator said.
        source: Cause,
    },
    /// The settings do not describe a database.
    #[error("database settings: {reason}")]
    Config {
        /// What is wrong with them.
        reason: String,
    },
    /// An earlier statement of this transaction failed or was cancelled; the transaction was rolled back.
    #[error("the transaction had already failed")]
    Aborted,
    /// Anything else, usually a fault in a statement.
    #[error("the database refused a statement")]
    Other {
        /// What the driver said.
        source: Cause,
    },
}

/// What a driver said. `Debug` is the same text as `Display`: PostgreSQL's details, which the derived form
/// would show, repeat the content of rows.
pub struct Cause(Box<dyn Error + Send + Sync>);

impl StoreError {
    /// Whether the same call, or the same transaction from its start, may succeed when tried again later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    pub(crate) fn decode(column: &str, reason: String) -> Self {
        Self::Decode { column: column.to_owned(), reason }
    }

    pub(crate) fn unavailable(source: impl Into<Cause>) -> Self {
        Self::Unavailable { source: source.into() }
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

// No `source`: the drivers paste their cause into their own text already.
impl Error for Cause {}

impl From<sqlx::Error> for Cause {
    fn from(error: sqlx::Error) -> Self {
        Self(Box::new(error))
    }
}

impl From<std::io::Error> for Cause {
    fn from(error: std::io::Error) -> Self {
        Self(Box::new(error))
    }
}

impl From<tokio::time::error::Elapsed> for Cause {
    fn from(error: tokio::time::error::Elapsed) -> Self {
        Self(Box::new(error))
    }
}

impl From<sqlx::migrate::MigrateError> for StoreError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        use sqlx::migrate::MigrateError::{Execute, ExecuteMigration};
        match error {
            // A server that went away in the middle is not a fault of the migration.
            Execute(cause) | ExecuteMigration(cause, _) if is_unavailable(&cause) => cause.into(),
            other => Self::Migration { source: Cause(Box::new(other)) },
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if is_unavailable(&error) {
            return Self::unavailable(error);
        }
        let Some(refusal) = error.as_database_error() else {
            return Self::Other { source: error.into() };
        };
        match refusal.kind() {
            ErrorKind::UniqueViolation => {
                Self::Conflict { constraint: conflicting_key(refusal), source: error.into() }
            }
            ErrorKind::ForeignKeyViolation => Self::ForeignKey { source: error.into() },
            ErrorKind::NotNullViolation => {
                Self::Invalid { reason: "a required column is NULL".to_owned(), source: Some(error.into()) }
            }
            ErrorKind::CheckViolation => {
                Self::Invalid { reason: "a CHECK rule failed".to_owned(), source: Some(error.into()) }
            }
            _ if is_corrupt(refusal) => Self::Corrupt { source: error.into() },
            _ => Self::Other { source: error.into() },
        }
    }
}

fn is_unavailable(error: &sqlx::Error) -> bool {
    use sqlx::Error::{BeginFailed, Io, PoolClosed, PoolTimedOut, Protocol, Tls, WorkerCrashed};
    match error {
        Io(_) | Tls(_) | Protocol(_) | PoolTimedOut | PoolClosed | WorkerCrashed | BeginFailed => true,
        sqlx::Error::Database(refusal) => match sqlite_code(&**refusal) {
            // BUSY, LOCKED, IOERR, FULL, CANTOPEN
            Some(code) => matches!(code & 0xff, 5 | 6 | 10 | 13 | 14),
            None => refusal.code().is_some_and(|state| is_unavailable_state(&state)),
        },
        _ => false,
    }
}

/// SQLSTATE: connection, resources, operator intervention, system; deadlock, serialization, lock timeout.
fn is_unavailable_state(state: &str) -> bool {
    matches!(state, "40001" | "40P01" | "55P03")
        || ["08", "53", "57", "58"].iter().any(|class| state.starts_with(class))
}

fn is_corrupt(refusal: &dyn sqlx::error::DatabaseError) -> bool {
    match sqlite_code(refusal) {
        // CORRUPT, NOTADB
        Some(code) => matches!(code & 0xff, 11 | 26),
        None => refusal.code().is_some_and(|state| state.starts_with("XX")),
    }
}

fn sqlite_code(refusal: &dyn sqlx::error::DatabaseError) -> Option<i32> {
    refusal.try_downcast_ref::<sqlx::sqlite::SqliteError>()?;
    refusal.code()?.parse().ok()
}

/// The key that is already taken, spelt alike for both databases and without its value.
fn conflicting_key(refusal: &dyn sqlx::error::DatabaseError) -> String {
    let Some(postgres) = refusal.try_downcast_ref::<PgDatabaseError>() else {
        let message = refusal.message();
        return message.strip_prefix("UNIQUE constraint failed: ").unwrap_or(message).to_owned();
    };
    postgres
        .table()
        .zip(postgres.detail())
        .and_then(|(table, detail)| key_columns(table, detail))
        .or_else(|| postgres.constraint().map(str::to_owned))
        .unwrap_or_else(|| "key".to_owned())
}

/// From `Key (a, b)=(1, 2) …`, in whatever language the server speaks, to `table.a, table.b`.
fn key_columns(table: &str, detail: &str) -> Option<String> {
    let (_, rest) = detail.split_once('(')?;
    let (columns, _) = rest.split_once(")=(")?;
    if columns.contains('(') {
        return None; // an expression; the index name says more
    }
    Some(columns.split(", ").map(|column| format!("{table}.{column}")).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_named_without_their_values() {
        let detail = "Key (tenant, name)=(acme, x)=(y) already exists.";
        assert_eq!(key_columns("brand", detail).as_deref(), Some("brand.tenant, brand.name"));
        assert_eq!(key_columns("brand", "Key (lower(name))=(a) already exists."), None);
        assert_eq!(key_columns("brand", "no brackets"), None);
    }

    #[test]
    fn states_that_pass_are_told_from_faults() {
        for state in ["40001", "40P01", "55P03", "08006", "53300", "57P01"] {
            assert!(is_unavailable_state(state), "{state}");
        }
        for state in ["23505", "42601", "25P02", "40002"] {
            assert!(!is_unavailable_state(state), "{state}");
        }
    }

    #[test]
    fn lost_connections_may_be_tried_again_and_misuse_may_not() {
        assert!(StoreError::from(sqlx::Error::PoolTimedOut).is_retryable());
        assert!(StoreError::from(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into())).is_retryable());
        assert!(!StoreError::from(sqlx::Error::RowNotFound).is_retryable());
        assert!(!StoreError::Aborted.is_retryable());
    }
}
