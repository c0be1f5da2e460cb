//! Ingest, search, cite, forget: the service as a caller sees it, on every transport and database.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see the cases as tests")]

use crate::common::{Bench, Doc, benches, benches_with, doc, parts, request, rows, thirty};
use copydesk_proto::retrieval::v1::{
    CreateKnowledgeBaseRequest, DeleteDocumentRequest, DeleteKnowledgeBaseRequest, GetPassageRequest,
    IngestionState, SearchMode, SearchRequest,
};
use copydesk_proto::types::v1::{ContentType, SourceKind};
use copydesk_retrieval::{Config, IndexConfig};
use tonic::Code;

macro_rules! on_every_bench {
    ($($name:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            for bench in benches().await {
                println!("on {}", bench.name);
                cases::$name(&bench).await;
                bench.database.close().await;
            }
        }
    )*};
}

on_every_bench! {
    thirty_documents_are_found_and_cited_exactly
    the_same_bytes_again_change_nothing_and_new_bytes_replace_only_themselves
    identical_documents_are_deleted_apart_and_at_once
    a_deleted_knowledge_base_takes_everything_along
    filters_hold_and_give_k_results_when_k_exist
    equal_scores_are_ordered_by_passage
    several_knowledge_bases_are_ranked_together
    a_request_id_gives_the_same_thing_again
    a_watch_shows_progress_and_ends_with_the_end
    a_document_without_text_fails_alone
}

mod cases {
    use super::*;

    pub async fn thirty_documents_are_found_and_cited_exactly(bench: &Bench) {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("company").await.knowledge_base_id;
        let ingestion = tenant.ingest("r1", &base, &thirty()).await;
        assert_eq!(ingestion.state(), IngestionState::Succeeded, "{ingestion:?}");
        assert_eq!((ingestion.documents_total, ingestion.documents_done), (30, 30));
        let found = tenant.base(&base).await;
        assert_eq!((found.document_count, found.chunk_count), (30, u64::from(ingestion.chunks_written)));

        let answer =
            tenant.search_with(request(&[&base], "What does a walnut cost a month?", 0)).await.unwrap();
        assert_eq!((answer.mode(), answer.degraded), (SearchMode::Lexical, false));
        assert_eq!(answer.hits.len(), 5, "blog is the default");
        let hit = &answer.hits[0];
        let passage = hit.passage.clone().unwrap();
        assert_eq!((passage.title.as_str(), passage.document_version), ("About the walnut", 1));
        let document = tenant.document(&passage.document_id).await.unwrap();
        let span = passage.span.unwrap();
        assert_eq!(
            &document.text.as_bytes()[span.start as usize..span.end as usize],
            passage.text.as_bytes()
        );
        let matched = hit.matched.unwrap();
        assert!(span.start <= matched.start && matched.end <= span.end);
        assert!(document.text[matched.start as usize..matched.end as usize].contains("walnut"));
        assert!(!passage.text.contains("author: nobody"), "front matter is not indexed");
        assert_eq!((hit.lexical_rank, hit.dense_rank), (Some(1), None));
        assert_eq!((hit.fused_score, hit.lexical_normal, hit.weight), (1.0, Some(1.0), 1.0));
        assert!(answer.hits.iter().all(|hit| hit.fused_score == hit.passage.as_ref().unwrap().score));
        assert!(answer.hits.is_sorted_by(|a, b| a.lexical_score >= b.lexical_score));

        let again = GetPassageRequest { passage_id: passage.passage_id.clone() };
        let again =
            tenant.run(tenant.searches().get_passage(again)).await.unwrap().into_inner().passage.unwrap();
        assert_eq!(again, copydesk_proto::types::v1::Passage { score: 0.0, ..passage });
        let social =
            SearchRequest { content_type: ContentType::Social.into(), ..request(&[&base], "cold van", 0) };
        assert_eq!(tenant.search_with(social).await.unwrap().hits.len(), 3);
        assert!(tenant.search(&base, "zygote", 5).await.is_empty());
    }

