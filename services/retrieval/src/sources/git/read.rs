//! Documents of a repository that is here. Everything is counted from one commit, so a step can be taken again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gix::bstr::ByteSlice;
use gix::objs::tree::EntryKind;
use gix::{ObjectId, Repository};

use super::super::reason;
use super::{Content, Spec, below};
use crate::domain::origin::{Miss, SourceDocument, Step};
use crate::domain::records;
use crate::domain::repository::{Role, comments, language, role};
use crate::domain::source::{Format, SourceKind};

/// Files or commits of one step, and bytes after which it ends.
const STEP: usize = 200;
const STEP_BYTES: usize = 4 << 20;
/// Source files that are longer were written by machines.
const LONGEST_CODE: u64 = 1 << 20;
/// Files of a repository that are looked at.
const FILES: usize = 1_000_000;

/// A repository and what is wanted of it.
pub struct Reading<'a> {
    /// Where it lies; of one that was fetched the folder around it.
    pub folder: &'a Path,
    /// The operator's folders.
    pub roots: &'a [PathBuf],
    /// What is asked for.
    pub spec: &'a Spec,
    /// Bytes of the largest document.
    pub largest: u64,
}

/// The documents from a place on; `commit` is empty in the first step.
pub fn step(reading: &Reading<'_>, commit: &str, from: usize) -> Result<Step, Miss> {
    let repository = open(reading)?;
    let id = if commit.is_empty() { resolved(&repository, &reading.spec.revision)? } else { parsed(commit)? };
    let files = files(&repository, id, &reading.spec.contents)?;
    let commits = if reading.spec.contents.contains(&Content::Commits) {
        commits(&repository, id, reading.spec.max_commits)?
    } else {
        Vec::new()
    };
    let (mut step, mut bytes, mut at) = (Step::default(), 0, from);
    let all = files.len() + commits.len();
    while at < all && at - from < STEP && bytes < STEP_BYTES {
        let document = match files.get(at) {
            Some(file) => file_document(reading, &repository, file),
            None => {
                Ok(commits.get(at - files.len()).and_then(|id| commit_document(reading, &repository, *id)))
            }
        };
        match document {
            Ok(Some(document)) => {
                bytes += document.content.len();
                step.documents.push(document);
            }
            Ok(None) => {}
            Err(miss) => step.misses.push(miss),
        }
        at += 1;
    }
    step.next = (at < all).then(|| format!("{id} {at}"));
    Ok(step)
}

fn open(reading: &Reading<'_>) -> Result<Repository, Miss> {
    let own = reading.folder.join(super::fetch::WHOLE);
    let fetched = own.exists().then(|| reading.folder.join("git"));
    let path = fetched.clone().unwrap_or_else(|| reading.folder.to_owned());
    let repository = gix::open::Options::isolated().open(path);
    let repository =
        repository.map_err(|_| Miss::source(reason::REFUSED, "there is no repository that can be read"))?;
    let repository = repository.to_thread_local();
    // A repository of this machine may name others: what lies outside of the operator's folders is not read.
    if fetched.is_none() {
        let folders = [repository.git_dir(), repository.common_dir()];
        let inside = folders
            .iter()
            .all(|folder| folder.canonicalize().is_ok_and(|folder| below(&folder, reading.roots)));
        let objects = repository.common_dir().join("objects");
        let inside = inside && objects.canonicalize().is_ok_and(|folder| below(&folder, reading.roots));
        if !inside || objects.join("info").join("alternates").exists() {
            let message = "the repository keeps its objects outside of the folders that may be read";
            return Err(Miss::source(reason::FORBIDDEN, message));
        }
    }
    Ok(repository)
}

fn parsed(id: &str) -> Result<ObjectId, Miss> {
    ObjectId::from_hex(id.as_bytes()).map_err(|_| broken())
}

fn resolved(repository: &Repository, revision: &str) -> Result<ObjectId, Miss> {
    let missing = || Miss::source(reason::REFUSED, "there is no such branch, tag or commit");
    if revision.is_empty() {
        return repository.head_id().map(|id| id.detach()).map_err(|_| missing());
    }
    if let Ok(id) = ObjectId::from_hex(revision.as_bytes()) {
        return repository.find_commit(id).map(|commit| commit.id).map_err(|_| missing());
    }
    for name in [format!("refs/heads/{revision}"), format!("refs/tags/{revision}"), revision.to_owned()] {
        if let Ok(mut reference) = repository.find_reference(name.as_str()) {
            return reference.peel_to_id().map(|id| id.detach()).map_err(|_| missing());
        }
    }
    Err(missing())
}

/// A file that is taken.
struct File {
    path: String,
    id: ObjectId,
    role: Role,
}

