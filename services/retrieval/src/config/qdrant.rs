//! What an operator may set about a Qdrant server.

use std::path::PathBuf;

use copydesk_types::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the search structures stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IndexBackend {
    /// In this process's memory.
    #[default]
    Embedded,
    /// In a Qdrant server, which all replicas share; `retrieval.qdrant` says which.
    Qdrant,
}

/// A Qdrant server, 1.12 or later. Rows stay the truth: whatever is in the server can be deleted at any time and is
/// built again.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct QdrantConfig {
    /// Its gRPC address, `http://host:6334` or `https://…`.
    pub url: String,
    /// The key, where the server wants one.
    #[schemars(with = "Option<String>")]
    pub api_key: Option<Secret>,
    /// The environment variable that holds the key, instead of `api_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// The file that holds the key, instead of `api_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<PathBuf>,
    /// The name of the alias, and the beginning of the collections' names: 1 to 64 of `a-z`, `0-9`, `-` and `_`. Two
    /// installations on one server need two.
    pub prefix: String,
    /// How long a connection may take to come about, in milliseconds, 10 to 60,000.
    pub connect_timeout_ms: u64,
    /// How long one reading call may take, in milliseconds, 10 to 60,000. A search never waits longer than four fifths of
    /// what is left of its deadline, whatever is set here.
    pub search_timeout_ms: u64,
    /// How long one writing call may take, in milliseconds, 10 to 600,000.
    pub write_timeout_ms: u64,
    /// How often a call is made in all when the server is not there, busy or late, 1 to 20, with growing random waits in
    /// between.
    pub attempts: u32,
    /// The longest wait between two attempts, in milliseconds, 1 to 60,000.
    pub longest_wait_ms: u64,
    /// Chunks of one writing call, 1 to 10,000.
    pub batch: u32,
    /// Writing calls under way at once, of all knowledge bases, 1 to 64: what is to be written beyond that waits.
    pub writes_at_once: u32,
    /// Reading calls under way at once, 1 to 4,096.
    pub reads_at_once: u32,
    /// Most chunks that one leg of a search looks at, 500 to 100,000: the end of looking on where very many have nearly
    /// equal scores.
    pub candidates: u32,
    /// How often to look for changes that other replicas stored, in milliseconds, 10 to 600,000. A search catches up by
    /// itself with what it must show; this keeps it from having to.
    pub follow_ms: u64,
    /// Edges of a node in the graph of vectors, 4 to 256.
    pub hnsw_m: u32,
    /// Neighbours that are looked at when a vector is entered into the graph, 4 to 4,096.
    pub hnsw_ef_construct: u32,
    /// Neighbours that are looked at in a search, 4 to 65,536; never fewer than are wanted.
    pub hnsw_ef_search: u32,
}

impl Default for QdrantConfig {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:6334".into(),
            api_key: None,
            api_key_env: None,
            api_key_file: None,
            prefix: "copydesk".into(),
            connect_timeout_ms: 2_000,
            search_timeout_ms: 5_000,
            write_timeout_ms: 30_000,
            attempts: 4,
            longest_wait_ms: 2_000,
            batch: 128,
            writes_at_once: 4,
            reads_at_once: 256,
            candidates: 5_000,
            follow_ms: 1_000,
            hnsw_m: 16,
            hnsw_ef_construct: 64,
            hnsw_ef_search: 40,
        }
    }
}

/// Two keys are the same when both are there or neither is: nobody compares secrets.
impl PartialEq for QdrantConfig {
    fn eq(&self, other: &Self) -> bool {
        self.api_key.is_some() == other.api_key.is_some()
            && serde_json::to_value(self).ok() == serde_json::to_value(other).ok()
    }
}

