//! A git repository as a source: made here with git itself, read from a folder and served by git's own HTTP backend.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see the cases as tests")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::site::{Heard, Say, Site, answer};
use crate::common::sources::{counts, failures, succeeded, wish};
use crate::common::web::{Names, bench, bench_far, loopback};
use crate::common::{Tenant, refusal, titles};
use copydesk_proto::retrieval::v1::ingest_source_start::Source;
use copydesk_proto::retrieval::v1::{GitContent, GitSource, IngestSourceStart, RetryIngestionRequest};
use copydesk_proto::types::v1::SourceKind;
use copydesk_retrieval::{Config, Sources, Web};
use tonic::Code;

fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command
        .current_dir(folder)
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "Ann").env(format!("GIT_{who}_EMAIL"), "ann@example.org");
        command.env(format!("GIT_{who}_DATE"), "2026-01-02T03:04:05Z");
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn commit(folder: &Path, files: &[(&str, &str)], message: &str) -> String {
    for (path, text) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    git(folder, &["add", "--all"]);
    git(folder, &["commit", "--quiet", "--message", message]);
    git(folder, &["rev-parse", "HEAD"])
}

/// A repository with something of every kind.
pub fn repository(folder: &Path) -> String {
    std::fs::create_dir_all(folder).unwrap();
    git(folder, &["init", "--quiet", "--initial-branch", "main"]);
    commit(folder, &[("README.md", "# Vans\n\nAn altimeter in every van.\n")], "First: the altimeter");
    std::os::unix::fs::symlink("/etc/passwd", folder.join("link.md")).unwrap();
    let files = [
        ("docs/guide.md", "# Guide\n\nThe beehive stays outside.\n"),
        ("CHANGELOG.md", "# Changes\n\n- cinnamon\n"),
        ("examples/door.py", "open_door('drawbridge')\n"),
        (
            "src/main.rs",
            "//! The eclipse is computed once a day.\nfn main() { let falcon = \"falcon is no comment here\"; }\n",
        ),
        ("src/bare.rs", "fn nothing() {}\n"),
        ("logo.png", "not read"),
        ("binary.md", "\u{0}\u{1}"),
    ];
    commit(folder, &files, "Second: glacier\n\nWith a body about the harpsichord.")
}

pub fn source(url: &str, contents: &[GitContent]) -> Source {
    let contents = contents.iter().map(|content| i32::from(*content)).collect();
    Source::Git(GitSource { url: url.into(), contents, ..GitSource::default() })
}

async fn tenant(roots: &[&Path], web: Web) -> Tenant {
    let git_roots = roots.iter().map(|root| root.to_path_buf()).collect();
    let sources = Sources { git_roots, pause_ms: 0, ..Sources::default() };
    bench(Config { sources, web, ..Config::default() }, Names::of(&[])).await.tenant(1)
}

const ALL: [GitContent; 5] =
    [GitContent::Readme, GitContent::Docs, GitContent::Examples, GitContent::Code, GitContent::Commits];

