//! The contract of the store port, held by the database store on SQLite and on PostgreSQL.
#![allow(clippy::expect_used, reason = "a failed set-up must stop the test")]

mod brands;
mod feedback;
mod lessons;
mod outcomes;

use copydesk_learning::adapters::database::{DatabaseStore, MIGRATOR};
use copydesk_learning::domain::brand::{Brand, BrandFields};
use copydesk_learning::domain::feedback::{Effect, Feedback, FeedbackKind, Verdict};
use copydesk_learning::domain::learning::Learning;
use copydesk_learning::domain::lesson::{Proposal, Source, Wish};
use copydesk_learning::domain::outcome::{ContentType, Outcome, OutcomeState};
use copydesk_learning::ports::{Cursor, Page, RequestKey};
use copydesk_types::{BrandId, FeedbackId, KnowledgeBaseId, LessonId, NanoDollars, RunId, TenantId};

/// One store of each kind with its name, empty.
async fn stores() -> Vec<(&'static str, DatabaseStore)> {
    let databases = copydesk_store::testing::both(&MIGRATOR).await;
    databases.into_iter().map(|(name, database)| (name, DatabaseStore::new(database))).collect()
}

fn tenant(n: u128) -> TenantId {
    TenantId::from_u128(n)
}

fn brand(n: u128, created_ms: i64) -> Brand {
    let fields = BrandFields {
        name: format!("Brand {n} “é”"),
        voice: "calm".into(),
        audience: "drivers".into(),
        language: "de-AT".into(),
        knowledge_bases: vec![KnowledgeBaseId::from_u128(n), KnowledgeBaseId::from_u128(n + 1)],
    };
    Brand { id: BrandId::from_u128(n), fields, version: 1, created_ms, updated_ms: created_ms }
}

fn request(id: &str, body: &str) -> RequestKey {
    RequestKey { id: id.into(), fingerprint: body.into() }
}

fn first(rows: u32) -> Page {
    Page { rows, after: None }
}

fn after(rows: u32, created_ms: i64, id: impl ToString) -> Page {
    Page { rows, after: Some(Cursor { created_ms, id: id.to_string() }) }
}

fn outcome(run: u128) -> Outcome {
    Outcome {
        run: RunId::from_u128(run),
        brand: BrandId::from_u128(1),
        state: OutcomeState::Succeeded,
        workflow: "content".into(),
        definition_version: "content@1".into(),
        topic: "cold chain".into(),
        content_type: Some(ContentType::Social),
        text: "Vans stay cold.".into(),
        score: 8.5,
        confidence: 0.93,
        corrections: 1,
        unsupported: 2,
        claims: 3,
        cost: NanoDollars(1_234),
        duration_ms: 4_200,
        degraded: true,
        lessons: vec![LessonId::from_u128(70), LessonId::from_u128(71)],
        finished_ms: 1_700_000_000_123,
    }
}

fn feedback(id: u128, run: u128, kind: FeedbackKind) -> Feedback {
    Feedback {
        id: FeedbackId::from_u128(id),
        run: RunId::from_u128(run),
        brand: BrandId::from_u128(1),
        verdict: Verdict { kind, rating: 0, comment: "because".into(), edited_text: String::new() },
        principal: "key_1".into(),
        created_ms: 1_000 + id as i64,
    }
}

/// What a verdict on `run` teaches, the first lesson with the id `id`.
fn learning(id: u128, run: u128, proposals: Vec<Proposal>, effect: Effect, used: Vec<LessonId>) -> Learning {
    let wishes = (id..).zip(proposals).map(|(id, proposal)| (LessonId::from_u128(id), Wish::said(proposal)));
    Learning {
        brand: BrandId::from_u128(1),
        content_type: Some(ContentType::Social),
        source: Source { run: RunId::from_u128(run), topic: "cold chain".into() },
        wishes: wishes.collect(),
        used,
        effect,
        now_ms: 1_000 + id as i64,
    }
}

fn nothing(run: u128) -> Learning {
    learning(0, run, vec![], Effect::Neutral, vec![])
}

#[tokio::test]
async fn tables_go_down_and_up_again() {
    for (name, database) in copydesk_store::testing::both(&MIGRATOR).await {
        database.migrate_down_to(0).await.expect(name);
        assert_eq!(database.version().await.expect(name), 0, "{name}");
        database.migrate_up().await.expect(name);
        let rows =
            database.query("SELECT * FROM lessons WHERE tenant = $1", &copydesk_store::params!["x"]).await;
        assert!(rows.expect(name).is_empty(), "{name}");
    }
}
