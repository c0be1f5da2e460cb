//! Both legs together, and what an answer says when one of them is gone.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see the cases as tests")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{benches_with, doc, request};
use copydesk_proto::retrieval::v1::{SearchMode, SearchRequest};
use copydesk_proto::types::v1::SourceKind;
use copydesk_retrieval::Config;
use copydesk_retrieval::ports::{EmbedError, Embedder};

/// Counts letters: texts of the same letters are near. Fails on demand.
struct LetterEmbedder {
    broken: AtomicBool,
}

#[async_trait::async_trait]
impl Embedder for LetterEmbedder {
    fn id(&self) -> &str {
        "test/letters"
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(EmbedError { reason: "out of order".into() });
        }
        let vector = |text: String| {
            let mut counts = vec![0.0f32; 26];
            text.bytes().filter(u8::is_ascii_lowercase).for_each(|b| counts[usize::from(b - b'a')] += 1.0);
            counts
        };
        Ok(texts.into_iter().map(vector).collect())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_an_embedder_both_legs_answer_and_a_broken_one_is_admitted() {
    let embedder = Arc::new(LetterEmbedder { broken: false.into() });
    for bench in benches_with(Config::default(), Some(embedder.clone())).await {
        embedder.broken.store(false, Ordering::SeqCst);
        let tenant = bench.tenant(1);
        let base = tenant.new_base("company").await;
        assert_eq!(base.embedder, "test/letters");
        let base = base.knowledge_base_id;
        let docs = [
            doc("words", SourceKind::Post, "the badger sleeps here"),
            doc("letters", SourceKind::Issue, "gebdra gebdra"),
            doc("neither", SourceKind::Issue, "oooo uuuu oooo"),
        ];
        tenant.ingest("r", &base, &docs).await;
        let answer = tenant.search_with(request(&[&base], "badger", 3)).await.unwrap();
        assert_eq!((answer.mode(), answer.degraded), (SearchMode::Hybrid, false));
        let hits: Vec<_> = answer
            .hits
            .iter()
            .map(|hit| (hit.passage.as_ref().unwrap().title.as_str(), hit.lexical_rank, hit.dense_rank))
            .collect();
        let expected = [("words", Some(1), Some(2)), ("letters", None, Some(1)), ("neither", None, Some(3))];
        assert_eq!(hits, expected, "on {}", bench.name);
        assert!((answer.hits[1].dense_score.unwrap() - 1.0).abs() < 1e-6);
        let only =
            SearchRequest { source_kinds: vec![SourceKind::Issue.into()], ..request(&[&base], "badger", 3) };
        assert_eq!(tenant.search_with(only).await.unwrap().hits.len(), 2);

        embedder.broken.store(true, Ordering::SeqCst);
        let answer = tenant.search_with(request(&[&base], "badger", 3)).await.unwrap();
        assert_eq!((answer.mode(), answer.degraded, answer.hits.len()), (SearchMode::Lexical, true, 1));
        assert!(answer.degraded_reason.contains("out of order"), "{}", answer.degraded_reason);
        let ended = tenant.ingest("r2", &base, &[doc("late", SourceKind::Post, "too late")]).await;
        assert_eq!(ended.failures[0].reason, "INTERNAL");
        bench.database.close().await;
    }
}