async fn check(tenant: &Tenant, url: &str, base: &str, page: &str) {
    let done = tenant.fetched(wish("1", base, source(url, &ALL))).await;
    succeeded(&done);
    assert_eq!(counts(&done), (7, 0, 0, 0), "{done:?}");
    for (word, kind, path) in [
        ("altimeter van", SourceKind::Readme, "README.md"),
        ("beehive", SourceKind::Document, "docs/guide.md"),
        ("cinnamon", SourceKind::Changelog, "CHANGELOG.md"),
        ("drawbridge", SourceKind::Example, "examples/door.py"),
        ("eclipse", SourceKind::Code, "src/main.rs"),
    ] {
        let hits = tenant.search(base, word, 1).await;
        let passage = hits[0].passage.as_ref().unwrap();
        let document = tenant.document(&passage.document_id).await.unwrap();
        assert_eq!(
            (document.source_kind(), document.key.rsplit_once("/vans/").unwrap().1),
            (kind, path),
            "{word}"
        );
        let uri = if page.is_empty() { String::new() } else { format!("{page}/blob/HEAD/{path}") };
        assert_eq!(document.source_uri, uri);
    }
    assert!(tenant.search(base, "falcon", 5).await.is_empty(), "strings are no comments");
    let hits = tenant.search(base, "harpsichord", 1).await;
    assert_eq!(titles(&hits), ["Second: glacier"]);
    let document = tenant.document(&hits[0].passage.as_ref().unwrap().document_id).await.unwrap();
    let fields = document.attributes.unwrap().fields;
    assert_eq!(format!("{:?}", fields["date"].kind), "Some(StringValue(\"2026-01-02T03:04:05Z\"))");
    assert!(fields.contains_key("commit") && fields.contains_key("author"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_in_a_folder_is_read_and_mirrored() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("vans");
    let first = repository(&folder);
    let tenant = tenant(&[root.path()], Web::default()).await;
    let base = tenant.new_base("x").await.knowledge_base_id;
    let url = folder.to_str().unwrap();
    check(&tenant, url, &base, "").await;
    assert_eq!(counts(&tenant.fetched(wish("2", &base, source(url, &ALL))).await), (0, 7, 0, 0));

    std::fs::remove_file(folder.join("docs/guide.md")).unwrap();
    commit(&folder, &[("README.md", "# Vans\n\nA jasmine in every van.\n")], "Third");
    let some = &ALL[..4];
    let mirror = |id: &str, source| IngestSourceStart { mirror: true, ..wish(id, &base, source) };
    let done = tenant.fetched(mirror("3", source(url, some))).await;
    // The guide and the two commits are not in it any more.
    assert_eq!(counts(&done), (1, 3, 0, 3));
    assert!(tenant.search(&base, "beehive", 5).await.is_empty());
    git(&folder, &["tag", "--annotate", "--message", "x", "v1", &first]);
    for (at, revision) in ["v1", &first, "refs/tags/v1"].into_iter().enumerate() {
        let old = GitSource { url: url.into(), revision: revision.into(), ..GitSource::default() };
        let done = tenant.fetched(mirror(&format!("v{at}"), Source::Git(old))).await;
        assert_eq!(done.documents_total, 5, "{revision}");
    }
    assert_eq!(tenant.search(&base, "beehive", 5).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folders_that_are_not_the_operators_are_not_read() {
    let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hidden = outside.path().join("vans");
    repository(&hidden);
    std::os::unix::fs::symlink(&hidden, root.path().join("link")).unwrap();
    std::fs::create_dir(root.path().join("plain")).unwrap();
    // A repository whose own folder, or whose objects, lie elsewhere.
    std::fs::create_dir(root.path().join("pointer")).unwrap();
    std::fs::write(root.path().join("pointer/.git"), format!("gitdir: {}\n", hidden.join(".git").display()))
        .unwrap();
    git(root.path(), &["clone", "--quiet", "--shared", hidden.to_str().unwrap(), "borrowed"]);
    let tenant = tenant(&[root.path()], Web::default()).await;
    let base = tenant.new_base("x").await.knowledge_base_id;
    let at = |path: &str| root.path().join(path).to_str().unwrap().to_owned();
    let cases = [
        (hidden.to_str().unwrap().to_owned(), "SOURCE_REFUSED"),
        (at("link"), "SOURCE_REFUSED"),
        (at("../vans"), "SOURCE_REFUSED"),
        (at("absent"), "SOURCE_REFUSED"),
        (at("plain"), "SOURCE_REFUSED"),
        (at("pointer"), "SOURCE_FORBIDDEN"),
        (at("borrowed"), "SOURCE_FORBIDDEN"),
    ];
    for (at, (url, reason)) in cases.iter().enumerate() {
        let done = tenant.fetched(wish(&format!("r{at}"), &base, source(url, &[]))).await;
        let told: Vec<_> = done.failures.iter().map(|failure| failure.reason.as_str()).collect();
        assert_eq!(told, [*reason], "{url}: {done:?}");
    }
    assert!(tenant.documents(&base).await.is_empty());

    let closed = self::tenant(&[], Web { enabled: false, ..Web::default() }).await;
    let base = closed.new_base("x").await.knowledge_base_id;
    for url in [
        "/srv/x",
        "relative/path",
        "",
        "https://example.org/x",
        "git@example.org:x",
        "ssh://x/y",
        "file:///srv/x",
    ] {
        let status = closed.ask_for(wish("1", &base, source(url, &[])), &[]).await.unwrap_err();
        assert_eq!(refusal(&status), (Code::InvalidArgument, vec!["git.url".to_owned()]), "{url}");
    }
}

/// Git's own server, as CGI (RFC 3875).
pub fn backend(root: &Path, heard: &Heard) -> Say {
    use std::io::Write;
    let exec = git(root, &["--exec-path"]);
    let (path, query) = heard.path.split_once('?').unwrap_or((&heard.path, ""));
    let mut child = Command::new(Path::new(&exec).join("git-http-backend"))
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("GIT_PROTOCOL", heard.header("git-protocol"))
        .env("REQUEST_METHOD", &heard.method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", heard.header("content-type"))
        .env("CONTENT_LENGTH", heard.body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&heard.body).unwrap();
    let output = child.wait_with_output().unwrap().stdout;
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(output[..end].to_vec()).unwrap();
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK").to_owned();
    let lines: Vec<_> = head.lines().filter(|line| !line.starts_with("Status:")).collect();
    answer(status[..3].parse().unwrap(), &lines, &output[end + 4..])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_on_the_web_is_fetched_over_checked_connections() {
    let root = tempfile::tempdir().unwrap();
    repository(&root.path().join("vans"));
    let served = root.path().to_path_buf();
    let site = Site::start(move |heard| match heard.path.strip_prefix("/moved") {
        Some(rest) => answer(301, &[&format!("location: /vans{rest}")], ""),
        None if heard.path.starts_with("/web") => answer(200, &["content-type: text/html"], "<html>"),
        None if heard.path.starts_with("/away") => {
            answer(302, &["location: http://10.0.0.1/x/info/refs"], "")
        }
        None if heard.path.starts_with("/broken") => answer(503, &[], ""),
        None => backend(&served, heard),
    })
    .await;
    let tenant = tenant(&[], loopback()).await;
    let base = tenant.new_base("x").await.knowledge_base_id;
    let url = site.url("/vans");
    check(&tenant, &url, &base, &url).await;
    assert!(site.heard().iter().all(|heard| heard.header("git-protocol") == "version=2"));
    assert_eq!(
        counts(&tenant.fetched(wish("2", &base, source(&site.url("/vans"), &ALL))).await),
        (0, 7, 0, 0)
    );
    let main = GitSource { url: site.url("/moved"), revision: "main".into(), ..GitSource::default() };
    succeeded(&tenant.fetched(wish("3", &base, Source::Git(main))).await);
    for (at, (path, revision, reason)) in [
        ("/absent", "", "SOURCE_REFUSED"),
        ("/vans", "no-such-branch", "SOURCE_REFUSED"),
        ("/web", "", "SOURCE_ODD"),
        ("/away", "", "SOURCE_FORBIDDEN"),
        ("/broken", "", "SOURCE_UNAVAILABLE"),
    ]
    .into_iter()
    .enumerate()
    {
        let asked = GitSource { url: site.url(path), revision: revision.into(), ..GitSource::default() };
        let done = tenant.fetched(wish(&format!("f{at}"), &base, Source::Git(asked))).await;
        assert_eq!(failures(&done), [(path, reason)], "{done:?}");
    }
    // Nothing is left of what was fetched.
    let left = std::env::temp_dir().join("sources").join("git");
    assert!(!left.exists() || std::fs::read_dir(left).unwrap().count() == 0);

    // This machine is not let through here, and public hosts are asked by way of TLS only.
    let strict = self::tenant(&[], Web::default()).await;
    let base = strict.new_base("x").await.knowledge_base_id;
    for (at, url) in [site.url("/vans"), "http://8.8.8.8/vans".to_owned()].iter().enumerate() {
        let done = strict.fetched(wish(&format!("s{at}"), &base, source(url, &[]))).await;
        assert_eq!(failures(&done), [("/vans", "SOURCE_FORBIDDEN")], "{done:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_that_was_away_is_fetched_when_it_is_tried_again() {
    let root = tempfile::tempdir().unwrap();
    repository(&root.path().join("vans"));
    let (served, away) = (root.path().to_path_buf(), Arc::new(AtomicBool::new(true)));
    let told = Arc::clone(&away);
    let site = Site::start(move |heard| match told.load(Ordering::SeqCst) {
        true => answer(503, &[], ""),
        false => backend(&served, heard),
    })
    .await;
    let sources = Sources { pause_ms: 0, ..Sources::default() };
    let config = Config { sources, web: loopback(), ..Config::default() };
    let tenant = bench_far(config, Names::of(&[])).await.tenant(1);
    let base = tenant.new_base("x").await.knowledge_base_id;
    let done = tenant.fetched(wish("1", &base, source(&site.url("/vans"), &ALL))).await;
    assert_eq!(failures(&done), [("/vans", "SOURCE_UNAVAILABLE")]);
    let retry = async |request: &str| {
        let again =
            RetryIngestionRequest { request_id: request.into(), ingestion_id: done.ingestion_id.clone() };
        tenant.run(tenant.ingestions().retry_ingestion(again)).await.unwrap();
        tenant.ended(&done.ingestion_id).await
    };
    let again = retry("still away").await;
    assert_eq!((failures(&again), again.documents_total), (vec![("/vans", "SOURCE_UNAVAILABLE")], 1));
    away.store(false, Ordering::SeqCst);
    for request in ["back", "back", "nothing left"] {
        let again = retry(request).await;
        succeeded(&again);
        assert_eq!((counts(&again), again.documents_total), ((7, 0, 0, 0), 7), "{request}: {again:?}");
    }
}