    pub async fn the_same_bytes_again_change_nothing_and_new_bytes_replace_only_themselves(bench: &Bench) {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("company").await.knowledge_base_id;
        let mut docs = thirty();
        tenant.ingest("r1", &base, &docs).await;
        let (before, documents) = (tenant.base(&base).await, tenant.documents(&base).await);
        let old = tenant.search(&base, "walnut", 5).await[0].passage.clone().unwrap();
        let kept = tenant.search(&base, "yacht", 5).await;

        let same = tenant.ingest("r2", &base, &docs).await;
        assert_eq!((same.documents_done, same.documents_unchanged, same.chunks_written), (0, 30, 0));
        assert_eq!((tenant.base(&base).await, tenant.documents(&base).await), (before.clone(), documents));

        let at = docs.iter().position(|doc| doc.start.key.contains("walnut")).unwrap();
        docs[at] = doc("docs/walnut.md", SourceKind::Product, "# Walnut\n\nA walnut is now a gorilla.");
        let changed = tenant.ingest("r3", &base, &docs).await;
        assert_eq!((changed.documents_done, changed.documents_unchanged), (1, 29));
        let found = tenant.search(&base, "gorilla", 5).await;
        let new = found[0].passage.clone().unwrap();
        assert_eq!((new.document_id, new.document_version), (old.document_id, 2));
        assert_eq!(tenant.search(&base, "yacht", 5).await.len(), kept.len());
        let passage =
            |hit: &copydesk_proto::retrieval::v1::SearchHit| hit.passage.clone().unwrap().passage_id;
        assert_eq!(
            passage(&tenant.search(&base, "yacht", 5).await[0]),
            passage(&kept[0]),
            "others keep their ids"
        );
        let gone = GetPassageRequest { passage_id: old.passage_id };
        assert_eq!(tenant.run(tenant.searches().get_passage(gone)).await.unwrap_err().code(), Code::NotFound);
        let after = tenant.base(&base).await;
        assert_eq!((after.document_count, after.version), (30, before.version + 1));
        assert_eq!(after.chunk_count, rows(&bench.database, "chunk").await as u64);
    }

    pub async fn identical_documents_are_deleted_apart_and_at_once(bench: &Bench) {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("twins").await.knowledge_base_id;
        let text = "# Twin\n\nThe only text about a platypus.";
        tenant
            .ingest("r", &base, &[doc("a", SourceKind::Issue, text), doc("b", SourceKind::Issue, text)])
            .await;
        let hits = tenant.search(&base, "platypus", 5).await;
        assert_eq!(hits.len(), 2);
        let (first, second) = (hits[0].passage.clone().unwrap(), hits[1].passage.clone().unwrap());
        for (gone, left) in [(&first, vec![second.passage_id.clone()]), (&second, vec![])] {
            let delete = DeleteDocumentRequest { document_id: gone.document_id.clone() };
            tenant.run(tenant.knowledge().delete_document(delete.clone())).await.unwrap();
            let hits = tenant.search(&base, "platypus", 5).await;
            let ids: Vec<String> = hits.into_iter().map(|hit| hit.passage.unwrap().passage_id).collect();
            assert_eq!(ids, left);
            let again = tenant.run(tenant.knowledge().delete_document(delete)).await.unwrap_err();
            assert_eq!(again.code(), Code::NotFound);
            let passage = GetPassageRequest { passage_id: gone.passage_id.clone() };
            let passage = tenant.run(tenant.searches().get_passage(passage)).await.unwrap_err();
            assert_eq!(passage.code(), Code::NotFound);
        }
        let base = tenant.base(&base).await;
        assert_eq!((base.document_count, base.chunk_count), (0, 0));
        for table in ["document", "document_text", "passage", "chunk", "ingestion_item"] {
            assert_eq!(rows(&bench.database, table).await, 0, "{table}");
        }
    }