/// The files that are wanted, in order of their paths.
fn files(repository: &Repository, commit: ObjectId, wanted: &[Content]) -> Result<Vec<File>, Miss> {
    let tree = repository.find_commit(commit).and_then(|commit| commit.tree()).map_err(|_| broken())?;
    let entries = tree.traverse().breadthfirst.files().map_err(|_| broken())?;
    if entries.len() > FILES {
        return Err(Miss::source(reason::TOO_LARGE, format!("has more than {FILES} files")));
    }
    let mut files: Vec<File> = entries
        .into_iter()
        .filter(|entry| matches!(entry.mode.kind(), EntryKind::Blob | EntryKind::BlobExecutable))
        .filter_map(|entry| {
            let path = entry.filepath.to_str().ok()?.to_owned();
            let role = role(&path).filter(|role| wanted.contains(&role.content))?;
            Some(File { path, id: entry.oid, role })
        })
        .collect();
    files.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(files)
}

fn file_document(
    reading: &Reading<'_>,
    repository: &Repository,
    file: &File,
) -> Result<Option<SourceDocument>, Miss> {
    let key = format!("{}/{}", name(reading.spec), file.path);
    let unreadable = || Miss::new(key.clone(), records::reason::UNREADABLE, "git cannot read it");
    let size = repository.find_header(file.id).map_err(|_| unreadable())?.size();
    let is_code = file.role.content == Content::Code;
    if size > reading.largest && !is_code {
        let message = format!("is longer than {} bytes", reading.largest);
        return Err(Miss::new(key, records::reason::TOO_LARGE, message));
    }
    if is_code && size > LONGEST_CODE.min(reading.largest) {
        return Ok(None);
    }
    let object = repository.find_object(file.id).map_err(|_| unreadable())?;
    // What is no text in UTF-8 has only the name of one.
    let Ok(text) = std::str::from_utf8(&object.data) else { return Ok(None) };
    let text = match language(&file.path).filter(|_| is_code) {
        Some(language) => comments(text, language),
        None => text.to_owned(),
    };
    if text.trim().is_empty() || text.contains('\0') {
        return Ok(None);
    }
    Ok(Some(SourceDocument {
        title: if file.role.format == Format::Markdown { String::new() } else { file.path.clone() },
        format: file.role.format,
        kind: file.role.kind,
        attributes: BTreeMap::from([
            ("repository", name(reading.spec).into()),
            ("path", file.path.clone().into()),
        ]),
        uri: page(reading.spec, "blob/HEAD", &file.path),
        content: text.into(),
        key,
    }))
}

fn commits(repository: &Repository, from: ObjectId, most: u32) -> Result<Vec<ObjectId>, Miss> {
    let order = gix::revision::walk::Sorting::ByCommitTime(
        gix::traverse::commit::simple::CommitTimeOrder::NewestFirst,
    );
    let walk = repository.rev_walk([from]).sorting(order).all().map_err(|_| broken())?;
    // Behind the last commit of a shallow repository there is nothing to be had.
    Ok(walk.map_while(Result::ok).take(most as usize).map(|info| info.id).collect())
}

/// A commit's message; none of a merge, which says nothing of its own, and of one without words.
fn commit_document(reading: &Reading<'_>, repository: &Repository, id: ObjectId) -> Option<SourceDocument> {
    let commit = repository.find_commit(id).ok()?;
    if commit.parent_ids().count() > 1 {
        return None;
    }
    let message = commit.message_raw().ok()?.to_str().ok()?.trim().to_owned();
    if message.is_empty() {
        return None;
    }
    let mut attributes =
        BTreeMap::from([("repository", name(reading.spec).into()), ("commit", id.to_string().into())]);
    if let Ok(author) = commit.author() {
        attributes.insert("author", author.name.to_str_lossy().into_owned().into());
    }
    if let Ok(date) = commit.time().map(|time| time.seconds) {
        attributes.insert(
            "date",
            crate::domain::moment::Moment::from_millis(date.saturating_mul(1000)).text().into(),
        );
    }
    Some(SourceDocument {
        key: format!("{}/commit/{id}", name(reading.spec)),
        title: message.lines().next().unwrap_or_default().to_owned(),
        format: Format::Text,
        kind: SourceKind::Commit,
        attributes,
        uri: page(reading.spec, "commit", &id.to_string()),
        content: message.into(),
    })
}

/// What a repository is called in keys.
fn name(spec: &Spec) -> &str {
    let url = spec.url.trim_end_matches('/');
    url.strip_suffix(".git").unwrap_or(url)
}

/// Where a file or commit can be read, as GitHub, GitLab and their kin have it; of a folder it is not told where.
fn page(spec: &Spec, what: &str, of: &str) -> String {
    let name = name(spec);
    let web = name.starts_with("http");
    let escaped =
        |path: &str| path.replace('%', "%25").replace(' ', "%20").replace('#', "%23").replace('?', "%3F");
    let url = if web { format!("{name}/{what}/{}", escaped(of)) } else { String::new() };
    if url.len() > 2048 || url.contains(char::is_control) { String::new() } else { url }
}

fn broken() -> Miss {
    Miss::source(reason::ODD, "the repository is damaged")
}
