//! Issues of GitHub as a source: a server that speaks its REST API, and files of both forms.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see the cases as tests")]

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::common::site::{Heard, Say, Site, answer};
use crate::common::sources::{counts, failures, succeeded, wish};
use crate::common::web::{Names, bench};
use crate::common::{Tenant, refusal, titles};
use copydesk_proto::retrieval::v1::ingest_source_start::Source;
use copydesk_proto::retrieval::v1::{
    GithubExportSource, GithubIssuesSource, IngestSourceStart, IngestionState, SourceState,
};
use copydesk_proto::types::v1::SourceKind;
use copydesk_retrieval::{Config, Github, Sources};
use copydesk_types::Secret;
use serde_json::{Value, json};
use tonic::Code;

const TOKEN: &str = "ghp_test_token";

async fn tenant(base_url: String) -> Tenant {
    let github = Github { base_url, token: Some(Secret::new(TOKEN)), ..Github::default() };
    let sources = Sources { github, pause_ms: 0, max_wait_seconds: 5, ..Sources::default() };
    bench(Config { sources, ..Config::default() }, Names::of(&[])).await.tenant(1)
}

fn issues(repository: &str) -> Source {
    Source::GithubIssues(GithubIssuesSource {
        repository: repository.into(),
        ..GithubIssuesSource::default()
    })
}

fn issue(number: u64, title: &str, comments: u64) -> Value {
    json!({
        "id": number * 1000, "node_id": "x", "number": number, "title": title, "state": "open", "locked": false,
        "url": format!("https://api.github.com/repos/acme/vans/issues/{number}"),
        "html_url": format!("https://github.com/acme/vans/issues/{number}"),
        "user": {"login": "ann", "id": 1}, "labels": [{"id": 1, "name": "bug", "color": "f00"}], "assignee": null,
        "comments": comments, "created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-03T03:04:05Z",
        "closed_at": null, "body": format!("The body of {title}."),
    })
}

/// The API for one repository: two pages of issues, one pull request among them, and comments on two pages.
struct Hub {
    all: Mutex<Vec<Value>>,
    limited: Mutex<Vec<Say>>,
}

impl Hub {
    async fn start(all: Vec<Value>) -> (Site, Arc<Self>) {
        let hub = Arc::new(Self { all: Mutex::new(all), limited: Mutex::default() });
        let own = Arc::clone(&hub);
        (Site::start(move |heard| own.say(heard)).await, hub)
    }

