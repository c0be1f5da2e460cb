//! What a search says when the server is not there, is busy, is late, or is not what it should be. It never hangs.

use std::time::Duration;

use copydesk_proto::retrieval::v1::{SearchMode, SearchRequest};
use copydesk_retrieval::QdrantConfig;
use copydesk_retrieval::ports::IndexError;
use copydesk_rpc::CallContext;
use copydesk_store::Database;
use copydesk_types::Secret;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::common::letters::{Model, embedders};
use crate::common::{Tenant, request};
use crate::double::{Act, Double};
use crate::library::library;
use crate::pair::{Pair, double, ends};
use crate::writers::Shelf;

async fn database() -> Database {
    copydesk_store::testing::sqlite(&copydesk_retrieval::adapters::MIGRATOR).await
}

/// A pair whose index server holds a library.
async fn stocked(change: impl Fn(QdrantConfig) -> QdrantConfig) -> (Pair, String) {
    let mut place = double();
    place.config = change(place.config);
    let pair = Pair::new(place, database().await, embedders(&[Model::new("test/old", 26, 0)])).await;
    let two = pair.tenant(1);
    let base = two.embedded.new_base("company").await.knowledge_base_id;
    two.embedded.ingest("r", &base, &library("a", 10, 1)).await;
    ends(two.search(request(&[&base], "cold van", 9))).await;
    (pair, base)
}

/// A follower that does not come, so that only searches call.
fn alone(config: QdrantConfig) -> QdrantConfig {
    QdrantConfig { follow_ms: 600_000, ..config }
}

fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

/// A search that has so long.
async fn within(tenant: &Tenant, time: Duration, search: SearchRequest) -> Result<(), Status> {
    let deadline = tokio::time::Instant::now() + time;
    let search = SearchRequest { skip_cache: true, ..search };
    let call = async {
        let context = CallContext::current().with_deadline(Some(deadline));
        context.scope(tenant.searches().search(search)).await
    };
    ends(tenant.run(call)).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passes_is_asked_again() {
    for code in [Code::Unavailable, Code::ResourceExhausted, Code::DeadlineExceeded, Code::Aborted] {
        let (pair, base) = stocked(alone).await;
        let (two, double) = (pair.tenant(1), pair.place.double.clone().unwrap());
        double.on("query_words", 0, 2, Act::Fail(code));
        double.on("count", 1, 2, Act::Fail(code));
        ends(two.search(request(&[&base], "walnut oil", 9))).await;
        double.on("update_batch", 0, 3, Act::Fail(code));
        double.on("get", 0, 1, Act::DoneThenFail(code));
        two.embedded.ingest("r2", &base, &library("b", 4, 2)).await;
        ends(two.search(request(&[&base], "walnut oil", 9))).await;
        pair.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break_are_made_again() {
    for (method, act) in
        [("update_batch", Act::Cut), ("update_batch", Act::DoneThenCut), ("query_words", Act::Cut)]
    {
        let (pair, base) = stocked(alone).await;
        let (two, double) = (pair.tenant(1), pair.place.double.clone().unwrap());
        two.embedded.ingest("r2", &base, &library("b", 6, 2)).await;
        double.on(method, 1, 1, act);
        double.on(method, 0, 1, act);
        ends(two.search(request(&[&base], "walnut oil", 9))).await;
        pair.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_answer_is_an_error_in_time() {
    let (pair, base) = stocked(alone).await;
    let (two, double) = (pair.tenant(1), pair.place.double.clone().unwrap());
    for act in [Act::Hang, Act::Fail(Code::Unavailable), Act::Slow(Duration::from_secs(60))] {
        double.on("", 0, 1_000, act);
        let search = request(&[&base], "van of the harbour", 9);
        let failed = within(&two.qdrant, Duration::from_millis(900), search).await.unwrap_err();
        assert_eq!(
            (failed.code(), reason(&failed).as_str()),
            (Code::Unavailable, "INDEX_UNAVAILABLE"),
            "{act:?}"
        );
        assert!(failed.get_error_details().retry_info().is_some());
        assert!(!failed.message().contains("127.0.0.1"), "{}", failed.message());
        double.calm();
        ends(two.search(request(&[&base], "van of the harbour", 9))).await;
    }
    pair.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dense_leg_that_fails_leaves_the_words_and_is_admitted() {
    let quick = |config| QdrantConfig { attempts: 1, search_timeout_ms: 200, ..alone(config) };
    let (pair, base) = stocked(quick).await;
    let (two, double) = (pair.tenant(1), pair.place.double.clone().unwrap());
    for act in [Act::Fail(Code::Unavailable), Act::Hang, Act::Fail(Code::InvalidArgument)] {
        double.on("query_vectors", 0, 1_000, act);
        let search = SearchRequest { skip_cache: true, ..request(&[&base], "cold van", 9) };
        let found = ends(two.qdrant.search_with(search)).await.unwrap();
        assert_eq!((found.mode(), found.degraded), (SearchMode::Lexical, true), "{act:?}");
        assert!(found.degraded_reason.contains("by meaning"), "{}", found.degraded_reason);
        assert!(!found.hits.is_empty());
        double.calm();
        let whole = ends(two.search(request(&[&base], "cold van", 9))).await;
        assert_eq!(whole.mode(), SearchMode::Hybrid, "a degraded answer is not kept");
    }
    pair.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_there_and_a_wrong_key_are_told_apart() {
    let shelf = Shelf::new().await;
    shelf.ingest(&library("a", 2, 1)).await;
    // Bound and not listening: the port is ours, and connecting to it is refused.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nobody = socket.local_addr().unwrap();
    let config = QdrantConfig { url: format!("http://{nobody}"), ..shelf.config.clone() };
    let failed = ends(shelf.search(&shelf.index_with(config))).await.unwrap_err();
    assert!(matches!(failed, IndexError::Unavailable(..)), "{failed:?}");
    for key in [None, Some(Secret::new("wrong"))] {
        let config = QdrantConfig { api_key: key, ..shelf.config.clone() };
        let failed = ends(shelf.search(&shelf.index_with(config))).await.unwrap_err();
        assert!(matches!(failed, IndexError::Unfit(..)), "{failed:?}");
        assert!(!format!("{failed:?}").contains("wrong"), "{failed:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_of_another_shape_is_refused() {
    // Found so.
    let shelf = Shelf::new().await;
    shelf.ingest(&library("a", 3, 1)).await;
    ends(shelf.agrees(&shelf.index())).await;
    let spoil = |double: &Double| {
        double.engine(|engine| {
            engine.collections.values_mut().for_each(|one| {
                one.dense.insert("d26".into(), 13);
            });
        });
    };
    spoil(&shelf.double);
    let failed = ends(shelf.search(&shelf.index())).await.unwrap_err();
    assert!(matches!(&failed, IndexError::Unfit(text) if text.contains("d26 have 13 values")), "{failed:?}");

    // Become so: what is written does not fit.
    let (pair, base) = stocked(alone).await;
    let (two, double) = (pair.tenant(1), pair.place.double.clone().unwrap());
    spoil(&double);
    two.embedded.ingest("r2", &base, &library("b", 2, 2)).await;
    let search = SearchRequest { skip_cache: true, ..request(&[&base], "cold van", 9) };
    let failed = ends(two.qdrant.search_with(search)).await.unwrap_err();
    assert_eq!((failed.code(), reason(&failed).as_str()), (Code::FailedPrecondition, "INDEX_UNFIT"));
    pair.end().await;
}
