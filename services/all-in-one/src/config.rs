//! Everything that an operator may set, in one file: the program's own settings and each service's.
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use copydesk_runtime::TelemetryConfig;
use copydesk_runtime::config::{ConfigError, ENV_PREFIX, Sources, load};
use copydesk_types::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The file that is read when it stands in the data folder and no other is named.
pub const FILE_NAME: &str = "copydesk.toml";
/// The data folder when none is named.
pub const DEFAULT_DATA: &str = "./.copydesk";

/// The whole configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// Where the program listens.
    pub server: ServerConfig,
    /// Where rows are kept.
    pub database: DatabaseSettings,
    /// Keys with which services know each other.
    pub identity: IdentityConfig,
    /// Where the other services are, for `serve`.
    pub peers: PeersConfig,
    /// Logs, traces, metrics.
    pub telemetry: TelemetryConfig,
    /// The front door.
    pub gateway: copydesk_gateway::Config,
    /// Models.
    pub llm_router: copydesk_llm_router::Config,
    /// Documents and search.
    pub retrieval: copydesk_retrieval::Config,
    /// Brands, feedback, lessons.
    pub learning: copydesk_learning::Config,
    /// Runs and agents.
    pub agent_orchestrator: copydesk_agent_orchestrator::Config,
}

/// Where the program listens.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ServerConfig {
    /// gRPC, `address:port`; port 0 takes a free one. Empty: the default of what is served, 127.0.0.1 with 7700 for
    /// `up` and the gateway, 7701 llm-router, 7702 retrieval, 7703 learning, 7704 agent-orchestrator.
    pub listen: String,
    /// Metrics and health over HTTP, `address:port`. Empty: 127.0.0.1 with 7790 for `up` and the gateway, 7791
    /// llm-router, 7792 retrieval, 7793 learning, 7794 agent-orchestrator.
    pub admin: String,
    /// Seconds that calls in flight get when the program ends.
    pub drain_seconds: u64,
}

/// Where rows are kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DatabaseSettings {
    /// `postgres://…`. Absent: an SQLite file for each service in the data folder.
    #[schemars(with = "Option<String>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Secret>,
    /// A file that holds the URL, for secrets mounted as files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_file: Option<PathBuf>,
    /// Connections of one service to PostgreSQL. 0: the default, 20.
    pub max_connections: u32,
}

/// Keys with which services know each other.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct IdentityConfig {
    /// The folder of `<service>.key` (private) and `<service>.pub`. Absent: `identity` in the data folder, filled at
    /// the first start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
}

/// Where the other services are, for `serve`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PeersConfig {
    /// `http://host:port`.
    pub llm_router: String,
    /// `http://host:port`.
    pub retrieval: String,
    /// `http://host:port`.
    pub learning: String,
    /// `http://host:port`.
    pub agent_orchestrator: String,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self { listen: String::new(), admin: String::new(), drain_seconds: 10 }
    }
}

impl Default for PeersConfig {
    fn default() -> Self {
        let at = |port: u16| format!("http://127.0.0.1:{port}");
        Self { llm_router: at(7701), retrieval: at(7702), learning: at(7703), agent_orchestrator: at(7704) }
    }
}

