//! Searching the web through a provider that speaks Tavily's protocol, as its API reference has it.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see the cases as tests")]

use crate::common::site::{Say, Site, answer, json};
use crate::common::web::{Names, bench, reason};
use crate::common::{Tenant, refusal};
use copydesk_proto::retrieval::v1::{SearchWebRequest, SearchWebResponse, WebTimeRange, WebTopic};
use copydesk_retrieval::{Config, Web, WebSearch};
use copydesk_types::Secret;
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::StatusExt;

const KEY: &str = "tvly-test-key";

/// Nothing is allowed but the provider that the operator named.
async fn tenant(base_url: Option<String>) -> Tenant {
    let search = base_url.map(|base_url| WebSearch {
        base_url: Some(base_url),
        api_key: Some(Secret::new(KEY)),
        timeout_seconds: 2,
        ..WebSearch::default()
    });
    let web = Web { search, calls_per_minute: 0, ..Web::default() };
    let config = Config { web, ..Config::default() };
    assert_eq!(config.validate(), Vec::<String>::new());
    bench(config, Names::of(&[])).await.tenant(1)
}

async fn search(tenant: &Tenant, request: SearchWebRequest) -> Result<SearchWebResponse, Status> {
    let mut client = tenant.web();
    let found = tenant.run(client.search_web(request));
    let found = tokio::time::timeout(std::time::Duration::from_secs(60), found).await.unwrap();
    Ok(found?.into_inner())
}

fn query(text: &str) -> SearchWebRequest {
    SearchWebRequest { query: text.into(), ..SearchWebRequest::default() }
}

#[tokio::test]
async fn a_question_goes_out_and_results_come_back() {
    let site = Site::start(|_| {
        json(&json!({
            "query": "cold vans", "follow_up_questions": null, "answer": null, "images": [],
            "results": [
                {"title": "Vans", "url": "https://example.org/vans", "content": "Vans are cold.", "score": 0.91,
                 "raw_content": null, "published_date": "Tue, 11 Nov 2025 10:00:00 GMT"},
                {"title": null, "url": "https://example.org/more", "content": "More.", "score": 1.7},
                {"title": "Odd", "url": "javascript:alert(1)", "content": "No page.", "score": 0.5},
                {"title": "Last", "url": "https://example.org/last", "content": "Last.", "score": 0.1},
            ],
            "response_time": "1.09", "request_id": "6f0c",
        }))
    })
    .await;
    let tenant = tenant(Some(site.url("/v1/"))).await;
    let request = SearchWebRequest {
        max_results: 2,
        include_domains: vec!["example.org".into()],
        exclude_domains: vec!["bad.example".into()],
        time_range: WebTimeRange::Week.into(),
        topic: WebTopic::News.into(),
        ..query("cold vans")
    };
    let found = search(&tenant, request).await.unwrap();
    assert_eq!(found.provider, "tavily");
    let urls: Vec<_> = found.results.iter().map(|result| result.url.as_str()).collect();
    assert_eq!(urls, ["https://example.org/vans", "https://example.org/more"]);
    let first = &found.results[0];
    assert_eq!((first.title.as_str(), first.content.as_str(), first.score), ("Vans", "Vans are cold.", 0.91));
    assert_eq!(first.published_time.unwrap().seconds, 1_762_855_200);
    assert_eq!((found.results[1].score, found.results[1].published_time), (1.0, None));

    let heard = site.heard().pop().unwrap();
    assert_eq!((heard.method.as_str(), heard.path.as_str()), ("POST", "/v1/search"));
    assert_eq!(heard.header("authorization"), format!("Bearer {KEY}"));
    assert_eq!(heard.header("content-type"), "application/json");
    let expected = json!({
        "query": "cold vans", "topic": "news", "search_depth": "basic", "max_results": 2, "include_answer": false,
        "include_raw_content": false, "include_images": false, "time_range": "week",
        "include_domains": ["example.org"], "exclude_domains": ["bad.example"],
    });
    assert_eq!(heard.json(), expected);

    assert_eq!(search(&tenant, query("x")).await.unwrap().results.len(), 3);
    let plain = site.heard().pop().unwrap().json();
    assert_eq!((&plain["max_results"], &plain["topic"]), (&json!(5), &json!("general")));
    assert!(plain.get("time_range").is_none() && plain.get("include_domains").is_none(), "{plain}");
}

#[tokio::test]
async fn every_failure_of_the_provider_has_its_reason() {
    let site = Site::start(|heard| match heard.json()["query"].as_str().unwrap_or_default() {
        "key" => answer(401, &[], r#"{"detail": {"error": "Unauthorized: missing or invalid API key."}}"#),
        "plan" => {
            answer(432, &[], r#"{"detail": {"error": "This request exceeds your plan's set usage limit."}}"#)
        }
        "rate" => answer(429, &["retry-after: 7"], r#"{"detail": {"error": "too many requests"}}"#),
        "broken" => answer(500, &[], r#"{"detail": {"error": "Internal Server Error"}}"#),
        "redirect" => answer(302, &["location: http://127.0.0.1:1/"], ""),
        "odd" => answer(200, &[], "<html>"),
        _ => Say::Silence,
    })
    .await;
    let tenant = tenant(Some(site.url(""))).await;
    for (text, code, word) in [
        ("key", Code::FailedPrecondition, "WEB_SEARCH_REFUSED"),
        ("plan", Code::ResourceExhausted, "WEB_SEARCH_LIMITED"),
        ("rate", Code::ResourceExhausted, "WEB_SEARCH_LIMITED"),
        ("broken", Code::Unavailable, "WEB_SEARCH_UNAVAILABLE"),
        ("redirect", Code::Unavailable, "WEB_SEARCH_UNAVAILABLE"),
        ("odd", Code::Unavailable, "WEB_SEARCH_UNAVAILABLE"),
        ("silence", Code::Unavailable, "WEB_SEARCH_UNAVAILABLE"),
    ] {
        let status = search(&tenant, query(text)).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (code, word), "{text}: {status:?}");
        assert!(!format!("{status:?}").contains(KEY));
    }
    let rate = search(&tenant, query("rate")).await.unwrap_err();
    assert_eq!(rate.get_error_details().retry_info().unwrap().retry_delay.unwrap().as_secs(), 7);
    // The provider's address is let through for searches and for nothing else.
    let page = tenant.fetch(&site.url("/")).await.unwrap_err();
    assert_eq!(reason(&page), "WEB_ADDRESS_FORBIDDEN");
}

#[tokio::test]
async fn without_a_provider_a_search_says_so_and_faults_come_together() {
    let tenant = tenant(None).await;
    let status = search(&tenant, query("x")).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "WEB_SEARCH_NOT_CONFIGURED")
    );
    let bad = SearchWebRequest {
        query: String::new(),
        max_results: 21,
        include_domains: vec!["fine.org".into(), "no domain".into()],
        exclude_domains: vec!["x.org".into(); 151],
        time_range: 9,
        topic: 9,
    };
    let (code, fields) = refusal(&search(&tenant, bad).await.unwrap_err());
    assert_eq!(code, Code::InvalidArgument);
    assert_eq!(&fields[..4], ["query", "max_results", "include_domains[1]", "exclude_domains"]);
    assert_eq!(&fields[fields.len() - 2..], ["time_range", "topic"]);
}
