//! A knowledge base changes its embedder while it is searched and written to.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see the cases as tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::letters::{Model, embedders};
use crate::common::{Bench, Tenant, benches_of, doc, parts, request, rows};
use copydesk_proto::retrieval::v1::{
    CancelReembeddingRequest, KnowledgeBase, ReembedKnowledgeBaseRequest, Reembedding, SearchMode,
};
use copydesk_proto::types::v1::SourceKind;
use copydesk_retrieval::adapters::MIGRATOR;
use copydesk_retrieval::ports::EmbedError;
use copydesk_retrieval::{Config, Embedding, assemble_with};
use copydesk_rpc::testing;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

fn post(key: &str, text: &str) -> crate::common::Doc {
    doc(key, SourceKind::Post, text)
}

/// Two models of the same width whose vectors must never meet.
fn two() -> [Arc<Model>; 2] {
    [Model::new("test/old", 26, 0), Model::new("test/new", 26, 9)]
}

async fn reembed(
    tenant: &Tenant,
    request_id: &str,
    base: &str,
    to: &str,
) -> Result<Option<Reembedding>, Status> {
    let request = ReembedKnowledgeBaseRequest {
        request_id: request_id.into(),
        knowledge_base_id: base.into(),
        embedder: to.into(),
    };
    let answer = tenant.run(tenant.knowledge().reembed_knowledge_base(request)).await?;
    Ok(answer.into_inner().reembedding)
}

async fn cancel(tenant: &Tenant, base: &str) -> Result<(), Status> {
    let request = CancelReembeddingRequest { knowledge_base_id: base.into() };
    tenant.run(tenant.knowledge().cancel_reembedding(request)).await.map(|_| ())
}

