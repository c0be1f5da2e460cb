//! Where documents are fetched from.

use std::path::PathBuf;
use std::time::Duration;

use copydesk_types::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::web::target::Target;

/// Sources of documents. Pages are fetched by the rules of `web`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Sources {
    /// GitHub.
    pub github: Github,
    /// Folders below which git repositories of this machine may be read, by every tenant. None: only https is.
    pub git_roots: Vec<PathBuf>,
    /// Bytes of a git repository that are fetched, packed, 1 MiB to 4 GiB.
    pub max_git_bytes: u64,
    /// Seconds that are waited for a source's rate limit, 0 to 3,600; a worker waits so long.
    pub max_wait_seconds: u64,
    /// Milliseconds before what failed in passing is tried again, 0 to 60,000; each time twice as long.
    pub pause_ms: u64,
}

/// GitHub's REST API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Github {
    /// Where it listens; of GitHub Enterprise `https://<host>/api/v3`.
    pub base_url: String,
    /// A token. Every tenant reads what it may read, so one for public repositories is best.
    #[schemars(with = "Option<String>")]
    pub token: Option<Secret>,
    /// The environment variable that holds the token, instead of `token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_env: Option<String>,
    /// The file that holds the token, instead of `token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
}

impl Default for Sources {
    fn default() -> Self {
        Self {
            github: Github::default(),
            git_roots: Vec::new(),
            max_git_bytes: 512 * 1024 * 1024,
            max_wait_seconds: 120,
            pause_ms: 1_000,
        }
    }
}

impl Default for Github {
    fn default() -> Self {
        Self { base_url: "https://api.github.com".into(), token: None, token_env: None, token_file: None }
    }
}

impl Sources {
    /// How long to wait before what failed in passing is tried again.
    pub(crate) const fn pause(&self) -> Duration {
        Duration::from_millis(self.pause_ms)
    }

    pub(super) fn faults(&self) -> Vec<String> {
        let github = &self.github;
        let tokens = [github.token.is_some(), github.token_env.is_some(), github.token_file.is_some()];
        let good = [
            (
                Target::parse(&github.base_url).is_ok(),
                "github.base_url: must be an http:// or https:// address without user and password",
            ),
            (
                tokens.into_iter().filter(|set| *set).count() <= 1,
                "github.token: only one of token, token_env and token_file can be set",
            ),
            (self.git_roots.iter().all(|root| root.is_absolute()), "git_roots: must be absolute paths"),
            ((1 << 20..=4 << 30).contains(&self.max_git_bytes), "max_git_bytes: must be 1 MiB to 4 GiB"),
            (self.max_wait_seconds <= 3_600, "max_wait_seconds: must be at most 3,600"),
            (self.pause_ms <= 60_000, "pause_ms: must be at most 60,000"),
        ];
        good.iter().filter(|(good, _)| !good).map(|(_, fault)| format!("sources.{fault}")).collect()
    }
}
