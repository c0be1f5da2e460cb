//! What is to be fetched, as a message says it.

use std::collections::HashSet;

use copydesk_proto::retrieval::v1 as pb;
use copydesk_proto::retrieval::v1::ingest_source_request::Part;
use copydesk_proto::retrieval::v1::ingest_source_start::Source;
use copydesk_rpc::{ServiceError, Violations};
use serde::Serialize;
use tonic::{Status, Streaming};

use super::convert;
use crate::app::IngestStart;
use crate::config::Config;
use crate::domain::origin::{SourceDocument, SourceState, Wish};
use crate::domain::source::ContentType;
use crate::domain::web::target::Target;
use crate::sources::{git, github_export, github_issues, web_pages};

/// Pages of one request.
const PAGES: usize = 1_000;
/// Most bytes of a part.
const PART: usize = 1024 * 1024;
/// Most commits.
const COMMITS: u32 = 10_000;
/// Commits when nobody says how many.
const SOME_COMMITS: u32 = 200;

/// An export that is still to come, and the content type of its documents.
pub(super) type Export = (github_export::Spec, ContentType);

/// The first message.
pub(super) fn start(
    first: Option<pb::IngestSourceRequest>,
    config: &Config,
) -> Result<(IngestStart, Option<Export>), ServiceError> {
    let mut violations = Violations::new();
    let Some(Part::Start(start)) = first.and_then(|request| request.part) else {
        violations.push("start", "must be the first part");
        return super::read(None, violations);
    };
    convert::request_id(&start.request_id, &mut violations);
    let knowledge_base = violations.parse("knowledge_base_id", &start.knowledge_base_id);
    violations.length("name", &start.name, 0, 128);
    violations.check(!start.name.contains(char::is_control), "name", "must not contain control characters");
    let content_type = convert::content_type(start.content_type);
    violations.check(content_type.is_some(), "content_type", "is not one of the listed values");
    let (mut export, mut state) = (None, SourceState::Fetching);
    let said = match &start.source {
        None => {
            violations.push("source", "must be set");
            None
        }
        Some(Source::WebPages(source)) => pages(source, config, &mut violations),
        Some(Source::GithubIssues(source)) => {
            repository("github_issues.repository", &source.repository, &mut violations);
            let spec = github_issues::Spec {
                repository: source.repository.clone(),
                comments: !source.without_comments,
                pull_requests: source.with_pull_requests,
            };
            said(github_issues::ENTRY.kind, source.repository.clone(), &spec)
        }
        Some(Source::GithubExport(source)) => {
            repository("github_export.repository", &source.repository, &mut violations);
            let spec = github_export::Spec { repository: source.repository.clone() };
            state = SourceState::Fetched;
            let said = said(github_export::ENTRY.kind, source.repository.clone(), &spec);
            export = content_type.map(|content_type| (spec, content_type));
            said
        }
        Some(Source::Git(source)) => git(source, config, &mut violations),
    };
    let parts = knowledge_base.zip(content_type).zip(said);
    let ((knowledge_base, content_type), (kind, name, spec)) = super::read(parts, violations)?;
    let name = if start.name.is_empty() { name } else { start.name };
    let wish = Wish { kind: kind.to_owned(), name, spec, content_type, mirror: start.mirror };
    let source = Some((wish, state));
    Ok((IngestStart { request_id: start.request_id, knowledge_base, source }, export))
}

