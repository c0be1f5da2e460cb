//! The same ids in the same order with the same scores, whatever is asked and whatever happened before.

use std::time::Duration;

use copydesk_proto::retrieval::v1::{
    DeleteDocumentRequest, DeleteKnowledgeBaseRequest, FusionMethod, FusionOptions, MmrOptions,
    ReembedKnowledgeBaseRequest, SearchMode, SearchRequest, SourceQuota,
};
use copydesk_proto::types::v1::SourceKind;

use crate::common::letters::{Model, embedders};
use crate::common::{Tenant, doc, request};
use crate::library::{Dice, KINDS, document, library};
use crate::pair::{Pair, Two, agree, ends, pairs};

/// Searches by every way.
fn ways(bases: &[&str], query: &str) -> Vec<SearchRequest> {
    let plain = request(bases, query, 7);
    let quota =
        |kind: SourceKind| SourceQuota { source_kind: kind.into(), at_least: Some(2), at_most: Some(4) };
    let tokens =
        FusionOptions { sparse_weight: Some(4.0), dense_weight: Some(0.1), ..FusionOptions::default() };
    let rrf = FusionOptions { method: FusionMethod::Rrf.into(), ..FusionOptions::default() };
    vec![
        plain.clone(),
        SearchRequest { top_k: 50, ..plain.clone() },
        SearchRequest { fusion: Some(tokens), top_k: 40, ..plain.clone() },
        SearchRequest { mode: SearchMode::Lexical.into(), top_k: 30, ..plain.clone() },
        SearchRequest { fusion: Some(rrf), top_k: 20, ..plain.clone() },
        SearchRequest { mmr: Some(MmrOptions { lambda: 0.5 }), ..plain.clone() },
        SearchRequest { exact: true, ..plain.clone() },
        SearchRequest {
            source_kinds: vec![SourceKind::Issue.into(), SourceKind::Readme.into()],
            ..plain.clone()
        },
        SearchRequest { exclude_source_kinds: vec![SourceKind::Post.into()], top_k: 12, ..plain.clone() },
        SearchRequest { source_quotas: vec![quota(KINDS[0]), quota(KINDS[3])], top_k: 9, ..plain },
    ]
}

/// Asks both many things.
async fn asked(two: &Two, bases: &[&str], seed: u64) {
    Box::pin(all_asked(two, bases, seed)).await;
}

async fn all_asked(two: &Two, bases: &[&str], seed: u64) {
    let mut dice = Dice::new(seed);
    for length in [1, 20] {
        let query = dice.words(length);
        for (at, way) in ways(bases, &query).into_iter().enumerate() {
            let found = Box::pin(two.search(way.clone())).await;
            let passage = found.hits.last().and_then(|hit| hit.passage.clone());
            if let Some(passage) = passage.filter(|_| at == length % 4) {
                Box::pin(two.explain(&way, &passage.passage_id)).await;
            }
        }
    }
}

async fn delete(tenant: &Tenant, document_id: &str) {
    let request = DeleteDocumentRequest { document_id: document_id.to_owned() };
    tenant.run(tenant.knowledge().delete_document(request)).await.unwrap();
}

async fn reembed(tenant: &Tenant, base: &str, to: &str) {
    let request = ReembedKnowledgeBaseRequest {
        request_id: format!("to {to}"),
        knowledge_base_id: base.to_owned(),
        embedder: to.to_owned(),
    };
    tenant.run(tenant.knowledge().reembed_knowledge_base(request)).await.unwrap();
}

