//! The web: what may be asked there, and who searches it.

use std::path::PathBuf;

use copydesk_types::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::web::allow::Allowed;
use crate::domain::web::target::Target;
use crate::searchers;

/// The way out to the web.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Web {
    /// Whether the web is asked at all.
    pub enabled: bool,
    /// Names and networks that may be asked although they are not public, each with or without a port:
    /// `wiki.intern`, `wiki.intern:8080`, `10.1.0.0/16`, `[fd00::1]:8080`. Everybody who may use the web reaches them.
    pub allow: Vec<String>,
    /// Ports of public addresses that may be asked.
    pub ports: Vec<u16>,
    /// Redirects that are followed for one page, 0 to 20.
    pub max_redirects: u32,
    /// Bytes of one page, packed and unpacked, 1 KiB to 256 MiB.
    pub max_bytes: u64,
    /// Seconds for one page, redirects and robots.txt included, 1 to 600.
    pub timeout_seconds: u64,
    /// Who we say we are; robots.txt knows us as `copydesk`. 1 to 200 visible characters.
    pub user_agent: String,
    /// Whether robots.txt is heeded. Off only for sites that are your own.
    pub respect_robots: bool,
    /// Seconds for which a site's robots.txt is remembered, 1 to 86,400.
    pub robots_cache_seconds: u64,
    /// Calls of one tenant in a minute, in this process; 0: no limit.
    pub calls_per_minute: u32,
    /// Who searches the web. Absent: nobody.
    pub search: Option<WebSearch>,
}

/// Who searches the web.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WebSearch {
    /// The provider: `tavily`.
    pub provider: String,
    /// Where it listens; it may stand in a network of your own. Absent: its public address.
    pub base_url: Option<String>,
    /// Its key.
    #[schemars(with = "Option<String>")]
    pub api_key: Option<Secret>,
    /// The environment variable that holds the key, instead of `api_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// The file that holds the key, instead of `api_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<PathBuf>,
    /// Seconds for one search, 1 to 120.
    pub timeout_seconds: u64,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            enabled: true,
            allow: Vec::new(),
            ports: vec![80, 443],
            max_redirects: 5,
            max_bytes: 8 * 1024 * 1024,
            timeout_seconds: 30,
            user_agent: concat!("copydesk/", env!("CARGO_PKG_VERSION"), " (fetches what its users ask for)")
                .into(),
            respect_robots: true,
            robots_cache_seconds: 3_600,
            calls_per_minute: 60,
            search: None,
        }
    }
}

impl Default for WebSearch {
    fn default() -> Self {
        Self {
            provider: "tavily".into(),
            base_url: None,
            api_key: None,
            api_key_env: None,
            api_key_file: None,
            timeout_seconds: 20,
        }
    }
}

impl Web {
    /// What is let through, of validated settings.
    pub(crate) fn allowed(&self) -> Vec<Allowed> {
        self.allow.iter().filter_map(|entry| Allowed::parse(entry)).collect()
    }

    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (at, entry) in self.allow.iter().enumerate() {
            if Allowed::parse(entry).is_none() {
                faults.push(format!("web.allow[{at}]: must be a host or a network, with or without a port"));
            }
        }
        let visible = |c: char| c == ' ' || c.is_ascii_graphic();
        let agent = (1..=200).contains(&self.user_agent.len()) && self.user_agent.chars().all(visible);
        let good = [
            (!self.ports.is_empty() && !self.ports.contains(&0), "ports: must name ports from 1 on"),
            (self.max_redirects <= 20, "max_redirects: must be at most 20"),
            ((1 << 10..=256 << 20).contains(&self.max_bytes), "max_bytes: must be 1 KiB to 256 MiB"),
            ((1..=600).contains(&self.timeout_seconds), "timeout_seconds: must be 1 to 600"),
            (agent, "user_agent: must be 1 to 200 visible ASCII characters"),
            ((1..=86_400).contains(&self.robots_cache_seconds), "robots_cache_seconds: must be 1 to 86,400"),
        ];
        faults.extend(good.iter().filter(|(good, _)| !good).map(|(_, fault)| format!("web.{fault}")));
        faults.extend(self.search.iter().flat_map(WebSearch::faults));
        faults
    }
}

impl WebSearch {
    fn faults(&self) -> Vec<String> {
        let known = searchers::ALL.iter().any(|searcher| searcher.kind == self.provider);
        let base = self.base_url.as_ref().is_none_or(|url| Target::parse(url).is_ok());
        let keys = [self.api_key.is_some(), self.api_key_env.is_some(), self.api_key_file.is_some()];
        let keys = keys.into_iter().filter(|set| *set).count();
        let good = [
            (known, "provider: must be tavily"),
            (base, "base_url: must be an http:// or https:// address without user and password"),
            (keys == 1, "api_key: exactly one of api_key, api_key_env and api_key_file must be set"),
            ((1..=120).contains(&self.timeout_seconds), "timeout_seconds: must be 1 to 120"),
        ];
        good.iter().filter(|(good, _)| !good).map(|(_, fault)| format!("web.search.{fault}")).collect()
    }
}