impl QdrantConfig {
    /// Every fault as `key: what is wrong`.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut check = |good: bool, key: &str, fault: &str| {
            if !good {
                faults.push(format!("qdrant.{key}: {fault}"));
            }
        };
        check(good_url(&self.url), "url", "must be http://host:port or https://host:port");
        let keys = [self.api_key.is_some(), self.api_key_env.is_some(), self.api_key_file.is_some()];
        let one = keys.iter().filter(|set| **set).count() <= 1;
        check(one, "api_key", "only one of api_key, api_key_env and api_key_file can be set");
        let visible = |key: &Secret| key.expose().bytes().all(|byte| (0x21..0x7f).contains(&byte));
        check(self.api_key.as_ref().is_none_or(visible), "api_key", "holds characters that no header takes");
        let letters = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        let prefix = (1..=64).contains(&self.prefix.len()) && self.prefix.bytes().all(letters);
        check(prefix, "prefix", "must be 1 to 64 of a-z, 0-9, - and _");
        for (key, value, range) in self.numbers() {
            let good = (range.0..=range.1).contains(&value);
            check(good, key, &format!("must be {} to {}", grouped(range.0), grouped(range.1)));
        }
        faults
    }

    fn numbers(&self) -> [(&'static str, u64, (u64, u64)); 13] {
        [
            ("connect_timeout_ms", self.connect_timeout_ms, (10, 60_000)),
            ("search_timeout_ms", self.search_timeout_ms, (10, 60_000)),
            ("write_timeout_ms", self.write_timeout_ms, (10, 600_000)),
            ("attempts", self.attempts.into(), (1, 20)),
            ("longest_wait_ms", self.longest_wait_ms, (1, 60_000)),
            ("batch", self.batch.into(), (1, 10_000)),
            ("writes_at_once", self.writes_at_once.into(), (1, 64)),
            ("reads_at_once", self.reads_at_once.into(), (1, 4_096)),
            ("candidates", self.candidates.into(), (500, 100_000)),
            ("follow_ms", self.follow_ms, (10, 600_000)),
            ("hnsw_m", self.hnsw_m.into(), (4, 256)),
            ("hnsw_ef_construct", self.hnsw_ef_construct.into(), (4, 4_096)),
            ("hnsw_ef_search", self.hnsw_ef_search.into(), (4, 65_536)),
        ]
    }
}

/// An address without a path, a query or a user.
fn good_url(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let rest = rest.map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    let host = |rest: &str| {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        !rest.is_empty() && rest.bytes().all(good) && !rest.starts_with(':')
    };
    rest.is_some_and(host)
}

fn grouped(number: u64) -> String {
    let (mut text, digits) = (String::new(), number.to_string());
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::{Config, resolve_keys};
    use super::*;

    fn keys(faults: &[String]) -> Vec<&str> {
        faults.iter().filter_map(|fault| fault.split(':').next()).collect()
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let good = QdrantConfig::default();
        assert_eq!(good.faults(), Vec::<String>::new());
        let bad = QdrantConfig {
            url: "localhost:6334".into(),
            api_key: Some(Secret::new("two words")),
            api_key_env: Some("KEY".into()),
            prefix: "Äpfel".into(),
            attempts: 0,
            candidates: 1,
            ..QdrantConfig::default()
        };
        let faults = bad.faults();
        let expected = ["url", "api_key", "api_key", "prefix", "attempts", "candidates"];
        assert_eq!(keys(&faults), expected.map(|key| format!("qdrant.{key}")));
        assert!(faults.iter().all(|fault| !fault.contains("two words")), "{faults:?}");
        assert!(faults.last().unwrap().ends_with("must be 500 to 100,000"));
        for (url, fits) in [
            ("http://[::1]:6334", true),
            ("https://cloud.example:6334/", true),
            ("http://", false),
            ("http://user@host:1", false),
            ("http://host/path", false),
        ] {
            assert_eq!(good_url(url), fits, "{url}");
        }
    }

    #[test]
    fn a_key_comes_from_the_environment_or_from_a_file() {
        let env = |name: &str| (name == "QDRANT").then(|| " s3cret\n".to_owned());
        let with = |qdrant: QdrantConfig| {
            let mut config = Config { qdrant, ..Config::default() };
            config.index.backend = IndexBackend::Qdrant;
            config
        };
        let key = |config: &Config| config.qdrant.api_key.as_ref().map(|key| key.expose().to_owned());
        let from_env = QdrantConfig { api_key_env: Some("QDRANT".into()), ..QdrantConfig::default() };
        let mut config = with(from_env.clone());
        assert_eq!(resolve_keys(&mut config, &env), Vec::<String>::new());
        assert_eq!((key(&config).as_deref(), &config.qdrant.api_key_env), (Some("s3cret"), &None));
        assert!(!format!("{config:?}").contains("s3cret"));

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "one\ntwo").unwrap();
        let from_file =
            |path: PathBuf| with(QdrantConfig { api_key_file: Some(path), ..QdrantConfig::default() });
        let mut config = from_file(file);
        assert_eq!(keys(&resolve_keys(&mut config, &env)), ["qdrant.api_key"]);
        let mut config = from_file(folder.path().join("none"));
        assert_eq!(keys(&resolve_keys(&mut config, &env)), ["qdrant.api_key_file"]);
        let absent = QdrantConfig { api_key_env: Some("OTHER".into()), ..QdrantConfig::default() };
        assert_eq!(keys(&resolve_keys(&mut with(absent.clone()), &env)), ["qdrant.api_key_env"]);
        let mut embedded = Config { qdrant: absent, ..Config::default() };
        assert_eq!(resolve_keys(&mut embedded, &env), Vec::<String>::new(), "nobody asks for it");
    }
}
