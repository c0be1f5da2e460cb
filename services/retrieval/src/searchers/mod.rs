//! The family of web search providers: one file per provider. Each turns a question into results in the provider's own
//! words; without one, searching the web is refused and says so.
//!
//! To add a provider: one file with its `ENTRY`, one `mod` line and one list line here.

mod tavily;

use std::sync::Arc;
use std::time::Duration;

use copydesk_types::Secret;

use crate::adapters::Client;
use crate::config::WebSearch;
use crate::domain::web::target::Target;
use crate::ports::WebSearcher;

/// A member of the family.
#[derive(Clone, Copy)]
pub struct Searcher {
    /// Its name in the configuration.
    pub kind: &'static str,
    /// One line for a person.
    pub summary: &'static str,
    /// Its public address.
    pub base_url: &'static str,
    /// Makes it.
    pub build: fn(Connection) -> Arc<dyn WebSearcher>,
}

/// All providers.
pub const ALL: &[Searcher] = &[tavily::ENTRY];

/// The way to a provider.
pub struct Connection {
    /// What speaks with it.
    pub client: Client,
    /// Where it listens.
    pub base: Target,
    /// Its key.
    pub key: Secret,
    /// How long one search may take.
    pub limit: Duration,
}

/// The provider of validated settings whose key was fetched; `None` when there is none.
pub fn open(settings: Option<&WebSearch>, client: &Client) -> Option<Arc<dyn WebSearcher>> {
    let settings = settings?;
    let entry = ALL.iter().find(|entry| entry.kind == settings.provider)?;
    let base = Target::parse(settings.base_url.as_deref().unwrap_or(entry.base_url)).ok()?;
    let (key, limit) = (settings.api_key.clone()?, Duration::from_secs(settings.timeout_seconds));
    Some((entry.build)(Connection { client: client.for_base(&base), base, key, limit }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_listed() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/searchers");
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), ALL.len() + 1);
        assert!(ALL.iter().all(|entry| Target::parse(entry.base_url).is_ok_and(|base| base.is_tls())));
    }
}