/// The knowledge base as soon as it is so.
async fn when(tenant: &Tenant, base: &str, so: impl Fn(&KnowledgeBase) -> bool) -> KnowledgeBase {
    loop {
        let found = tenant.base(base).await;
        if so(&found) {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn over(base: &KnowledgeBase) -> bool {
    base.reembedding.is_none()
}

/// The cosine of the document that has the query's letters, and nothing else would give: 1 within one embedder.
async fn cosine(tenant: &Tenant, base: &str, query: &str) -> f64 {
    let answer = tenant.search_with(request(&[base], query, 20)).await.unwrap();
    assert_eq!((answer.mode(), answer.degraded), (SearchMode::Hybrid, false), "{}", answer.degraded_reason);
    answer.hits.iter().filter_map(|hit| hit.dense_score).fold(f64::MIN, f64::max)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn titles_are_embedded_anew_too() {
    let models = two();
    let [_, new] = &models;
    for bench in benches_of(Config::default(), embedders(&models), None).await {
        let tenant = bench.tenant(1);
        let base = tenant.new_base_with("words", "none").await.unwrap().knowledge_base_id;
        let titled = |key: &str, title: &str| {
            let mut doc = post(key, "the badger");
            doc.start.title = title.into();
            doc
        };
        let docs = [titled("a", "Night"), titled("b", "Night"), titled("c", "c")];
        tenant.ingest("1", &base, &docs).await;
        new.documents();
        new.hold(1);
        reembed(&tenant, "r", &base, "new").await.unwrap();
        when(&tenant, &base, |base| base.reembedding.as_ref().unwrap().chunks_done >= 1).await;
        // A title that changes while vectors are made, with or without the one of the document's old title.
        tenant.ingest("2", &base, &[titled("a", "Day"), titled("b", "Day")]).await;
        new.open();
        when(&tenant, &base, over).await;
        for (query, documents) in [("Day the badger", 2), ("the badger", 1)] {
            let answer = tenant.search_with(request(&[&base], query, 20)).await.unwrap();
            let same = answer.hits.iter().filter(|hit| hit.dense_score.is_some_and(|score| score > 0.999));
            assert_eq!(same.count(), documents, "{query} on {}", bench.name);
        }
        new.documents();
        tenant.ingest("3", &base, &[titled("d", "Day"), titled("e", "e")]).await;
        assert_eq!(new.documents(), Vec::<String>::new(), "their vectors are stored");
        bench.database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn searches_answer_from_the_old_vectors_until_all_have_new_ones() {
    let models = two();
    let [_, new] = &models;
    for bench in benches_of(Config::default(), embedders(&models), None).await {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("company").await.knowledge_base_id;
        let docs = ["a", "b", "c"].map(|key| post(key, &format!("the badger of {key}")));
        tenant.ingest("1", &base, &docs).await;
        let before = tenant.base(&base).await;
        new.hold(1);
        let started = reembed(&tenant, "r", &base, "new").await.unwrap().unwrap();
        assert_eq!(
            (started.embedder.as_str(), started.dimensions, started.chunks_total),
            ("test/new", 26, 3)
        );
        let half = when(&tenant, &base, |base| base.reembedding.as_ref().unwrap().chunks_done == 1).await;
        assert_eq!((half.embedder.as_str(), half.version), ("test/old", before.version), "on {}", bench.name);
        assert!(cosine(&tenant, &base, "gebdra the of a").await > 0.999);
        assert_eq!(
            reembed(&tenant, "r", &base, "new").await.unwrap().unwrap().start_time,
            started.start_time
        );
        assert_eq!(reembed(&tenant, "r", &base, "none").await.unwrap_err().code(), Code::AlreadyExists);
        assert_eq!(reembed(&tenant, "s", &base, "new").await.unwrap_err().code(), Code::FailedPrecondition);

        // What comes, changes and goes meanwhile.
        let ended =
            tenant.ingest("2", &base, &[post("d", "a late zebra"), post("a", "quite other words")]).await;
        assert_eq!(ended.documents_done, 2);
        assert!(cosine(&tenant, &base, "a late zebra").await > 0.999);
        let gone = tenant.documents(&base).await.into_iter().find(|document| document.key == "b").unwrap();
        let request = copydesk_proto::retrieval::v1::DeleteDocumentRequest { document_id: gone.document_id };
        tenant.run(tenant.knowledge().delete_document(request)).await.unwrap();

        new.open();
        let after = when(&tenant, &base, over).await;
        assert_eq!((after.embedder.as_str(), after.dimensions, after.chunk_count), ("test/new", 26, 3));
        assert!(after.version > half.version + 2);
        for query in ["a late zebra", "quite other words", "the badger of c"] {
            assert!(cosine(&tenant, &base, query).await > 0.999, "{query} on {}", bench.name);
        }
        assert_eq!(reembed(&tenant, "r", &base, "new").await.unwrap(), None, "over, and not begun again");
        for table in ["new_vector", "reembedding", "kept_vector"] {
            assert_eq!(rows(&bench.database, table).await, 0, "{table}");
        }
        tenant.ingest("3", &base, &[post("e", "the next zebra")]).await;
        assert!(cosine(&tenant, &base, "the next zebra").await > 0.999);
        bench.database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_search_and_no_document_ever_mixes_two_embedders() {
    let models = two();
    for bench in benches_of(Config::default(), embedders(&models), None).await {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("company").await.knowledge_base_id;
        let docs: Vec<_> =
            (0..6).map(|at| post(&format!("{at}"), &format!("the badger number {at}"))).collect();
        tenant.ingest("1", &base, &docs).await;
        let stop = Arc::new(AtomicBool::new(false));
        let searching = (0..2).map(|_| {
            let (tenant, base, stop) = (tenant.clone(), base.clone(), stop.clone());
            tokio::spawn(async move {
                let mut lowest = f64::MAX;
                while !stop.load(Ordering::SeqCst) {
                    let answer =
                        tenant.search_with(request(&[&base], "the badger number", 20)).await.unwrap();
                    let best = answer.hits.iter().filter_map(|hit| hit.dense_score).fold(f64::MIN, f64::max);
                    // A search that met three changes answers by words.
                    lowest = if answer.degraded { lowest } else { lowest.min(best) };
                }
                lowest
            })
        });
        let searching: Vec<_> = searching.collect();
        for turn in 0..4 {
            let to = if turn % 2 == 0 { "new" } else { "old" };
            reembed(&tenant, &format!("{turn}"), &base, to).await.unwrap();
            let late = format!("late {turn}");
            tenant.ingest(&late, &base, &[post("late", &late)]).await;
            when(&tenant, &base, over).await;
            assert!(cosine(&tenant, &base, &format!("late {turn}")).await > 0.999, "on {}", bench.name);
        }
        stop.store(true, Ordering::SeqCst);
        for search in searching {
            let lowest = search.await.unwrap();
            assert!(
                lowest > 0.999,
                "a query met the vectors of another embedder: {lowest} on {}",
                bench.name
            );
        }
        bench.database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_one_leaves_everything_as_it_was() {
    let models = two();
    let [_, new] = &models;
    for bench in benches_of(Config::default(), embedders(&models), None).await {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("company").await.knowledge_base_id;
        tenant.ingest("1", &base, &[post("a", "the badger"), post("b", "the zebra")]).await;
        let before = tenant.base(&base).await;
        assert_eq!(cancel(&tenant, &base).await.unwrap_err().code(), Code::NotFound);
        new.hold(1);
        reembed(&tenant, "r", &base, "new").await.unwrap();
        when(&tenant, &base, |base| base.reembedding.as_ref().unwrap().chunks_done == 1).await;
        assert_eq!(cancel(&bench.tenant(2), &base).await.unwrap_err().code(), Code::NotFound);
        cancel(&tenant, &base).await.unwrap();
        new.open();
        assert_eq!(tenant.base(&base).await, before);
        // What was under way is refused when it comes.
        reembed(&tenant, "s", &base, "none").await.unwrap();
        let after = when(&tenant, &base, over).await;
        assert_eq!((after.embedder.as_str(), after.dimensions), ("", 0), "on {}", bench.name);
        assert_eq!(rows(&bench.database, "new_vector").await, 0);
        let answer = tenant.search_with(request(&[&base], "badger", 5)).await.unwrap();
        assert_eq!((answer.mode(), answer.degraded, answer.hits.len()), (SearchMode::Lexical, false, 1));
        reembed(&tenant, "t", &base, "new").await.unwrap();
        assert_eq!(when(&tenant, &base, over).await.embedder, "test/new");
        assert!(cosine(&tenant, &base, "the zebra").await > 0.999);
        bench.database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_embedder_is_told_and_a_width_may_change() {
    let models = [Model::new("test/old", 26, 0), Model::new("test/new", 11, 4)];
    let config = Config { embedding: Embedding { attempts: 1, ..Embedding::default() }, ..Config::default() };
    for bench in benches_of(config, embedders(&models), None).await {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("company").await.knowledge_base_id;
        tenant.ingest("1", &base, &[post("a", "the badger"), post("b", "the zebra")]).await;
        assert!(cosine(&tenant, &base, "the zebra").await > 0.999);
        models[1].break_with(Some(EmbedError::fault("out of order")));
        reembed(&tenant, "r", &base, "new").await.unwrap();
        let told = when(&tenant, &base, |base| !base.reembedding.as_ref().unwrap().error.is_empty()).await;
        let error = told.reembedding.unwrap().error;
        assert!(error.contains("EMBEDDER_FAILED") && error.contains("out of order"), "{error}");
        assert!(cosine(&tenant, &base, "the zebra").await > 0.999, "the old vectors answer");
        cancel(&tenant, &base).await.unwrap();
        models[1].break_with(None);
        reembed(&tenant, "s", &base, "new").await.unwrap();
        assert_eq!(when(&tenant, &base, over).await.dimensions, 11);
        let answer = tenant.search_with(request(&[&base], "the zebra", 20)).await.unwrap();
        let dense = answer.hits.iter().filter(|hit| hit.dense_score.is_some()).count();
        assert_eq!((answer.mode(), dense), (SearchMode::Hybrid, 2), "on {}", bench.name);
        bench.database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_a_process_left_half_way_is_finished_by_the_next() {
    let models = two();
    let [_, new] = &models;
    // On a file the next process takes the lease back; on a shared server it waits for its end.
    let database = copydesk_store::testing::sqlite(&MIGRATOR).await;
    let begin = |stop: &CancellationToken, models: &[Arc<Model>]| {
        let context = testing::context(&std::env::temp_dir());
        let service =
            assemble_with(Config::default(), database.clone(), context, embedders(models), None, None);
        let stack = testing::stack_until(service, stop.clone());
        let channel = copydesk_rpc::Channel::local("retrieval", stack, testing::metrics());
        Bench { name: "sqlite", channel, database: database.clone() }
    };
    let stop = CancellationToken::new();
    let tenant = begin(&stop, &models).tenant(1);
    let base = tenant.new_base("company").await.knowledge_base_id;
    let docs: Vec<_> = (0..5).map(|at| post(&format!("{at}"), &format!("the badger number {at}"))).collect();
    let ingestion = tenant.send(parts("1", &base, &docs)).await.unwrap();
    tenant.watched(&ingestion.ingestion_id).await;
    new.hold(2);
    reembed(&tenant, "r", &base, "new").await.unwrap();
    when(&tenant, &base, |base| base.reembedding.as_ref().unwrap().chunks_done == 2).await;
    stop.cancel();
    // The first process stays held where it is.
    let models = two();
    let tenant = begin(&CancellationToken::new(), &models).tenant(1);
    let after = when(&tenant, &base, over).await;
    assert_eq!(after.embedder, "test/new");
    let again = models[1].documents().len();
    assert_eq!(again, 3, "what was embedded before is not embedded again");
    assert!(cosine(&tenant, &base, "the badger number").await > 0.9);
    database.close().await;
}
