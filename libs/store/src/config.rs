//! Where a service keeps its rows.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use crate::{Dialect, StoreError};

/// Settings of one service's database. With nothing set it is a SQLite file in the working folder.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseConfig {
    /// Address of a PostgreSQL database, `postgres://user:password@host:port/name`; absent means SQLite.
    /// Shown as `***` when settings are printed, because it carries a password.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "masked")]
    pub url: Option<SecretString>,
    /// The SQLite file; missing folders are made. `:memory:` is a private database that ends with the process
    /// and has one connection for reads and writes, so a read waits for the open transaction.
    pub path: PathBuf,
    /// PostgreSQL only: the most connections this service opens, 1 or more. SQLite always has one writer and
    /// a few readers.
    pub max_connections: u32,
    /// PostgreSQL only: the schema that holds the service's tables; absent means the service's name with `-`
    /// turned into `_`. Lower-case letters, digits and `_`, not starting with a digit, at most 63.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self { url: None, path: PathBuf::from("copydesk.sqlite3"), max_connections: 20, schema: None }
    }
}

impl DatabaseConfig {
    /// A SQLite database in the given file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }

    /// A private SQLite database in memory, for tests.
    pub fn memory() -> Self {
        Self::file(":memory:")
    }

    /// A PostgreSQL database at the given address.
    pub fn postgres(url: impl Into<String>) -> Self {
        Self { url: Some(SecretString::from(url.into())), ..Self::default() }
    }

    /// Which database these settings choose.
    pub fn dialect(&self) -> Dialect {
        if self.url.is_some() { Dialect::Postgres } else { Dialect::Sqlite }
    }

    /// Every fault of these settings in words for an operator; empty when they can be tried. The address itself
    /// is never repeated.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        match &self.url {
            Some(url) if !is_postgres(url.expose_secret()) => {
                faults.push("url must start with postgres:// or postgresql://".to_owned());
            }
            None if self.path.as_os_str().is_empty() => faults.push("path must not be empty".to_owned()),
            _ => {}
        }
        if self.max_connections == 0 {
            faults.push("max_connections must be 1 or more".to_owned());
        }
        if let Some(schema) = &self.schema
            && !is_schema_name(schema)
        {
            faults.push(format!("schema {schema:?} must match [a-z_][a-z0-9_]* and have at most 63 letters"));
        }
        faults
    }

    pub(crate) fn is_memory(&self) -> bool {
        self.path.as_os_str() == ":memory:"
    }

    pub(crate) fn schema_for(&self, service: &str) -> Result<String, StoreError> {
        let schema = self.schema.clone().unwrap_or_else(|| service.replace('-', "_"));
        if is_schema_name(&schema) {
            Ok(schema)
        } else {
            Err(StoreError::Config { reason: format!("{schema:?} is not a usable schema name") })
        }
    }
}

fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

fn is_schema_name(name: &str) -> bool {
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let continues_well = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    starts_well && continues_well && name.len() <= 63
}

fn masked<S: Serializer>(_: &Option<SecretString>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str("***")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_never_shown() {
        let config = DatabaseConfig::postgres("postgres://desk:hunter2@db/desk");
        let shown = format!("{config:?} {}", toml::to_string(&config).unwrap());
        assert!(shown.contains("***"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn settings_survive_a_round_trip_and_unknown_keys_are_faults() {
        let config: DatabaseConfig = toml::from_str("path = 'a.db'\nmax_connections = 3").unwrap();
        assert_eq!((config.path.to_str(), config.max_connections), (Some("a.db"), 3));
        assert_eq!(config.dialect(), Dialect::Sqlite);
        let again: DatabaseConfig = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(again.path, config.path);
        assert!(toml::from_str::<DatabaseConfig>("pth = 'a.db'").is_err());
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let config = DatabaseConfig {
            url: Some("mysql://secret".into()),
            max_connections: 0,
            schema: Some("a\"; DROP".into()),
            ..DatabaseConfig::default()
        };
        let faults = config.faults();
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert!(!faults.concat().contains("secret"), "{faults:?}");
        assert!(DatabaseConfig::default().faults().is_empty());
    }

    #[test]
    fn the_schema_follows_the_service_unless_it_is_given() {
        let config = DatabaseConfig::default();
        assert_eq!(config.schema_for("llm-router").unwrap(), "llm_router");
        let own = DatabaseConfig { schema: Some("mine".into()), ..config };
        assert_eq!(own.schema_for("llm-router").unwrap(), "mine");
        assert!(DatabaseConfig::default().schema_for("Ünsafe\"").is_err());
    }
}
