//! Issues of GitHub from a file: all of them come with the request.

use serde::{Deserialize, Serialize};

use super::Entry;
use crate::domain::issue;
use crate::domain::origin::SourceDocument;

/// This source.
pub const ENTRY: Entry =
    Entry { kind: "github_export", summary: "issues of GitHub from a JSON file", source: None };

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// `owner/name`.
    pub repository: String,
}

/// The documents of a file.
///
/// # Errors
/// What is wrong with it.
pub fn documents(bytes: &[u8], spec: &Spec) -> Result<Vec<SourceDocument>, String> {
    let issues = issue::export(bytes)?;
    Ok(issues.iter().map(|issue| issue.document(&spec.repository, None)).collect())
}