    pub async fn a_deleted_knowledge_base_takes_everything_along(bench: &Bench) {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("company").await.knowledge_base_id;
        let ingestion = tenant.ingest("r", &base, &thirty()).await;
        assert!(!tenant.search(&base, "walnut", 5).await.is_empty());
        let delete = DeleteKnowledgeBaseRequest { knowledge_base_id: base.clone() };
        tenant.run(tenant.knowledge().delete_knowledge_base(delete.clone())).await.unwrap();
        let searched = tenant.search_with(request(&[&base], "walnut", 5)).await.unwrap_err();
        assert_eq!(searched.code(), Code::NotFound);
        let again = tenant.run(tenant.knowledge().delete_knowledge_base(delete)).await.unwrap_err();
        assert_eq!(again.code(), Code::NotFound);
        let id = ingestion.ingestion_id;
        let watched = copydesk_proto::retrieval::v1::WatchIngestionRequest { ingestion_id: id };
        let watched = tenant.run(tenant.ingestions().watch_ingestion(watched)).await;
        assert_eq!(watched.map(|_| ()).unwrap_err().code(), Code::NotFound);
        for table in ["knowledge_base", "document", "document_text", "passage", "chunk", "document_change"] {
            assert_eq!(rows(&bench.database, table).await, 0, "{table}");
        }
        for table in ["ingestion", "ingestion_item", "request"] {
            assert_eq!(rows(&bench.database, table).await, 0, "{table}");
        }
        assert_ne!(tenant.new_base("company").await.knowledge_base_id, base, "its request id is free again");
    }

    pub async fn filters_hold_and_give_k_results_when_k_exist(bench: &Bench) {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("company").await.knowledge_base_id;
        tenant.ingest("r", &base, &thirty()).await;
        let kinds = |hits: &[copydesk_proto::retrieval::v1::SearchHit]| -> Vec<SourceKind> {
            hits.iter().map(|hit| hit.passage.as_ref().unwrap().source_kind()).collect()
        };
        let plain = request(&[&base], "the cold van carries one on every tour", 7);
        let only = SearchRequest { source_kinds: vec![SourceKind::Post.into()], ..plain.clone() };
        assert_eq!(kinds(&tenant.search_with(only).await.unwrap().hits), [SourceKind::Post; 7]);
        let never = [SourceKind::Document, SourceKind::Product, SourceKind::Post].map(i32::from).to_vec();
        let without = SearchRequest { exclude_source_kinds: never.clone(), ..plain.clone() };
        assert_eq!(kinds(&tenant.search_with(without).await.unwrap().hits), [SourceKind::Issue; 7]);
        let nothing = SearchRequest { source_kinds: never.clone(), exclude_source_kinds: never, ..plain };
        assert!(tenant.search_with(nothing).await.unwrap().hits.is_empty());
    }

    pub async fn equal_scores_are_ordered_by_passage(bench: &Bench) {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("ties").await.knowledge_base_id;
        let docs: Vec<Doc> =
            (0..12).map(|at| doc(&format!("{at}"), SourceKind::Post, "# Same\n\nOne okapi each.")).collect();
        tenant.ingest("r", &base, &docs).await;
        let ids = |hits: Vec<copydesk_proto::retrieval::v1::SearchHit>| -> Vec<String> {
            hits.into_iter().map(|hit| hit.passage.unwrap().passage_id).collect()
        };
        let all = ids(tenant.search(&base, "okapi", 12).await);
        assert_eq!(all.len(), 12);
        assert!(all.is_sorted(), "{all:?}");
        assert_eq!(ids(tenant.search(&base, "okapi", 4).await), all[..4]);
    }

    pub async fn several_knowledge_bases_are_ranked_together(bench: &Bench) {
        let tenant = bench.tenant(1);
        let one = tenant.new_base("one").await.knowledge_base_id;
        let two = tenant.new_base("two").await.knowledge_base_id;
        tenant
            .ingest("r1", &one, &[doc("a", SourceKind::Post, "Lemur, briefly mentioned among other words.")])
            .await;
        tenant.ingest("r2", &two, &[doc("b", SourceKind::Post, "Lemur lemur lemur.")]).await;
        let hits = tenant.search_with(request(&[&one, &two, &one], "lemur", 5)).await.unwrap().hits;
        let titles: Vec<String> = hits.into_iter().map(|hit| hit.passage.unwrap().title).collect();
        assert_eq!(titles, ["b", "a"], "without a heading the key is the title");
    }

