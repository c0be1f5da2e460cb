//! The store's contract, over both databases.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step must stop the test")]

use copydesk_llm_router::domain::{
    Answer, Attempt, Attribution, Completion, Outcome, StopReason, StoredAnswer, Usage, UsageCursor, UsageRow,
};
use copydesk_llm_router::ports::Store;
use copydesk_llm_router::{DatabaseStore, MIGRATOR};
use copydesk_proto::llm_router::v1::Operation;
use copydesk_store::{Database, testing};
use copydesk_types::{NanoDollars, RunId, TenantId, UsageId};

const ONE: TenantId = TenantId::from_u128(1);
const TWO: TenantId = TenantId::from_u128(2);
const RUN: RunId = RunId::from_u128(9);

fn row(id: u128, time_ms: i64, run: Option<RunId>) -> UsageRow {
    UsageRow {
        id: UsageId::from_u128(id),
        time_ms,
        attribution: Attribution {
            run,
            step: "draft.1".into(),
            agent: "writer".into(),
            agent_version: "writer@1".into(),
        },
        task: 4,
        operation: Operation::Chat,
        ordered_ms: time_ms,
        attempt: Attempt {
            model: "openai/m".into(),
            outcome: Outcome::RateLimited,
            usage: Usage { input: 10, cached_input: 4, output: 7, estimated: true },
            cost: NanoDollars(id as i64),
            latency_us: 12,
            ..Attempt::default()
        },
        price_version: "2026-11".into(),
    }
}

fn stored(id: &str, text: &str, created_ms: i64) -> StoredAnswer {
    let structured = serde_json::json!({"score": 7.5, "notes": ["é"]});
    StoredAnswer {
        request_id: id.into(),
        fingerprint: "f".into(),
        answer: Answer {
            text: text.into(),
            structured: structured.as_object().cloned(),
            completion: Completion {
                model: "openai/m".into(),
                provider: "openai".into(),
                stop_reason: StopReason::Length,
                usage: Usage::default(),
                cost: NanoDollars(3),
                price_version: "2026-11".into(),
                attempts: vec![row(1, 0, None).attempt],
                degraded_reason: Some("why".into()),
                latency_us: 5,
                ..Completion::default()
            },
        },
        created_ms,
        expires_ms: created_ms + 100,
    }
}

async fn answers_are_kept_per_tenant_until_they_expire(store: &DatabaseStore) {
    let first = stored("a", "first", 1_000);
    assert_eq!(store.record(ONE, &[], Some(&first)).await.unwrap(), None);
    assert_eq!(store.answer(ONE, "a", 1_099).await.unwrap(), Some(first.clone()));
    assert_eq!(store.answer(ONE, "a", 1_100).await.unwrap(), None, "expired");
    assert_eq!(store.answer(TWO, "a", 1_000).await.unwrap(), None, "another tenant's");
    assert_eq!(store.answer(ONE, "b", 1_000).await.unwrap(), None);

    let later = stored("a", "later", 1_050);
    assert_eq!(store.record(ONE, &[], Some(&later)).await.unwrap(), Some(first), "the earlier answer stays");
    let fresh = stored("a", "fresh", 1_100);
    assert_eq!(store.record(ONE, &[], Some(&fresh)).await.unwrap(), None, "an expired one gives way");
    assert_eq!(store.answer(ONE, "a", 1_150).await.unwrap(), Some(fresh));
    store.record(TWO, &[], Some(&stored("a", "two", 5_000))).await.unwrap();

    assert_eq!(store.forget(1_200).await.unwrap(), 1);
    assert_eq!(store.answer(ONE, "a", 0).await.unwrap(), None, "forgotten for good");
    assert!(store.answer(TWO, "a", 5_000).await.unwrap().is_some());
}

async fn the_ledger_pages_newest_first_and_sums_everything(store: &DatabaseStore) {
    let rows: Vec<UsageRow> =
        (1..=5).map(|n| row(n, 100 + (n as i64 / 2), (n % 2 == 0).then_some(RUN))).collect();
    store.record(ONE, &rows, None).await.unwrap();
    store.record(ONE, &rows[..2], None).await.unwrap();
    store.record(TWO, &[row(77, 900, Some(RUN))], None).await.unwrap();

    let ids = |rows: &[UsageRow]| rows.iter().map(|r| r.id.as_u128()).collect::<Vec<_>>();
    let first = store.usage(ONE, None, UsageCursor::NEWEST, 3).await.unwrap();
    assert_eq!(ids(&first), [5, 4, 3], "equal times are ordered by id");
    assert_eq!(first[0], rows[4], "every column comes back");
    let cursor = UsageCursor { time_ms: first[2].time_ms, id: first[2].id };
    let second = store.usage(ONE, None, cursor, 3).await.unwrap();
    assert_eq!(ids(&second), [2, 1], "nothing twice, nothing left out, repeats ignored");
    let of_run = store.usage(ONE, Some(RUN), UsageCursor::NEWEST, 9).await.unwrap();
    assert_eq!(ids(&of_run), [4, 2]);

    assert_eq!(store.total(ONE, None).await.unwrap(), NanoDollars(15));
    assert_eq!(store.total(ONE, Some(RUN)).await.unwrap(), NanoDollars(6));
    assert_eq!(store.total(TenantId::from_u128(3), None).await.unwrap(), NanoDollars(0));
}

async fn an_answer_and_its_records_are_one(database: &Database, store: &DatabaseStore) {
    let mut bad = row(500, 1, None);
    bad.attribution.step = "\0".into();
    let outcome = store.record(ONE, &[row(501, 1, None), bad], Some(&stored("whole", "x", 1))).await;
    assert!(outcome.is_err());
    assert_eq!(store.answer(ONE, "whole", 1).await.unwrap(), None);
    let found = database.query("SELECT usage_id FROM usage_record WHERE time_ms = 1", &[]).await.unwrap();
    assert!(found.is_empty(), "nothing is stored half-way");
}

async fn one_of_many_writers_wins(store: &DatabaseStore) {
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..32u128 {
        let store = store.clone();
        tasks.spawn(async move {
            let mine = stored("race", &format!("answer {n}"), 2_000);
            let earlier = store.record(ONE, &[row(1_000 + n, 50, None)], Some(&mine)).await.unwrap();
            earlier.map_or(mine.answer.text, |e| e.answer.text)
        });
    }
    let mut texts = tasks.join_all().await;
    texts.dedup();
    assert_eq!(texts.len(), 1, "everybody got the same answer");
}

#[tokio::test]
async fn the_contract_holds_on_every_database() {
    for (name, database) in testing::both(&MIGRATOR).await {
        println!("{name}");
        let store = DatabaseStore::new(database.clone());
        answers_are_kept_per_tenant_until_they_expire(&store).await;
        the_ledger_pages_newest_first_and_sums_everything(&store).await;
        an_answer_and_its_records_are_one(&database, &store).await;
        one_of_many_writers_wins(&store).await;
        database.migrate_down_to(0).await.unwrap();
        database.migrate_up().await.unwrap();
        assert_eq!(store.total(ONE, None).await.unwrap(), NanoDollars(0));
    }
}