impl Config {
    /// Reads the configuration: defaults < file < environment < flags. `file` is the named one, else the data folder's,
    /// when there is one.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn load(file: Option<&Path>, data: &Path, flags: Vec<(String, String)>) -> Result<Self, ConfigError> {
        let in_data = data.join(FILE_NAME);
        let file = file.map(Path::to_path_buf).or_else(|| in_data.is_file().then_some(in_data));
        load(&Sources { file, env: std::env::vars().collect(), flags }, Self::validate)
    }

    /// The configuration of something that keeps nothing: defaults < environment < flags, without database and identity.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn load_detached(data: &Path, flags: Vec<(String, String)>) -> Result<Self, ConfigError> {
        let file = Some(data.join(FILE_NAME)).filter(|file| file.is_file());
        let name_of =
            |name: &str| name.strip_prefix(ENV_PREFIX).map(|key| key.to_lowercase().replace("__", "."));
        let env =
            std::env::vars().filter(|(name, _)| !name_of(name).is_some_and(|key| is_kept(&key))).collect();
        load(&Sources { file, env, flags }, Self::validate)
    }

    /// Every fault of every part, as `part.key: what is wrong`.
    pub fn validate(&self) -> Vec<String> {
        let parts = [
            ("telemetry", self.telemetry.validate()),
            ("gateway", self.gateway.validate()),
            ("llm_router", self.llm_router.validate()),
            ("retrieval", self.retrieval.validate()),
            ("learning", self.learning.validate()),
            ("agent_orchestrator", self.agent_orchestrator.validate()),
        ];
        let named = |(part, faults): (&str, Vec<String>)| {
            let part = part.to_owned();
            faults.into_iter().map(move |fault| format!("{part}.{fault}"))
        };
        let mut faults: Vec<String> = parts.into_iter().flat_map(named).collect();
        let addresses =
            [("server.listen", &self.server.listen, true), ("server.admin", &self.server.admin, true)];
        for (key, text, may_be_empty) in addresses {
            if !(may_be_empty && text.is_empty()) && text.parse::<SocketAddr>().is_err() {
                faults.push(format!("{key}: `{text}` is not of the form address:port"));
            }
        }
        let peers = [
            ("peers.llm_router", &self.peers.llm_router),
            ("peers.retrieval", &self.peers.retrieval),
            ("peers.learning", &self.peers.learning),
            ("peers.agent_orchestrator", &self.peers.agent_orchestrator),
        ];
        for (key, text) in peers {
            let uri = text.parse::<http::Uri>();
            if !uri.is_ok_and(|u| u.scheme_str() == Some("http") && u.authority().is_some()) {
                faults.push(format!("{key}: `{text}` is not of the form http://host:port"));
            }
        }
        let is_postgres =
            |url: &Secret| ["postgres://", "postgresql://"].iter().any(|s| url.expose().starts_with(s));
        if self.database.url.as_ref().is_some_and(|url| !is_postgres(url)) {
            faults.push("database.url: must begin with postgres:// or postgresql://".to_owned());
        }
        if self.database.url.is_some() && self.database.url_file.is_some() {
            faults.push("database.url_file: only one of url and url_file can be set".to_owned());
        }
        faults
    }
}

/// Whether a setting, by its key, says where something lasting is kept: rows, or keys of the services.
pub(crate) fn is_kept(key: &str) -> bool {
    ["database", "identity"].iter().any(|part| key.split('.').next() == Some(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_postgresql_and_its_url_stays_secret() {
        for (url, good) in [
            ("postgres://u:p@h/d", true),
            ("postgresql://h/d", true),
            ("mysql://u:hush@h/d", false),
            ("", false),
        ] {
            let mut config = Config::default();
            config.database.url = Some(Secret::new(url));
            let faults = config.validate().join("\n");
            assert_eq!(!faults.contains("database.url"), good, "{url}: {faults}");
            assert!(!faults.contains("hush"), "{faults}");
        }
    }

    #[test]
    fn what_is_kept_is_known_by_its_key() {
        for (key, kept) in
            [("database.url", true), ("identity.dir", true), ("database", true), ("telemetry.x", false)]
        {
            assert_eq!(is_kept(key), kept, "{key}");
        }
    }

    #[test]
    fn the_documented_example_has_no_unknown_setting() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/examples/llm-router.toml");
        let config = Config::load(Some(Path::new(file)), Path::new("/nowhere"), Vec::new()).unwrap();
        assert_eq!(config.llm_router.chains["content"].len(), 4);
    }

    #[test]
    fn the_defaults_are_good() {
        assert_eq!(Config::default().validate(), Vec::<String>::new());
    }

    #[test]
    fn names_every_fault_with_its_part() {
        let mut config = Config::default();
        config.server.admin = "7790".to_owned();
        config.peers.retrieval = "retrieval:7702".to_owned();
        config.gateway.rate_limits.generate = 0;
        let faults = config.validate().join("\n");
        for key in ["server.admin", "peers.retrieval", "gateway.rate_limits.generate"] {
            assert!(faults.contains(key), "{key} in {faults}");
        }
    }
}