    fn say(&self, heard: &Heard) -> Say {
        if let Some(limited) = self.limited.lock().unwrap().pop() {
            return limited;
        }
        assert_eq!(heard.header("authorization"), format!("Bearer {TOKEN}"));
        assert_eq!(heard.header("accept"), "application/vnd.github+json");
        assert_eq!(heard.header("x-github-api-version"), "2022-11-28");
        assert!(!heard.header("user-agent").is_empty(), "GitHub refuses requests without one");
        let all = self.all.lock().unwrap();
        let (path, query) = heard.path.split_once('?').unwrap_or((&heard.path, ""));
        let page: usize =
            query.split('&').find_map(|part| part.strip_prefix("page=")).map_or(1, |n| n.parse().unwrap());
        let here = format!("http://{}", heard.header("host"));
        match path {
            "/repos/acme/vans/issues" if query.contains("per_page=1") && !query.contains("per_page=50&") => {
                let etag = format!("W/\"{}\"", blake3::hash(json!(*all).to_string().as_bytes()).to_hex());
                if heard.header("if-none-match") == etag {
                    return answer(304, &[&format!("etag: {etag}")], "");
                }
                listed(&all[..1.min(all.len())], &[&format!("etag: {etag}")])
            }
            "/repos/acme/vans/issues" => {
                let next =
                    format!("link: <{here}{path}?{query}&page=2>; rel=\"next\", <{here}/x>; rel=\"last\"");
                match page {
                    1 => listed(&all[..2.min(all.len())], &[&next]),
                    _ => listed(&all[2.min(all.len())..], &[]),
                }
            }
            "/repos/acme/vans/issues/1/comments" => {
                let next = format!("link: <{here}{path}?{query}&page=2>; rel=\"next\"");
                let comment = |text: &str| json!([{"user": {"login": "bob"}, "body": text, "created_at": "2026-01-04T00:00:00Z"}]);
                match page {
                    1 => answer(200, &[&next], comment("A harpsichord helps.").to_string()),
                    _ => answer(200, &[], comment("It does not.").to_string()),
                }
            }
            "/repos/acme/old/issues" => {
                let to = format!("location: {here}/repos/acme/vans/issues?{query}");
                answer(301, &[&to], "{}")
            }
            _ => answer(404, &[], r#"{"message": "Not Found"}"#),
        }
    }
}

fn listed(all: &[Value], headers: &[&str]) -> Say {
    answer(
        200,
        &[&["content-type: application/json; charset=utf-8"], headers].concat(),
        json!(all).to_string(),
    )
}

fn three() -> Vec<Value> {
    let mut pull = issue(3, "A pull request", 0);
    pull["pull_request"] = json!({"url": "https://api.github.com/repos/acme/vans/pulls/3"});
    vec![issue(1, "Doors freeze", 2), issue(2, "Radio is loud", 0), pull]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issues_come_page_by_page_with_their_comments_and_not_twice() {
    let (site, hub) = Hub::start(three()).await;
    let tenant = tenant(site.url("")).await;
    let base = tenant.new_base("x").await.knowledge_base_id;
    let done = tenant.fetched(wish("1", &base, issues("acme/vans"))).await;
    succeeded(&done);
    assert_eq!((counts(&done), done.source.clone().unwrap().name.as_str()), ((2, 0, 0, 0), "acme/vans"));
    assert_eq!(titles(&tenant.search(&base, "harpsichord", 5).await), ["Doors freeze"]);
    let found = tenant.documents(&base).await.into_iter().find(|d| d.title == "Doors freeze").unwrap();
    let document = tenant.document(&found.document_id).await.unwrap();
    assert!(document.text.contains("## Comment by bob, 2026-01-04\n\nIt does not."), "{}", document.text);
    assert_eq!(
        (document.source_kind(), document.key.as_str()),
        (SourceKind::Issue, "https://github.com/acme/vans/issues/1")
    );
    let fields = document.attributes.unwrap().fields;
    for name in ["repository", "number", "state", "labels", "author", "created_at", "updated_at"] {
        assert!(fields.contains_key(name), "{name}");
    }

    // Nothing has changed, says the ETag: one request, and nothing is done.
    let asked = site.heard().len();
    let done = tenant.fetched(wish("2", &base, issues("acme/vans"))).await;
    assert_eq!((counts(&done), done.documents_total, site.heard().len()), ((0, 0, 0, 0), 0, asked + 1));
    // A document that somebody deleted comes back all the same.
    let delete = copydesk_proto::retrieval::v1::DeleteDocumentRequest { document_id: found.document_id };
    tenant.run(tenant.knowledge().delete_document(delete)).await.unwrap();
    let done = tenant.fetched(wish("3", &base, issues("acme/vans"))).await;
    assert_eq!(counts(&done), (1, 1, 0, 0));

    // One is changed, one gone: a mirror asks for all, does one again and deletes the other.
    *hub.all.lock().unwrap() = vec![issue(1, "Doors melt", 0)];
    let done =
        tenant.fetched(IngestSourceStart { mirror: true, ..wish("4", &base, issues("acme/vans")) }).await;
    assert_eq!(counts(&done), (1, 0, 0, 1));
    assert_eq!(tenant.keys_of(&base).await, ["https://github.com/acme/vans/issues/1"]);

    let all = GithubIssuesSource {
        repository: "acme/old".into(),
        without_comments: true,
        with_pull_requests: true,
    };
    *hub.all.lock().unwrap() = three();
    let done = tenant.fetched(wish("5", &base, Source::GithubIssues(all))).await;
    assert_eq!(done.documents_done, 3, "a renamed repository is followed: {done:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_are_waited_for_and_failures_have_their_reasons() {
    let (site, hub) = Hub::start(three()).await;
    let tenant = tenant(site.url("")).await;
    let base = tenant.new_base("x").await.knowledge_base_id;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    *hub.limited.lock().unwrap() = vec![
        answer(403, &["x-ratelimit-remaining: 0", &format!("x-ratelimit-reset: {now}")], "{}"),
        answer(502, &[], ""),
        answer(429, &["retry-after: 1"], "{}"),
    ];
    succeeded(&tenant.fetched(wish("1", &base, issues("acme/vans"))).await);

    for (at, (limited, reason)) in [
        (vec![answer(403, &["retry-after: 3600"], "{}")], "SOURCE_LIMITED"),
        (
            vec![answer(
                403,
                &["x-ratelimit-remaining: 0", &format!("x-ratelimit-reset: {}", now + 9999)],
                "{}",
            )],
            "SOURCE_LIMITED",
        ),
        (vec![answer(403, &[], "{}")], "SOURCE_REFUSED"),
        (vec![answer(401, &[], "{}")], "SOURCE_REFUSED"),
        (vec![answer(200, &[], "<html>"), answer(200, &[], "[]")], "SOURCE_ODD"),
        (
            vec![
                answer(200, &["link: <http://127.0.0.1:1/steal>; rel=\"next\""], "[]"),
                answer(200, &[], "[]"),
            ],
            "SOURCE_ODD",
        ),
        (vec![answer(302, &["location: http://127.0.0.1:1/steal"], "")], "SOURCE_ODD"),
        ((0..4).map(|_| answer(500, &[], "")).collect(), "SOURCE_UNAVAILABLE"),
    ]
    .into_iter()
    .enumerate()
    {
        *hub.limited.lock().unwrap() = limited;
        let done = tenant.fetched(wish(&format!("f{at}"), &base, issues("acme/vans"))).await;
        assert_eq!(
            (done.state(), failures(&done)),
            (IngestionState::Failed, vec![("/vans", reason)]),
            "{at}"
        );
        assert_eq!(done.source.clone().unwrap().state(), SourceState::Failed);
        assert!(!format!("{done:?}").contains(TOKEN));
        hub.limited.lock().unwrap().clear();
    }
    let done = tenant.fetched(wish("absent", &base, issues("acme/absent"))).await;
    assert_eq!(failures(&done), [("/absent", "SOURCE_REFUSED")]);
    // What was fetched before is still there.
    assert_eq!(tenant.documents(&base).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_issues_is_the_same_documents() {
    let tenant = tenant("https://api.github.com".into()).await;
    let base = tenant.new_base("x").await.knowledge_base_id;
    let export = || Source::GithubExport(GithubExportSource { repository: "acme/vans".into() });
    let gh = json!([{
        "number": 1, "title": "Doors freeze", "body": "In winter.", "state": "OPEN", "author": {"login": "ann"},
        "labels": [], "url": "https://github.com/acme/vans/issues/1", "createdAt": "2026-01-02T03:04:05Z",
        "updatedAt": "2026-01-03T03:04:05Z",
        "comments": [{"author": {"login": "bob"}, "body": "A harpsichord helps.", "createdAt": "2026-01-04T00:00:00Z"}],
    }])
    .to_string();
    let (head, tail) = gh.as_bytes().split_at(50);
    let stored = tenant.ask_for(wish("1", &base, export()), &[head, tail]).await.unwrap();
    let done = tenant.ended(&stored.ingestion_id).await;
    succeeded(&done);
    assert_eq!((counts(&done), done.source.unwrap().kind.as_str()), ((1, 0, 0, 0), "github_export"));
    assert_eq!(titles(&tenant.search(&base, "harpsichord", 5).await), ["Doors freeze"]);
    // A mirror of an empty list deletes what the file before brought.
    let start = IngestSourceStart { mirror: true, ..wish("2", &base, export()) };
    let stored = tenant.ask_for(start, &[b"[]"]).await.unwrap();
    assert_eq!(counts(&tenant.ended(&stored.ingestion_id).await), (0, 0, 0, 1));

    for (content, field) in [(&b"nonsense"[..], "content"), (b"", "content")] {
        let status = tenant.ask_for(wish("3", &base, export()), &[content]).await.unwrap_err();
        assert_eq!(refusal(&status), (Code::InvalidArgument, vec![field.to_owned()]));
    }
    for odd in ["", "acme", "acme/", "../x", "acme/..", "a/b/c", "acme/va ns", "acme/vans?x"] {
        let status = tenant.ask_for(wish("4", &base, issues(odd)), &[]).await.unwrap_err();
        assert_eq!(
            refusal(&status),
            (Code::InvalidArgument, vec!["github_issues.repository".to_owned()]),
            "{odd}"
        );
    }
}
