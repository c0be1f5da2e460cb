//! A search of the mesh lets a ranking model behind the router look again: by a server that speaks TEI's wire format over
//! a real socket. When it is gone, the answer comes all the same and says so.
#![allow(clippy::expect_used, reason = "a test says what it expects")]
use std::net::{TcpListener, TcpStream};

use crate::support::*;
use copydesk_proto::retrieval::v1::{RerankOptions, SearchRequest, SearchResponse};
use serde_json::{Value, json};

/// Ranks texts by how early they hold the word `lamp`, and answers `calls` calls.
fn serve(calls: usize) -> (String, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let served = std::thread::spawn(move || {
        let mut left = calls;
        while left > 0 {
            let (stream, _) = listener.accept().expect("a caller");
            left -= usize::from(answer(&stream).is_some());
        }
    });
    (format!("http://{address}"), served)
}

fn answer(stream: &TcpStream) -> Option<()> {
    let call = wire::asked(stream)?.body;
    let texts = call["texts"].as_array()?.iter().filter_map(Value::as_str);
    let score = |text: &str| text.find("lamp").map_or(0.0, |at| 1.0 / (1.0 + at as f64));
    let scored: Vec<Value> =
        texts.enumerate().map(|(at, text)| json!({ "index": at, "score": score(text) })).collect();
    wire::answer(stream, "application/json", &Value::from(scored).to_string())
}

fn titles(answer: &SearchResponse) -> Vec<&str> {
    answer.hits.iter().filter_map(|hit| hit.passage.as_ref()).map(|passage| passage.title.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ranking_model_looks_again_and_may_be_gone() {
    let (url, served) = serve(1);
    let provider = format!("[{{name=\"tei\",kind=\"tei\",base_url=\"{url}\",models=[{{name=\"ranker\"}}]}}]");
    let house = House::start_with(&[("llm_router.providers", &provider)]).await;
    let base = knowledge_base(&house.client, "lamps").await;
    let documents = vec![
        document("far.md", "# Far\n\nThe night market sells fish, and late at night somebody lights a lamp."),
        document("near.md", "# Near\n\nA lamp stands there. The market sells fish."),
        document("none.md", "# None\n\nThe night market, the night market, the night market."),
    ];
    ingest(&house.client, &base, documents).await;
    let search = SearchRequest {
        knowledge_base_ids: vec![base],
        query: "night market".to_owned(),
        rerank: Some(RerankOptions { model: "tei/ranker".to_owned(), candidates: 0 }),
        skip_cache: true,
        ..SearchRequest::default()
    };
    let ask = async |search: SearchRequest| {
        within(house.client.search().search(search)).await.expect("an answer").into_inner()
    };
    let plain = ask(SearchRequest { rerank: None, ..search.clone() }).await;
    assert_eq!(titles(&plain), ["None", "Far", "Near"]);
    let again = ask(search.clone()).await;
    assert_eq!(
        (titles(&again), again.degraded),
        (vec!["Near", "Far", "None"], false),
        "{}",
        again.degraded_reason
    );
    assert_eq!((again.reranker.as_str(), again.hits[0].rerank_rank), ("tei/ranker", Some(1)));
    served.join().expect("one call was answered");

    let gone = ask(search.clone()).await;
    assert_eq!((titles(&gone), gone.degraded, gone.reranker.as_str()), (titles(&plain), true, ""));
    assert!(gone.degraded_reason.contains("not reranked"), "{}", gone.degraded_reason);
    let unknown = RerankOptions { model: "nobody/knows".to_owned(), candidates: 0 };
    let unknown = ask(SearchRequest { rerank: Some(unknown), ..search }).await;
    assert!(
        unknown.degraded && unknown.degraded_reason.contains("nobody/knows"),
        "{}",
        unknown.degraded_reason
    );
    house.mesh.stop().await;
}
