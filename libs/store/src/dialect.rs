//! The words in which the two databases differ.

/// Which database a statement will run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Embedded SQLite in WAL mode with one writer.
    Sqlite,
    /// A PostgreSQL server.
    Postgres,
}

impl Dialect {
    /// The database's own clock as an SQL expression: whole milliseconds since 1970 UTC, a `BIGINT`.
    /// Leases and anything else that several processes compare use this clock and no other.
    pub fn now_ms(self) -> &'static str {
        // Rounding first: as a float, 0.123 s can be a hair less than 123 ms.
        self.pick(
            "CAST(ROUND(unixepoch('subsec') * 1000) AS BIGINT)",
            "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
        )
    }

    /// The clause, with a leading space, that locks the rows a `SELECT` returns until the transaction ends.
    /// Empty on SQLite, where a transaction already excludes every other writer.
    pub fn for_update(self) -> &'static str {
        self.pick("", " FOR UPDATE")
    }

    /// Like [`for_update`](Self::for_update), but rows that another transaction holds are left out of the result.
    pub fn for_update_skip_locked(self) -> &'static str {
        self.pick("", " FOR UPDATE SKIP LOCKED")
    }

    /// Chooses between two texts of a statement whose plans must differ.
    pub fn pick(self, sqlite: &'static str, postgres: &'static str) -> &'static str {
        match self {
            Self::Sqlite => sqlite,
            Self::Postgres => postgres,
        }
    }

    /// The name that logs and span fields use (OpenTelemetry's `db.system.name`).
    pub fn as_str(self) -> &'static str {
        self.pick("sqlite", "postgresql")
    }
}
