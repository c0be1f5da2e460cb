//! A git repository at one commit: fetched over our own checked connections, or read where it lies below one of the
//! operator's folders. Objects are read by gix, which is given no network, no configuration but the repository's own, and
//! nothing to run.

mod fetch;
mod protocol;
mod read;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{At, Entry, Source, Tools, reason, spec};
use crate::config::Sources;
use crate::domain::origin::{Miss, Step};
pub use crate::domain::repository::Content;
use crate::domain::web::target::Target;

/// This source.
pub const ENTRY: Entry =
    Entry { kind: "git", summary: "a git repository, by its URL or path", source: Some(&Git) };

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// A URL or an absolute path.
    pub url: String,
    /// A branch, a tag or a full commit id; empty for HEAD.
    pub revision: String,
    /// What is taken.
    pub contents: Vec<Content>,
    /// Commits that are taken, if they are.
    pub max_commits: u32,
}

/// Where a repository is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On the web.
    Web(Target),
    /// On this machine.
    Folder(PathBuf),
}

/// Where a repository is, as far as its address tells.
///
/// # Errors
/// Why it cannot be read.
pub fn place(url: &str, settings: &Sources, web: bool) -> Result<Place, String> {
    if url.contains("://") {
        if !web {
            return Err("the web is not asked here (retrieval.web.enabled)".into());
        }
        let target = Target::parse(url).map_err(|error| error.message)?;
        if target.as_str().contains('?') {
            return Err("must have no query".into());
        }
        return Ok(Place::Web(target));
    }
    let path = Path::new(url);
    if !path.is_absolute() || url.len() > 1024 || url.contains(char::is_control) {
        return Err("must be an https:// URL or an absolute path".into());
    }
    if settings.git_roots.is_empty() {
        return Err("repositories of this machine are not read here (retrieval.sources.git_roots)".into());
    }
    Ok(Place::Folder(path.to_owned()))
}

struct Git;

#[async_trait]
impl Source for Git {
    async fn step(&self, tools: &Tools, at: At<'_>) -> Result<Step, Miss> {
        let spec: Spec = spec(&at)?;
        let place = place(&spec.url, &tools.config.sources, tools.config.web.enabled);
        let place = place.map_err(|what| Miss::source(reason::FORBIDDEN, what))?;
        let (commit, from) = at.cursor.split_once(' ').unwrap_or_default();
        let (mut commit, mut from) = (commit.to_owned(), from.parse().unwrap_or(0));
        let folder = match place {
            Place::Folder(path) => allowed(&path, &tools.config.sources.git_roots)?,
            Place::Web(target) => {
                let folder = tools.folder.join("git").join(at.job);
                if !folder.join(fetch::WHOLE).exists() {
                    // Fetched for the first time, or lost with a machine: then from its beginning.
                    commit = fetch::fetch(tools, &target, &spec, &folder).await?;
                    from = 0;
                } else if commit.is_empty() {
                    let fetched = tokio::fs::read_to_string(folder.join(fetch::WHOLE)).await;
                    commit = fetched.map_err(|_| protocol::unavailable("the data folder cannot be read"))?;
                }
                folder
            }
        };
        let roots = tools.config.sources.git_roots.clone();
        let largest = tools.config.limits.max_document_bytes;
        let work = move || {
            read::step(&read::Reading { folder: &folder, roots: &roots, spec: &spec, largest }, &commit, from)
        };
        let read = tokio::task::spawn_blocking(work).await;
        read.map_err(|_| Miss::source(reason::ODD, "the repository cannot be read"))?
    }

    async fn end(&self, tools: &Tools, job: &str) {
        let _ = tokio::fs::remove_dir_all(tools.folder.join("git").join(job)).await;
    }
}

/// The true path of a repository, when it lies below one of the operator's folders.
fn allowed(path: &Path, roots: &[PathBuf]) -> Result<PathBuf, Miss> {
    let path = path.canonicalize();
    let path = path.map_err(|_| {
        Miss::source(reason::REFUSED, "there is no such repository below a folder that may be read")
    })?;
    if below(&path, roots) {
        return Ok(path);
    }
    // The same words: what lies elsewhere is not told.
    Err(Miss::source(reason::REFUSED, "there is no such repository below a folder that may be read"))
}

/// Whether a true path lies below one of the operator's folders.
fn below(path: &Path, roots: &[PathBuf]) -> bool {
    roots.iter().filter_map(|root| root.canonicalize().ok()).any(|root| path.starts_with(root))
}