/// Until nothing of a change of embedder is left to do.
async fn over(tenant: &Tenant, base: &str) {
    while tenant.base(base).await.reembedding.is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn on_each(case: impl AsyncFn(&Pair)) {
    let models = [
        Model::weighing("test/old", 26, 0),
        Model::new("test/new", 26, 9),
        Model::weighing("test/wide", 31, 3),
    ];
    for pair in pairs(&embedders(&models)).await {
        println!("on {}", pair.place.name);
        ends(case(&pair)).await;
        pair.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_give_the_same_answers_through_every_change() {
    on_each(async |pair| {
        let two = pair.tenant(1);
        let one = two.embedded.new_base("one").await.knowledge_base_id;
        let other = two.embedded.new_base("other").await.knowledge_base_id;
        asked(&two, &[&one, &other], 1).await;
        two.embedded.ingest("r1", &one, &library("a", 24, 1)).await;
        two.embedded.ingest("r2", &other, &library("b", 12, 2)).await;
        asked(&two, &[&one], 2).await;
        asked(&two, &[&one, &other], 3).await;

        // Some change, some come, some are only said otherwise, some go.
        let mut docs: Vec<_> = (0..10).map(|at| document(&format!("a/{}", at * 2), 77 + at)).collect();
        docs.extend(library("c", 5, 4));
        two.embedded.ingest("r3", &one, &docs).await;
        asked(&two, &[&one], 4).await;
        docs.iter_mut().take(6).for_each(|doc| doc.start.title = "Lantern".into());
        two.embedded.ingest("r4", &one, &docs).await;
        asked(&two, &[&other, &one], 5).await;
        for document in two.embedded.documents(&one).await.iter().step_by(4) {
            delete(&two.embedded, &document.document_id).await;
        }
        asked(&two, &[&one], 6).await;
        assert!(!two.search(request(&[&one], "lantern", 5)).await.hits.is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_is_not_found_from_then_on() {
    on_each(async |pair| {
        let two = pair.tenant(1);
        let base = two.embedded.new_base("one").await.knowledge_base_id;
        let twins = ["a", "b"].map(|key| doc(key, SourceKind::Post, "The zeppelin lands at noon."));
        two.embedded.ingest("r", &base, &twins).await;
        let before = two.search(request(&[&base], "zeppelin", 9)).await;
        assert_eq!(before.hits.len(), 2);
        for left in [1, 0] {
            let gone = two.embedded.documents(&base).await.remove(0);
            delete(&two.qdrant, &gone.document_id).await;
            let found = two.search(request(&[&base], "zeppelin", 9)).await;
            assert_eq!(found.hits.len(), left);
        }
        two.embedded.ingest("r2", &base, &library("a", 4, 1)).await;
        two.search(request(&[&base], "van", 9)).await;
        let delete = DeleteKnowledgeBaseRequest { knowledge_base_id: base.clone() };
        two.qdrant.run(two.qdrant.knowledge().delete_knowledge_base(delete)).await.unwrap();
        if let Some(double) = &pair.place.double {
            while double.engine(|engine| engine.collections.values().any(|one| !one.points.is_empty())) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_tenant_moves_no_score() {
    on_each(async |pair| {
        let (two, other) = (pair.tenant(1), pair.tenant(2));
        let base = two.embedded.new_base("company").await.knowledge_base_id;
        two.embedded.ingest("r", &base, &library("a", 20, 1)).await;
        let questions = ["van", "a cold walnut costs", "zebra harbour bridge"];
        let mut before = Vec::new();
        for query in questions {
            before.push(two.search(request(&[&base], query, 20)).await);
        }
        let foreign = other.embedded.new_base("company").await.knowledge_base_id;
        other.embedded.ingest("r", &foreign, &library("a", 30, 5)).await;
        other.search(request(&[&foreign], "van", 20)).await;
        for (query, before) in questions.iter().zip(&before) {
            let after = two.search(request(&[&base], query, 20)).await;
            agree(before, &after, query);
            assert_eq!(before.hits, after.hits, "to the last digit");
        }
        let stolen = two.qdrant.search_with(request(&[&foreign], "van", 5)).await.unwrap_err();
        assert_eq!(stolen.code(), tonic::Code::NotFound);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_embedder_comes_at_once_or_not_at_all() {
    let models = [
        Model::weighing("test/old", 26, 0),
        Model::new("test/new", 26, 9),
        Model::weighing("test/wide", 31, 3),
    ];
    for pair in pairs(&embedders(&models)).await {
        ends(async {
            let two = pair.tenant(1);
            let base = two.embedded.new_base("company").await.knowledge_base_id;
            two.embedded.ingest("r", &base, &library("a", 12, 1)).await;
            asked(&two, &[&base], 1).await;
            for (name, model) in [("new", &models[1]), ("wide", &models[2])] {
                model.hold(3);
                reembed(&two.embedded, &base, name).await;
                asked(&two, &[&base], 2).await;
                model.open();
                over(&two.embedded, &base).await;
                let found = two.search(request(&[&base], "van", 9)).await;
                assert_eq!(found.embedder, format!("test/{name}"));
                asked(&two, &[&base], 3).await;
            }
        })
        .await;
        pair.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_starts_again_finds_everything_and_catches_up() {
    on_each(async |pair| {
        let two = pair.tenant(1);
        let base = two.embedded.new_base("company").await.knowledge_base_id;
        two.embedded.ingest("r", &base, &library("a", 12, 1)).await;
        asked(&two, &[&base], 1).await;
        let again = Two { embedded: two.embedded.clone(), qdrant: pair.restarted().tenant(1) };
        asked(&again, &[&base], 1).await;
        two.embedded.ingest("r2", &base, &library("b", 6, 9)).await;
        asked(&again, &[&base], 2).await;
        asked(&two, &[&base], 2).await;
        if let Some(double) = &pair.place.double {
            // Everything that the server held is lost.
            double.engine(|engine| (engine.collections.clear(), engine.aliases.clear()));
            asked(&again, &[&base], 3).await;
            asked(&two, &[&base], 3).await;
            let is_tenant = double.engine(|engine| {
                engine.collections.values().all(|collection| collection.indexes.get("tenant") == Some(&true))
            });
            assert!(is_tenant);
        }
    })
    .await;
}
