//! Documents of a folder, with what their place and front matter say of them.
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use copydesk_proto::retrieval::v1::{DocumentFormat, DocumentStart};
use copydesk_proto::types::v1::{ContentType, SourceKind};
use include_dir::{Dir, include_dir};

static SAMPLES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/samples");

/// A document to be ingested.
#[derive(Debug, Clone)]
pub struct SourceDocument {
    /// Its path below the folder, with `/`.
    pub key: String,
    /// Its bytes; the server refuses what is not UTF-8.
    pub bytes: Vec<u8>,
}

/// The bundled documents, in order of their paths.
pub fn samples() -> Vec<SourceDocument> {
    let mut found = Vec::new();
    collect_samples(&SAMPLES, &mut found);
    found.sort_by(|a, b| a.key.cmp(&b.key));
    found
}

fn collect_samples(dir: &Dir<'_>, found: &mut Vec<SourceDocument>) {
    for file in dir.files() {
        let key = file.path().to_string_lossy().replace('\\', "/");
        found.push(SourceDocument { key, bytes: file.contents().to_vec() });
    }
    for dir in dir.dirs() {
        collect_samples(dir, found);
    }
}

/// The documents of files and folders. Hidden files and other formats are passed over.
///
/// # Errors
/// When a file cannot be read, or there is none of a known format.
pub fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<SourceDocument>> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            walk(path, path, &mut found)?;
        } else {
            let key = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            found.push(SourceDocument { key, bytes: read_file(path)? });
        }
    }
    if found.is_empty() {
        bail!("there are no Markdown or text files (.md, .markdown, .txt)");
    }
    found.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(found)
}

fn walk(root: &Path, dir: &Path, found: &mut Vec<SourceDocument>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", dir.display()))?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        // A link could lead out of the folder or round in it.
        let kind = entry.file_type()?;
        if name.starts_with('.') || kind.is_symlink() {
            continue;
        }
        if kind.is_dir() {
            walk(root, &path, found)?;
        } else if format_of(&name).is_some() {
            let key = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            found.push(SourceDocument { key, bytes: read_file(&path)? });
        }
    }
    Ok(())
}

fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn format_of(name: &str) -> Option<DocumentFormat> {
    match name.rsplit('.').next()?.to_lowercase().as_str() {
        "md" | "markdown" => Some(DocumentFormat::Markdown),
        "txt" => Some(DocumentFormat::Text),
        _ => None,
    }
}

impl SourceDocument {
    /// What the upload says of it: kind and content type from the front matter, else from folder and file name.
    pub fn start(&self) -> DocumentStart {
        let front = front_matter(&self.bytes);
        let value = |key: &str| front.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
        let kind = value("kind").and_then(source_kind).unwrap_or_else(|| kind_of_path(&self.key));
        let content_type = match value("content_type") {
            Some("social") => ContentType::Social,
            Some("ad") => ContentType::Ad,
            Some("blog") => ContentType::Blog,
            _ if kind == SourceKind::Post => ContentType::Social,
            _ => ContentType::Blog,
        };
        DocumentStart {
            key: self.key.clone(),
            title: value("title").unwrap_or_default().to_owned(),
            format: format_of(&self.key).unwrap_or(DocumentFormat::Text).into(),
            source_kind: kind.into(),
            content_type: content_type.into(),
        }
    }
}

fn source_kind(word: &str) -> Option<SourceKind> {
    Some(match word {
        "readme" => SourceKind::Readme,
        "product" => SourceKind::Product,
        "docs" | "doc" | "document" => SourceKind::Document,
        "changelog" => SourceKind::Changelog,
        "issue" => SourceKind::Issue,
        "case" | "case_study" => SourceKind::CaseStudy,
        "post" => SourceKind::Post,
        _ => return None,
    })
}

fn kind_of_path(key: &str) -> SourceKind {
    let path = key.to_lowercase();
    let name = path.rsplit('/').next().unwrap_or_default();
    let has = |words: &[&str]| words.iter().any(|w| path.split(['/', '-', '_', '.']).any(|part| part == *w));
    match () {
        () if name.starts_with("readme") => SourceKind::Readme,
        () if has(&["changelog", "changelogs", "releases", "changes"]) => SourceKind::Changelog,
        () if has(&["issue", "issues", "tickets"]) => SourceKind::Issue,
        () if has(&["case", "cases", "stories"]) => SourceKind::CaseStudy,
        () if has(&["post", "posts", "social"]) => SourceKind::Post,
        () if has(&["product", "products", "features"]) => SourceKind::Product,
        () => SourceKind::Document,
    }
}

/// The `key: value` lines between the first two `---` lines. Enough for the few keys that are read.
fn front_matter(bytes: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4_096)]);
    let mut lines = text.lines();
    if lines.next().map(str::trim_end) != Some("---") {
        return Vec::new();
    }
    lines
        .take_while(|line| line.trim_end() != "---")
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key.trim().to_lowercase(), value.trim().trim_matches(['"', '\'']).to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_documents_are_a_company() {
        let samples = samples();
        assert!(samples.len() >= 30, "{}", samples.len());
        assert!(samples.iter().map(|d| d.bytes.len()).sum::<usize>() >= 60_000);
        let posts = samples.iter().filter(|d| d.start().source_kind() == SourceKind::Post).count();
        assert!(posts >= 5, "{posts}");
        assert!(samples.iter().all(|d| !d.start().title.is_empty()));
    }

    #[test]
    fn a_path_tells_the_kind_when_nothing_else_does() {
        let kind =
            |key: &str| SourceDocument { key: key.to_owned(), bytes: b"text".to_vec() }.start().source_kind();
        assert_eq!(kind("README.md"), SourceKind::Readme);
        assert_eq!(kind("docs/CHANGELOG.md"), SourceKind::Changelog);
        assert_eq!(kind("issues/12.md"), SourceKind::Issue);
        assert_eq!(kind("notes/x.txt"), SourceKind::Document);
    }
}
