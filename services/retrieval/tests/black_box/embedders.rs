//! Which embedder a knowledge base has, what is embedded and what is not, and what happens when an embedder is gone.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see the cases as tests")]

use std::time::Duration;

use crate::common::letters::{Model, embedders};
use crate::common::{Bench, benches_of, doc, refusal, request, rows};
use copydesk_proto::retrieval::v1::{
    CreateKnowledgeBaseRequest, KnowledgeBaseKind, ListEmbeddersRequest, SearchMode,
};
use copydesk_proto::types::v1::SourceKind;
use copydesk_retrieval::ports::{EmbedCause, EmbedError};
use copydesk_retrieval::{Chunks, Config, Embedding, assemble_with};
use copydesk_rpc::testing;
use tonic::Code;

fn post(key: &str, text: &str) -> crate::common::Doc {
    doc(key, SourceKind::Post, text)
}

/// A paragraph that is a chunk of its own under [`small_chunks`].
fn paragraph(word: &str) -> String {
    format!("{word} is what this one line of a dozen plain words tells of\n\n")
}

fn small_chunks() -> Config {
    let chunks = Chunks { child: 16, parent_blog: 16, parent_social: 16, parent_ad: 16, overlap: 0 };
    Config { chunks, ..Config::default() }
}

/// The same rows under a service with other embedders.
fn again(bench: &Bench, models: &[std::sync::Arc<Model>]) -> Bench {
    let context = testing::context(&std::env::temp_dir());
    let service =
        assemble_with(Config::default(), bench.database.clone(), context, embedders(models), None, None);
    Bench { channel: testing::local(service), ..bench.clone() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_knowledge_base_gets_the_embedder_that_it_names() {
    let models = [Model::new("test/plain", 26, 0), Model::new("test/small", 7, 0)];
    for bench in benches_of(Config::default(), embedders(&models), None).await {
        let tenant = bench.tenant(1);
        let expected = [
            ("", "test/plain", 26),
            ("small", "test/small", 7),
            ("test/small", "test/small", 7),
            ("none", "", 0),
        ];
        for (named, id, dimensions) in expected {
            let base = tenant.new_base_with("base", named).await.unwrap();
            assert_eq!((base.embedder.as_str(), base.dimensions), (id, dimensions), "on {}", bench.name);
            assert_eq!(base.kind(), KnowledgeBaseKind::General);
            assert_eq!(tenant.base(&base.knowledge_base_id).await, base);
        }
        let unknown = tenant.new_base_with("base", "large").await.unwrap_err();
        assert_eq!(refusal(&unknown), (Code::InvalidArgument, vec!["embedder".to_owned()]));
        let code = CreateKnowledgeBaseRequest {
            request_id: "code".into(),
            name: "code".into(),
            kind: KnowledgeBaseKind::CodeRepository.into(),
            ..Default::default()
        };
        let made = tenant.run(tenant.knowledge().create_knowledge_base(code.clone())).await.unwrap();
        assert_eq!(made.into_inner().knowledge_base.unwrap().kind(), KnowledgeBaseKind::CodeRepository);
        let odd = CreateKnowledgeBaseRequest { kind: 99, ..code.clone() };
        let odd = tenant.run(tenant.knowledge().create_knowledge_base(odd)).await.unwrap_err();
        assert_eq!(refusal(&odd), (Code::InvalidArgument, vec!["kind".to_owned()]));
        let other = CreateKnowledgeBaseRequest { embedder: "small".into(), ..code };
        let other = tenant.run(tenant.knowledge().create_knowledge_base(other)).await.unwrap_err();
        assert_eq!(other.code(), Code::AlreadyExists, "the embedder is part of the request");

        let list = tenant.run(tenant.knowledge().list_embedders(ListEmbeddersRequest {})).await.unwrap();
        let list: Vec<_> = (list.into_inner().embedders.into_iter())
            .map(|one| (one.name, one.embedder_id, one.dimensions, one.is_default))
            .collect();
        let expected = [
            ("plain".to_owned(), "test/plain".to_owned(), 26, true),
            ("small".to_owned(), "test/small".to_owned(), 7, false),
        ];
        assert_eq!(list, expected);
        bench.database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn knowledge_bases_of_different_embedders_are_searched_together() {
    let models = [Model::new("test/plain", 26, 0), Model::new("test/small", 7, 3)];
    for bench in benches_of(Config::default(), embedders(&models), None).await {
        let tenant = bench.tenant(1);
        let mut ids = Vec::new();
        for embedder in ["plain", "small", "none"] {
            let base = tenant.new_base_with(embedder, embedder).await.unwrap().knowledge_base_id;
            let docs = [post("near", "gebdra gebdra"), post("far", "oooo uuuu"), post("word", "the badger")];
            tenant.ingest(embedder, &base, &docs).await;
            ids.push(base);
        }
        let bases: Vec<&str> = ids.iter().map(String::as_str).collect();
        let answer = tenant.search_with(request(&bases, "badger", 20)).await.unwrap();
        assert_eq!((answer.mode(), answer.degraded), (SearchMode::Hybrid, false), "on {}", bench.name);
        let near = answer.hits.iter().filter(|hit| hit.passage.as_ref().unwrap().title == "near");
        let near: Vec<_> = near.map(|hit| (hit.dense_rank, hit.dense_score.unwrap() > 0.999)).collect();
        assert_eq!(near, [(Some(1), true); 2], "each embedder's leg has its own first");
        let words = answer.hits.iter().filter(|hit| hit.lexical_rank.is_some()).count();
        assert_eq!(words, 3, "the lexical leg sees all three");

        models[1].break_with(Some(EmbedError::fault("out of order")));
        let answer = tenant.search_with(request(&bases, "gebdra", 20)).await.unwrap();
        assert_eq!((answer.mode(), answer.degraded), (SearchMode::Hybrid, true));
        assert!(answer.degraded_reason.contains("out of order"), "{}", answer.degraded_reason);
        let answer = tenant.search_with(request(&bases[1..], "badger gebdra", 20)).await.unwrap();
        assert_eq!((answer.mode(), answer.degraded, answer.hits.len()), (SearchMode::Lexical, true, 4));
        let answer = tenant.search_with(request(&bases[2..], "badger", 20)).await.unwrap();
        assert_eq!((answer.mode(), answer.degraded), (SearchMode::Lexical, false), "by choice, not by fault");
        models[1].break_with(None);
        bench.database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_embedder_that_is_gone_or_has_other_dimensions_is_refused_with_a_reason() {
    let plain = Model::new("test/plain", 26, 0);
    for bench in benches_of(Config::default(), embedders(std::slice::from_ref(&plain)), None).await {
        let base = bench.tenant(1).new_base("company").await.knowledge_base_id;
        bench.tenant(1).ingest("r", &base, &[post("a", "the badger")]).await;
        let cases = [
            (Model::new("test/other", 26, 0), "EMBEDDER_MISSING", "test/plain is not configured"),
            (Model::new("test/plain", 12, 0), "EMBEDDER_MISMATCH", "has 12 dimensions, not 26"),
        ];
        for (at, (model, word, sentence)) in cases.into_iter().enumerate() {
            let tenant = again(&bench, &[model]).tenant(1);
            let answer = tenant.search_with(request(&[&base], "badger", 5)).await.unwrap();
            assert_eq!((answer.mode(), answer.degraded, answer.hits.len()), (SearchMode::Lexical, true, 1));
            assert!(answer.degraded_reason.contains(sentence), "{}", answer.degraded_reason);
            let ended = tenant.ingest(&format!("r{at}"), &base, &[post("b", "two badgers")]).await;
            assert_eq!(ended.failures[0].reason, word, "on {}", bench.name);
            assert!(ended.failures[0].message.contains(sentence), "{}", ended.failures[0].message);
            assert_eq!(
                tenant.search(&base, "badger", 5).await.len(),
                1,
                "nothing is stored without its vector"
            );
        }
        bench.database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_new_is_embedded() {
    let model = Model::new("test/plain", 26, 0);
    for bench in benches_of(small_chunks(), embedders(std::slice::from_ref(&model)), None).await {
        let (tenant, stranger) = (bench.tenant(1), bench.tenant(2));
        let base = tenant.new_base("company").await.knowledge_base_id;
        let text = |second: &str| ["badger", second, "okapi"].map(paragraph).concat();
        tenant.ingest("1", &base, &[post("a", &text("zebra"))]).await;
        assert_eq!(model.documents().len(), 3, "on {}", bench.name);
        tenant.ingest("2", &base, &[post("a", &text("zebra"))]).await;
        assert_eq!(model.documents(), Vec::<String>::new(), "the same bytes");
        tenant.ingest("3", &base, &[post("a", &text("walrus"))]).await;
        let seen = model.documents();
        assert!(seen.len() == 1 && seen[0].contains("walrus"), "only the part that changed: {seen:?}");
        tenant.ingest("4", &base, &[post("b", &text("walrus"))]).await;
        assert_eq!(model.documents(), Vec::<String>::new(), "an equal document");
        tenant.ingest("5", &base, &[post("c", &paragraph("again").repeat(4))]).await;
        assert_eq!(model.documents().len(), 1, "equal parts of one document are embedded once");
        assert_eq!(
            (tenant.base(&base).await.chunk_count, tenant.search(&base, "again", 20).await.len()),
            (10, 10)
        );

        let theirs = stranger.new_base("theirs").await.knowledge_base_id;
        stranger.ingest("1", &theirs, &[post("a", &text("walrus"))]).await;
        assert_eq!(model.documents().len(), 3, "what another tenant has helps nobody");

        // What is deleted leaves no vector behind.
        for document in tenant.documents(&base).await {
            let request =
                copydesk_proto::retrieval::v1::DeleteDocumentRequest { document_id: document.document_id };
            tenant.run(tenant.knowledge().delete_document(request)).await.unwrap();
        }
        tenant.ingest("6", &base, &[post("a", &text("walrus"))]).await;
        assert_eq!((model.documents().len(), rows(&bench.database, "kept_vector").await), (3, 0));
        bench.database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_title_is_embedded_with_each_chunk() {
    let model = Model::new("test/plain", 26, 0);
    for bench in benches_of(small_chunks(), embedders(std::slice::from_ref(&model)), None).await {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("company").await.knowledge_base_id;
        let titled = |title: &str| {
            let mut doc = post("a", &["badger", "okapi"].map(paragraph).concat());
            doc.start.title = title.into();
            [doc]
        };
        let under = |title: &str| {
            ["badger", "okapi"].map(|word| format!("{title}\n\n{}", paragraph(word).trim())).to_vec()
        };
        tenant.ingest("1", &base, &titled("Night animals")).await;
        assert_eq!(model.documents(), under("Night animals"), "on {}", bench.name);
        let same = tenant.ingest("2", &base, &titled("Night animals")).await;
        assert_eq!((same.documents_unchanged, model.documents()), (1, Vec::new()));
        let same = tenant.ingest("3", &base, &titled("")).await;
        assert_eq!((same.documents_unchanged, model.documents()), (1, Vec::new()), "the title stays");

        // Another title is another meaning, whatever the bytes.
        let changed = tenant.ingest("4", &base, &titled("Day animals")).await;
        assert_eq!((changed.documents_unchanged, model.documents()), (0, under("Day animals")));
        let document = tenant.documents(&base).await.pop().unwrap();
        assert_eq!((document.title.as_str(), document.version, document.chunk_count), ("Day animals", 2, 2));
        let hits = |answer: copydesk_proto::retrieval::v1::SearchResponse| {
            answer.hits.iter().filter(|hit| hit.lexical_rank.is_some()).count()
        };
        for (word, found) in [("day", 2), ("night", 0), ("okapi", 1)] {
            let answer = tenant.search_with(request(&[&base], word, 5)).await.unwrap();
            assert_eq!(hits(answer), found, "{word}");
        }
        assert_eq!(tenant.base(&base).await.chunk_count, 2);

        // Without an embedder a title is only said anew, and is found all the same.
        let words = tenant.new_base_with("words", "none").await.unwrap().knowledge_base_id;
        tenant.ingest("5", &words, &titled("Night animals")).await;
        tenant.search_with(request(&[&words], "night", 5)).await.unwrap();
        tenant.ingest("6", &words, &titled("Day animals")).await;
        let document = tenant.documents(&words).await.pop().unwrap();
        assert_eq!((document.title.as_str(), document.version), ("Day animals", 1));
        for again in [&bench, &again(&bench, std::slice::from_ref(&model))] {
            for (word, found) in [("day", 2), ("night", 0), ("okapi", 1)] {
                let answer = again.tenant(1).search_with(request(&[&words], word, 5)).await.unwrap();
                assert_eq!(hits(answer), found, "{word}");
            }
        }
        assert_eq!(model.documents(), Vec::<String>::new());
        bench.database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passing_failures_are_asked_again_and_others_are_told() {
    let model = Model::weighing("test/plain", 26, 0);
    let passing = || EmbedError { cause: EmbedCause::Passing(None), reason: "busy".into() };
    let config =
        Config { embedding: Embedding { attempts: 2, batch: 2, ..Embedding::default() }, ..small_chunks() };
    for bench in benches_of(config, embedders(std::slice::from_ref(&model)), None).await {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("company").await.knowledge_base_id;
        model.fail_next(vec![passing()]);
        let ended = tenant.ingest("1", &base, &[post("a", "the badger")]).await;
        assert_eq!((ended.documents_done, ended.failures.len()), (1, 0), "on {}", bench.name);

        let parts = &["one", "two", "three", "four", "five"].map(paragraph).concat();
        for (fault, word) in [
            (passing(), "EMBEDDER_UNAVAILABLE"),
            (EmbedError { cause: EmbedCause::Budget, reason: "no money".into() }, "EMBEDDER_BUDGET"),
            (EmbedError::fault("broken"), "EMBEDDER_FAILED"),
        ] {
            model.hold(1_000);
            model.break_with(Some(fault));
            let ended = tenant.ingest(word, &base, &[post("b", parts)]).await;
            assert_eq!(ended.failures[0].reason, word);
            model.break_with(None);
        }
        model.documents();

        // The first parts of a document whose work broke off are not embedded again.
        model.hold(2);
        let half = tenant.send(crate::common::parts("half", &base, &[post("b", parts)])).await.unwrap();
        while rows(&bench.database, "kept_vector").await < 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        model.break_with(Some(EmbedError::fault("broken")));
        model.open();
        let ended = tenant.watched(&half.ingestion_id).await.pop().unwrap();
        assert_eq!((ended.failures.len(), model.documents().len()), (1, 4));
        model.break_with(None);
        let ended = tenant.ingest("whole", &base, &[post("b", parts)]).await;
        assert_eq!((ended.documents_done, model.documents().len()), (1, 1));
        assert_eq!(rows(&bench.database, "kept_vector").await, 0, "stored now, and so kept no more");
        bench.database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_does_not_wait_long_for_its_vector() {
    let model = Model::new("test/plain", 26, 0);
    let config =
        Config { embedding: Embedding { query_timeout_ms: 20, ..Embedding::default() }, ..Config::default() };
    for bench in benches_of(config, embedders(std::slice::from_ref(&model)), None).await {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("company").await.knowledge_base_id;
        tenant.ingest("1", &base, &[post("a", "the badger")]).await;
        model.hold(0);
        let answer = tenant.search_with(request(&[&base], "badger", 5)).await.unwrap();
        assert_eq!((answer.mode(), answer.degraded, answer.hits.len()), (SearchMode::Lexical, true, 1));
        assert!(answer.degraded_reason.contains("20 ms"), "{}", answer.degraded_reason);
        model.open();
        let answer = tenant.search_with(request(&[&base], "badger", 5)).await.unwrap();
        assert_eq!((answer.mode(), answer.degraded), (SearchMode::Hybrid, false), "on {}", bench.name);
        bench.database.close().await;
    }
}