    pub async fn a_request_id_gives_the_same_thing_again(bench: &Bench) {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("company").await;
        assert_eq!(tenant.new_base("company").await, base);
        let other = CreateKnowledgeBaseRequest {
            request_id: "make company".into(),
            name: "other".into(),
            ..Default::default()
        };
        let refused = tenant.run(tenant.knowledge().create_knowledge_base(other)).await.unwrap_err();
        assert_eq!(refused.code(), Code::AlreadyExists);

        let base = base.knowledge_base_id;
        let docs = [doc("a", SourceKind::Post, "One heron."), doc("b", SourceKind::Post, "Two herons.")];
        let first = tenant.ingest("r", &base, &docs).await;
        let again = tenant.send(parts("r", &base, &docs)).await.unwrap();
        assert_eq!(again, first, "the same ingestion, as it is now");
        for other in [vec![docs[0].clone()], vec![docs[1].clone(), docs[0].clone()]] {
            let refused = tenant.send(parts("r", &base, &other)).await.unwrap_err();
            assert_eq!(refused.code(), Code::AlreadyExists);
        }
        assert_eq!(rows(&bench.database, "ingestion").await, 1);
        assert_eq!(rows(&bench.database, "ingestion_item").await, 2, "what became of each");

        let (left, right) =
            tokio::join!(tenant.send(parts("both", &base, &docs)), tenant.send(parts("both", &base, &docs)),);
        assert_eq!(left.unwrap().ingestion_id, right.unwrap().ingestion_id);
    }

    pub async fn a_watch_shows_progress_and_ends_with_the_end(bench: &Bench) {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("company").await.knowledge_base_id;
        let stored = tenant.send(parts("r", &base, &thirty())).await.unwrap();
        assert_eq!((stored.state(), stored.documents_total), (IngestionState::Queued, 30));
        let (left, right) =
            tokio::join!(tenant.watch(&stored.ingestion_id), tenant.watch(&stored.ingestion_id));
        for changes in [left, right] {
            assert!(changes.windows(2).all(|pair| pair[0] != pair[1]), "each change once");
            let states: Vec<_> = changes.into_iter().map(|change| change.ingestion.unwrap()).collect();
            assert!(states.is_sorted_by_key(|state| (state.documents_done, state.state)));
            let last = states.last().unwrap();
            assert_eq!((last.state(), last.documents_done), (IngestionState::Succeeded, 30));
            assert!(last.finish_time.is_some());
        }
    }

    pub async fn a_document_without_text_fails_alone(bench: &Bench) {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("company").await.knowledge_base_id;
        let docs = [
            doc("empty", SourceKind::Post, ""),
            doc("front", SourceKind::Post, "---\na: b\n---\n"),
            doc("good", SourceKind::Post, "A single ocelot."),
        ];
        let ended = tenant.ingest("r", &base, &docs).await;
        assert_eq!((ended.state(), ended.documents_done), (IngestionState::Failed, 1));
        let failures: Vec<_> = ended.failures.iter().map(|f| (f.key.as_str(), f.reason.as_str())).collect();
        assert_eq!(failures, [("empty", "EMPTY"), ("front", "EMPTY")]);
        assert_eq!(tenant.search(&base, "ocelot", 5).await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn few_indexes_in_memory_serve_many_knowledge_bases() {
    for bench in benches_with(
        Config { index: IndexConfig { memory_bytes: 1, ..IndexConfig::default() }, ..Config::default() },
        None,
    )
    .await
    {
        let tenant = bench.tenant(1);
        let mut bases = Vec::new();
        for word in ["mole", "vole", "shrew"] {
            let base = tenant.new_base(word).await.knowledge_base_id;
            tenant.ingest(word, &base, &[doc("a", SourceKind::Post, format!("One {word}."))]).await;
            bases.push((word, base));
        }
        for (word, base) in bases.iter().chain(&bases) {
            assert_eq!(tenant.search(base, word, 5).await.len(), 1);
        }
        let all: Vec<&str> = bases.iter().map(|(_, base)| base.as_str()).collect();
        assert_eq!(tenant.search_with(request(&all, "mole, vole and shrew", 5)).await.unwrap().hits.len(), 3);
        bench.database.close().await;
    }
}
