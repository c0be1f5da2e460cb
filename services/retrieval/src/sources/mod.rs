//! The family of sources: one file per place that documents are fetched from. A source is asked in steps; each says
//! where the next one goes on, so that a job that was lost goes on there too.
//!
//! To add a source: one file with its `ENTRY` and its `Spec`, one `mod` line and one list line here, and a field of
//! `IngestSourceStart`.

pub mod git;
pub mod github_export;
pub mod github_issues;
pub mod web_pages;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use crate::adapters::Client;
use crate::config::Config;
use crate::domain::origin::{Miss, Step};
use crate::ports::Pages;

/// A member of the family.
#[derive(Clone, Copy)]
pub struct Entry {
    /// The word that is stored and shown.
    pub kind: &'static str,
    /// One line for a person.
    pub summary: &'static str,
    /// Fetches it; `None` for a source whose documents all come with the request.
    pub source: Option<&'static dyn Source>,
}

/// All sources.
pub const ALL: &[Entry] = &[web_pages::ENTRY, github_issues::ENTRY, github_export::ENTRY, git::ENTRY];

/// The stable words of a source that cannot be fetched, see the contract's `SourceState`.
pub mod reason {
    /// It is not there, or not for us.
    pub const REFUSED: &str = "SOURCE_REFUSED";
    /// It may not be asked.
    pub const FORBIDDEN: &str = "SOURCE_FORBIDDEN";
    /// Its rate limit lasts longer than we wait.
    pub const LIMITED: &str = "SOURCE_LIMITED";
    /// It cannot be reached, or fails.
    pub const UNAVAILABLE: &str = "SOURCE_UNAVAILABLE";
    /// It does not speak its protocol.
    pub const ODD: &str = "SOURCE_ODD";
    /// It has more than an upload may have.
    pub const TOO_LARGE: &str = "SOURCE_TOO_LARGE";
}

/// What sources fetch with.
#[derive(Clone)]
pub struct Tools {
    /// Pages of the web.
    pub pages: Arc<dyn Pages>,
    /// Plain HTTP to checked addresses.
    pub client: Client,
    /// Settings.
    pub config: Arc<Config>,
    /// A folder of the service's own.
    pub folder: PathBuf,
}

/// Where and how a step is asked for.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    /// What is asked for, as its file's `Spec` in JSON.
    pub spec: &'a str,
    /// Where the step before ended; empty for the first step.
    pub cursor: &'a str,
    /// The mark of the last whole fetching, when all that it brought is still there; empty otherwise.
    pub mark: &'a str,
    /// Whether what is gone shall be left out instead of missed.
    pub mirror: bool,
    /// A word that no other fetching has, for what lies in folders.
    pub job: &'a str,
}

/// A place that documents are fetched from.
#[async_trait]
pub trait Source: Send + Sync {
    /// The next documents.
    async fn step(&self, tools: &Tools, at: At<'_>) -> Result<Step, Miss>;

    /// Everything was fetched, or nothing more will be: drops what lies in folders.
    async fn end(&self, _tools: &Tools, _job: &str) {}
}

/// The source of this kind.
pub fn entry(kind: &str) -> Option<&'static Entry> {
    ALL.iter().find(|entry| entry.kind == kind)
}

/// Reads what was stored of a wish.
fn spec<'a, T: serde::Deserialize<'a>>(at: &At<'a>) -> Result<T, Miss> {
    serde_json::from_str(at.spec)
        .map_err(|_| Miss::source(reason::ODD, "what was asked for cannot be read any more"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_listed() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sources");
        let files = std::fs::read_dir(folder).unwrap().filter_map(Result::ok);
        let names: Vec<_> = files.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
        for entry in ALL {
            assert!(
                names.contains(&format!("{}.rs", entry.kind)) || names.contains(&entry.kind.to_owned()),
                "{}",
                entry.kind
            );
        }
        assert_eq!(names.len(), ALL.len() + 1);
    }
}
