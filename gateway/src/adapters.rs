//! The database behind the store port.
mod sql;

pub use sql::{MIGRATOR, SqlStore};
