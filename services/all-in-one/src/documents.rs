//! Documents of files and folders, with what their place and front matter say of them.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::bail;
use copydesk_proto::retrieval::v1::{DocumentFormat, DocumentStart};
use copydesk_proto::types::v1::{ContentType, SourceKind};
use include_dir::{Dir, include_dir};

mod walk;

static SAMPLES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/samples");
/// The endings of names of what is read, for a person.
const READ: &str = ".md, .txt, .html, .pdf, .docx, .pptx, .xlsx, .csv";
/// Titles longer than this, in characters, are no topics.
const LONGEST_TITLE: usize = 200;

/// A document to be ingested.
#[derive(Debug, Clone)]
pub struct SourceDocument {
    /// Its path below the folder, with `/`.
    pub key: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What was found in files and folders.
#[derive(Debug, Default)]
pub struct Found {
    /// The documents, in order of their keys; at least one.
    pub documents: Vec<SourceDocument>,
    /// What was passed over although its name ends as a document's does, each as `path: why`.
    pub skipped: Vec<String>,
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

/// The documents of files and folders. In a folder, hidden files, other formats and what tools put there are passed
/// over; documents that the server would refuse are skipped. Of several paths, the folders' own names begin the keys.
///
/// # Errors
/// A path cannot be read, a file that was named is no document, two documents would have one key, or there is none.
pub fn read(paths: &[PathBuf]) -> anyhow::Result<Found> {
    let (mut by_key, mut skipped) = (BTreeMap::<String, (PathBuf, Vec<u8>)>::new(), Vec::new());
    for path in paths {
        let files = if path.is_dir() {
            let prefix = if paths.len() > 1 { own_name(path) } else { None };
            walk::folder(path, prefix.as_deref(), &mut skipped)?
        } else {
            vec![walk::named_file(path)?]
        };
        for file in files {
            if let Some((other, _)) = by_key.get(&file.key) {
                let (key, other, path) = (&file.key, other.display(), file.path.display());
                bail!(
                    "{other} and {path} would both be the document `{key}`; ingest them one after the other"
                );
            }
            by_key.insert(file.key, (file.path, file.bytes));
        }
    }
    if by_key.is_empty() {
        let mut text = format!("there are no documents ({READ})");
        skipped.iter().for_each(|skipped| text.push_str(&format!("\n  skipped {skipped}")));
        bail!(text);
    }
    let documents = by_key.into_iter().map(|(key, (_, bytes))| SourceDocument { key, bytes }).collect();
    Ok(Found { documents, skipped })
}

/// The last part of a path, of `.` and `..` too.
pub fn own_name(path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    Some(path.file_name()?.to_string_lossy().into_owned())
}

/// The title of the README that lies highest: what the documents are about, in their owner's words.
pub fn headline(documents: &[SourceDocument]) -> Option<String> {
    let depth = |document: &SourceDocument| document.key.matches('/').count();
    let mut readmes: Vec<_> = documents.iter().filter(|d| is_readme(&d.key)).collect();
    readmes.sort_by_key(|document| depth(document));
    readmes.into_iter().find_map(SourceDocument::title)
}

fn is_readme(key: &str) -> bool {
    key.to_lowercase().rsplit('/').next().is_some_and(|name| name.starts_with("readme"))
}

/// What the ending of a name says of a document. Of others than texts the server looks at the bytes, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    /// Text as it is; it has to be UTF-8.
    Text(DocumentFormat),
    /// A document of pages, slides, sheets or tags.
    Document,
    /// A picture: a folder is full of them, and few show a text.
    Picture,
}

fn named(name: &str) -> Option<Named> {
    Some(match name.rsplit_once('.')?.1.to_lowercase().as_str() {
        "md" | "markdown" => Named::Text(DocumentFormat::Markdown),
        "txt" => Named::Text(DocumentFormat::Text),
        "html" | "htm" | "pdf" | "docx" | "pptx" | "xlsx" | "csv" | "tsv" => Named::Document,
        "png" | "jpg" | "jpeg" | "webp" | "gif" => Named::Picture,
        _ => return None,
    })
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
            format: match named(&self.key) {
                Some(Named::Text(format)) => format.into(),
                Some(Named::Document | Named::Picture) => DocumentFormat::Auto.into(),
                None => DocumentFormat::Text.into(),
            },
            source_kind: kind.into(),
            content_type: content_type.into(),
            ..DocumentStart::default()
        }
    }

    /// The title of its front matter, else its first heading that is plain words.
    fn title(&self) -> Option<String> {
        let front = front_matter(&self.bytes).into_iter().find(|(key, _)| key == "title");
        let text = String::from_utf8_lossy(&self.bytes);
        let heading = || text.lines().find_map(|line| line.strip_prefix("# ")).map(str::to_owned);
        let title = front.map(|(_, title)| title).or_else(heading)?.replace(['`', '*'], "");
        let title = title.trim();
        let is_plain = !title.is_empty() && !title.contains(['<', '[']);
        (is_plain && title.chars().count() <= LONGEST_TITLE).then(|| title.to_owned())
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
        "example" => SourceKind::Example,
        "commit" => SourceKind::Commit,
        "code" => SourceKind::Code,
        "web" | "web_page" => SourceKind::WebPage,
        _ => return None,
    })
}