/// Kind, name and spec of a source.
type Said = (&'static str, String, String);

fn said(kind: &'static str, name: String, spec: &impl Serialize) -> Option<Said> {
    let name = name.chars().take(128).collect();
    Some((kind, name, serde_json::to_string(spec).ok()?))
}

fn pages(source: &pb::WebPagesSource, config: &Config, violations: &mut Violations) -> Option<Said> {
    let enabled = config.web.enabled;
    violations.check(enabled, "web_pages", "the web is not asked here (retrieval.web.enabled)");
    let count = (1..=PAGES).contains(&source.urls.len());
    violations.check(count, "web_pages.urls", format!("must be 1 to {PAGES} URLs"));
    let (mut urls, mut seen) = (Vec::new(), HashSet::new());
    for (at, url) in source.urls.iter().take(PAGES).enumerate() {
        match Target::parse(url) {
            // Keys are shorter than URLs may be.
            Ok(target) if target.as_str().len() > 1024 => {
                violations.push(format!("web_pages.urls[{at}]"), "must have at most 1,024 bytes");
            }
            Ok(target) if seen.insert(target.as_str().to_owned()) => urls.push(target.as_str().to_owned()),
            Ok(_) => {}
            Err(error) => violations.push(format!("web_pages.urls[{at}]"), error.message),
        }
    }
    said(web_pages::ENTRY.kind, "web".to_owned(), &web_pages::Spec { urls })
}

/// `owner/name`, in the letters that GitHub lets them have: no way to another path of the API.
fn repository(field: &str, text: &str, violations: &mut Violations) {
    let good = |part: &str| {
        let letters = part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        (1..=100).contains(&part.len()) && letters && !matches!(part, "." | "..")
    };
    let shaped = text.split_once('/').is_some_and(|(owner, name)| good(owner) && good(name));
    violations.check(shaped, field, "must be owner/name");
}

fn git(source: &pb::GitSource, config: &Config, violations: &mut Violations) -> Option<Said> {
    let place = git::place(&source.url, &config.sources, config.web.enabled);
    if let Err(what) = &place {
        violations.push("git.url", what.clone());
    }
    let revision = source.revision.len() <= 256
        && !source.revision.starts_with('-')
        && source
            .revision
            .chars()
            .all(|c| c.is_ascii_graphic() && !matches!(c, '~' | '^' | ':' | '?' | '*' | '[' | '\\'))
        && !source.revision.contains("..")
        && !source.revision.contains("@{");
    violations.check(revision, "git.revision", "must be a branch, a tag or a full commit id");
    violations.check(source.max_commits <= COMMITS, "git.max_commits", format!("must be at most {COMMITS}"));
    let mut contents = Vec::new();
    for (at, content) in source.contents.iter().enumerate() {
        match content_word(*content) {
            Some(word) if !contents.contains(&word) => contents.push(word),
            Some(_) => {}
            None => violations.push(format!("git.contents[{at}]"), "is not one of the listed values"),
        }
    }
    if contents.is_empty() {
        contents = vec![git::Content::Readme, git::Content::Docs, git::Content::Examples, git::Content::Code];
    }
    let spec = git::Spec {
        url: source.url.clone(),
        revision: source.revision.clone(),
        contents,
        max_commits: if source.max_commits == 0 { SOME_COMMITS } else { source.max_commits },
    };
    said(git::ENTRY.kind, source.url.clone(), &spec)
}

fn content_word(value: i32) -> Option<git::Content> {
    Some(match pb::GitContent::try_from(value).ok()? {
        pb::GitContent::Unspecified => return None,
        pb::GitContent::Readme => git::Content::Readme,
        pb::GitContent::Docs => git::Content::Docs,
        pb::GitContent::Examples => git::Content::Examples,
        pb::GitContent::Code => git::Content::Code,
        pb::GitContent::Commits => git::Content::Commits,
    })
}

/// The bytes of an export; nothing may come for another source.
pub(super) async fn content(
    parts: &mut Streaming<pb::IngestSourceRequest>,
    export: bool,
    config: &Config,
) -> Result<Vec<u8>, Status> {
    let (mut bytes, most) = (Vec::new(), config.limits.max_document_bytes);
    while let Some(request) = parts.message().await? {
        let mut violations = Violations::new();
        match request.part {
            Some(Part::Content(part)) if export => {
                violations.check(part.len() <= PART, "content", format!("a part has at most {PART} bytes"));
                let fits = (bytes.len() + part.len()) as u64 <= most;
                violations.check(fits, "content", format!("is longer than {most} bytes"));
                bytes.extend_from_slice(&part);
            }
            Some(Part::Content(_)) => violations.push("content", "only an export has content"),
            Some(Part::Start(_)) => violations.push("start", "must come once"),
            None => violations.push("part", "must be set"),
        }
        violations.finish()?;
    }
    Ok(bytes)
}

/// The documents of an export.
pub(super) fn documents(
    bytes: &[u8],
    spec: &github_export::Spec,
) -> Result<Vec<SourceDocument>, ServiceError> {
    let mut violations = Violations::new();
    let documents = github_export::documents(bytes, spec);
    if let Err(what) = &documents {
        violations.push("content", what.clone());
    }
    super::read(documents.ok(), violations)
}