fn kind_of_path(key: &str) -> SourceKind {
    let path = key.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|w| path.split(['/', '-', '_', '.']).any(|part| part == *w));
    match () {
        () if is_readme(key) => SourceKind::Readme,
        () if has(&["changelog", "changelogs", "releases", "changes"]) => SourceKind::Changelog,
        () if has(&["issue", "issues", "tickets"]) => SourceKind::Issue,
        () if has(&["case", "cases", "stories"]) => SourceKind::CaseStudy,
        () if has(&["post", "posts", "social"]) => SourceKind::Post,
        () if has(&["product", "products", "features"]) => SourceKind::Product,
        () if has(&["example", "examples"]) => SourceKind::Example,
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

    fn document(key: &str, text: &str) -> SourceDocument {
        SourceDocument { key: key.to_owned(), bytes: text.as_bytes().to_vec() }
    }

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
        let kind = |key: &str| document(key, "text").start().source_kind();
        assert_eq!(kind("README.md"), SourceKind::Readme);
        assert_eq!(kind("docs/CHANGELOG.md"), SourceKind::Changelog);
        assert_eq!(kind("issues/12.md"), SourceKind::Issue);
        assert_eq!(kind("notes/x.txt"), SourceKind::Document);
    }

    #[test]
    fn only_texts_are_said_to_be_what_their_name_says() {
        let format = |key: &str| document(key, "text").start().format();
        assert_eq!(format("a.md"), DocumentFormat::Markdown);
        assert_eq!(format("a/b.TXT"), DocumentFormat::Text);
        for key in ["a.pdf", "a.docx", "a.csv", "a.html", "scan.png"] {
            assert_eq!(format(key), DocumentFormat::Auto, "{key}");
        }
    }

    #[test]
    fn the_highest_readme_is_the_headline() {
        let deep = document("a/b/README.md", "# Deep");
        let high = document("a/readme.md", "\n# The `kiln`\n\nText.\n");
        let other = document("a.md", "# Not a readme");
        assert_eq!(headline(&[other.clone(), deep.clone(), high.clone()]).as_deref(), Some("The kiln"));
        assert_eq!(headline(std::slice::from_ref(&other)), None);
        let front = document("README.md", "---\ntitle: \"Tonwerk\"\n---\n# Other\n");
        assert_eq!(headline(&[front, high]).as_deref(), Some("Tonwerk"));
        let badge = document("README.md", "# <img src=\"x\">\n");
        assert_eq!(headline(&[badge, deep]).as_deref(), Some("Deep"), "a picture is no title");
    }
}
