//! The store's contract, over both databases.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step must stop the test")]

use copydesk_llm_router::domain::{
    Answer, Attempt, Attribution, Completion, Dimension, Entry, Outcome, StopReason, StoredAnswer, Tier,
    Usage, UsageCursor, UsageFilter, UsageRow,
};
use copydesk_llm_router::ports::{Claim, Store};
use copydesk_llm_router::{DatabaseStore, MIGRATOR};
use copydesk_proto::llm_router::v1::Operation;
use copydesk_store::{Database, Dialect, StoreError, testing};
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
        operation: Operation::Embed,
        ordered_ms: time_ms - 7,
        attempt: Attempt {
            model: "openai/m".into(),
            outcome: Outcome::RateLimited,
            usage: Usage { input: 10, cached_input: 4, output: 7, estimated: true },
            cost: NanoDollars(id as i64),
            latency_us: 12,
            first_token_us: 5,
            upstream_status: 429,
            tier: Some(Tier::Fallback),
            started_us: 0,
            hedge: true,
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
            tool_calls: Vec::new(),
            reasoning: String::new(),
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

/// Records, and an answer if there is one, in one transaction.
async fn record(
    store: &DatabaseStore,
    tenant: TenantId,
    rows: &[UsageRow],
    answer: Option<&StoredAnswer>,
) -> Result<Option<StoredAnswer>, StoreError> {
    let entry = Entry { tenant, replica: "r.1".into(), rows: rows.to_vec() };
    let answers: Vec<_> = answer.cloned().into_iter().map(|answer| (0, answer)).collect();
    store.keep(&[entry], &answers).await.map(|earlier| earlier.into_iter().next().flatten())
}

fn of_run(run: RunId) -> UsageFilter {
    UsageFilter { run: Some(run), ..UsageFilter::default() }
}

async fn answers_are_kept_per_tenant_until_they_expire(store: &DatabaseStore) {
    let first = stored("a", "first", 1_000);
    assert_eq!(record(store, ONE, &[], Some(&first)).await.unwrap(), None);
    assert_eq!(store.answer(ONE, "a", 1_099).await.unwrap(), Some(first.clone()));
    assert_eq!(store.answer(ONE, "a", 1_100).await.unwrap(), None, "expired");
    assert_eq!(store.answer(TWO, "a", 1_000).await.unwrap(), None, "another tenant's");
    assert_eq!(store.answer(ONE, "b", 1_000).await.unwrap(), None);

    let later = stored("a", "later", 1_050);
    assert_eq!(record(store, ONE, &[], Some(&later)).await.unwrap(), Some(first), "the earlier answer stays");
    let fresh = stored("a", "fresh", 1_100);
    assert_eq!(record(store, ONE, &[], Some(&fresh)).await.unwrap(), None, "an expired one gives way");
    assert_eq!(store.answer(ONE, "a", 1_150).await.unwrap(), Some(fresh));
    record(store, TWO, &[], Some(&stored("a", "two", 5_000))).await.unwrap();

    assert_eq!(store.forget(1_200).await.unwrap(), 1);
    assert_eq!(store.answer(ONE, "a", 0).await.unwrap(), None, "forgotten for good");
    assert!(store.answer(TWO, "a", 5_000).await.unwrap().is_some());
}

async fn the_ledger_pages_newest_first_and_sums_everything(store: &DatabaseStore) {
    let rows: Vec<UsageRow> =
        (1..=5).map(|n| row(n, 100 + (n as i64 / 2), (n % 2 == 0).then_some(RUN))).collect();
    record(store, ONE, &rows, None).await.unwrap();
    record(store, ONE, &rows[..2], None).await.unwrap();
    record(store, TWO, &[row(77, 900, Some(RUN))], None).await.unwrap();

    let ids = |rows: &[UsageRow]| rows.iter().map(|r| r.id.as_u128()).collect::<Vec<_>>();
    let first = store.usage(ONE, &UsageFilter::default(), UsageCursor::NEWEST, 3).await.unwrap();
    assert_eq!(ids(&first), [5, 4, 3], "equal times are ordered by id");
    assert_eq!(first[0], rows[4], "every column comes back");
    let cursor = UsageCursor { time_ms: first[2].time_ms, id: first[2].id };
    let second = store.usage(ONE, &UsageFilter::default(), cursor, 3).await.unwrap();
    assert_eq!(ids(&second), [2, 1], "nothing twice, nothing left out, repeats ignored");
    let found = store.usage(ONE, &of_run(RUN), UsageCursor::NEWEST, 9).await.unwrap();
    assert_eq!(ids(&found), [4, 2]);

    assert_eq!(store.total(ONE, &UsageFilter::default()).await.unwrap(), NanoDollars(15));
    assert_eq!(store.total(ONE, &of_run(RUN)).await.unwrap(), NanoDollars(6));
    assert_eq!(store.total(TenantId::from_u128(3), &UsageFilter::default()).await.unwrap(), NanoDollars(0));
}

async fn an_answer_and_its_records_are_one(database: &Database, store: &DatabaseStore) {
    let mut bad = row(500, 1, None);
    bad.attribution.step = "\0".into();
    let outcome = record(store, ONE, &[row(501, 1, None), bad], Some(&stored("whole", "x", 1))).await;
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
            let earlier = record(&store, ONE, &[row(1_000 + n, 50, None)], Some(&mine)).await.unwrap();
            earlier.map_or(mine.answer.text, |e| e.answer.text)
        });
    }
    let mut texts = tasks.join_all().await;
    texts.dedup();
    assert_eq!(texts.len(), 1, "everybody got the same answer");
}

async fn many_answers_are_kept_at_once(store: &DatabaseStore) {
    record(store, TWO, &[], Some(&stored("b2", "earlier", 8_000))).await.unwrap();
    let entry = |tenant, id| Entry { tenant, replica: "r.1".into(), rows: vec![row(id, 8_000, None)] };
    let entries = [entry(ONE, 801), entry(TWO, 802), entry(TWO, 803)];
    let answers =
        [(0, stored("b2", "one", 8_001)), (1, stored("b2", "two", 8_001)), (2, stored("b1", "three", 8_001))];
    let earlier = store.keep(&entries, &answers).await.unwrap();
    let texts: Vec<_> = earlier.iter().map(|e| e.as_ref().map(|e| e.answer.text.as_str())).collect();
    assert_eq!(texts, [None, Some("earlier"), None]);
    assert_eq!(store.answer(TWO, "b1", 8_001).await.unwrap(), Some(stored("b1", "three", 8_001)));
}

async fn records_are_found_by_what_they_say(store: &DatabaseStore) {
    let tenant = TenantId::from_u128(4);
    let mut rows: Vec<UsageRow> = (1..=4).map(|n| row(n, 86_400_000 * n as i64, None)).collect();
    rows[1].attribution.agent = "critic".into();
    rows[2].attempt.model = "groq/openai/gpt".into();
    rows[3].attribution.agent = String::new();
    rows[3].attempt.outcome = Outcome::Ok;
    record(store, tenant, &rows, None).await.unwrap();
    let find = async |filter: UsageFilter| {
        let found = store.usage(tenant, &filter, UsageCursor::NEWEST, 9).await.unwrap();
        let total: i64 = found.iter().map(|row| row.attempt.cost.0).sum();
        assert_eq!(store.total(tenant, &filter).await.unwrap(), NanoDollars(total));
        found.iter().map(|row| row.id.as_u128()).collect::<Vec<_>>()
    };
    let all = UsageFilter::default;
    assert_eq!(find(UsageFilter { agent: Some("critic".into()), ..all() }).await, [2]);
    assert_eq!(find(UsageFilter { model: Some("groq/openai/gpt".into()), ..all() }).await, [3]);
    let (from_ms, to_ms) = (Some(2 * 86_400_000), Some(4 * 86_400_000));
    assert_eq!(find(UsageFilter { from_ms, to_ms, ..all() }).await, [3, 2], "from is in, to is not");
    let agent = Some("writer".into());
    assert_eq!(find(UsageFilter { agent, from_ms, to_ms, ..all() }).await, [3]);

    let by = [Dimension::Provider, Dimension::Agent];
    let sums = store.breakdown(tenant, &by, 0, i64::MAX, 3).await.unwrap();
    let keys: Vec<_> = sums.groups.iter().map(|g| (g.keys.join("|"), g.cost.0)).collect();
    assert_eq!(keys, [("openai|".into(), 4), ("groq|writer".into(), 3), ("openai|critic".into(), 2)]);
    assert!(sums.truncated);
    let total = &sums.total;
    assert_eq!((total.calls, total.failed_calls, total.cost.0, total.usage.input), (4, 3, 10, 40));
    assert!(total.usage.estimated);
    let days = store.breakdown(tenant, &[Dimension::Day], 86_400_000, 2 * 86_400_000, 10).await.unwrap();
    assert_eq!((days.groups.len(), days.groups[0].keys[0].as_str(), days.truncated), (1, "1", false));
    assert_eq!(days.total.cost, days.groups[0].cost);
    let empty = store.breakdown(TenantId::from_u128(5), &by, 0, i64::MAX, 3).await.unwrap();
    assert_eq!((empty.groups.len(), empty.total.calls), (0, 0));
}

async fn an_id_is_claimed_once(database: &Database, store: &DatabaseStore) {
    const TTL: std::time::Duration = std::time::Duration::from_secs(60);
    assert_eq!(store.claims_needed(), database.dialect() == Dialect::Postgres);
    let claim = |id: &'static str, owner: &'static str| store.claim(ONE, id, "f", owner, TTL);
    let taken = Claim::Taken { fingerprint: "f".into() };
    assert_eq!(claim("c", "a").await.unwrap(), Claim::Mine);
    assert_eq!(claim("c", "a").await.unwrap(), Claim::Mine, "a repeated claim of the same owner");
    assert_eq!(claim("c", "b").await.unwrap(), taken);
    assert_eq!(store.claim(TWO, "c", "g", "b", TTL).await.unwrap(), Claim::Mine, "another tenant's id");
    assert_eq!(store.answer(ONE, "c", 0).await.unwrap(), None, "a claim is no answer");
    assert!(store.renew_claim(ONE, "c", "a", TTL).await.unwrap());
    assert!(!store.renew_claim(ONE, "c", "b", TTL).await.unwrap());
    store.release_claim(ONE, "c", "b").await.unwrap();
    assert_eq!(claim("c", "b").await.unwrap(), taken, "nobody gives up what is another's");
    store.release_claim(ONE, "c", "a").await.unwrap();
    assert_eq!(claim("c", "b").await.unwrap(), Claim::Mine);

    let sql = "UPDATE answer SET expires_ms = 1 WHERE request_id = 'c' AND owner = 'b'";
    database.execute(sql, &[]).await.unwrap();
    assert_eq!(claim("c", "a").await.unwrap(), Claim::Mine, "an expired claim is taken over");
    assert!(!store.renew_claim(ONE, "c", "b", TTL).await.unwrap());

    let mut answer = stored("c", "done", 9_000);
    answer.expires_ms = i64::MAX;
    assert_eq!(record(store, ONE, &[], Some(&answer)).await.unwrap(), None);
    assert_eq!(claim("c", "a").await.unwrap(), Claim::Answered(Box::new(answer.clone())));
    store.release_claim(ONE, "c", "a").await.unwrap();
    assert!(!store.renew_claim(ONE, "c", "a", TTL).await.unwrap());
    assert_eq!(claim("c", "b").await.unwrap(), Claim::Answered(Box::new(answer)), "an answer stays");
}

async fn one_of_many_claimers_wins(store: &DatabaseStore) {
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..64 {
        let store = store.clone();
        tasks.spawn(async move {
            let ttl = std::time::Duration::from_secs(60);
            store.claim(ONE, "claim race", "f", &format!("owner {n}"), ttl).await.unwrap()
        });
    }
    let claims = tasks.join_all().await;
    let mine = claims.iter().filter(|claim| **claim == Claim::Mine).count();
    let taken = claims.iter().filter(|claim| matches!(claim, Claim::Taken { .. })).count();
    assert_eq!((mine, taken), (1, 63));
}

#[tokio::test]
async fn old_records_are_read_after_the_change_of_tables() {
    for (name, database) in testing::both(&MIGRATOR).await {
        println!("{name}");
        let store = DatabaseStore::new(database.clone());
        let mut old = row(1, 5, None);
        old.attempt.model = "groq/openai/gpt".into();
        record(&store, ONE, &[old], None).await.unwrap();
        record(&store, ONE, &[], Some(&stored("kept", "x", 1))).await.unwrap();
        let ttl = std::time::Duration::from_secs(60);
        store.claim(ONE, "claimed", "f", "owner", ttl).await.unwrap();
        database.migrate_down_to(1).await.unwrap();
        database.migrate_up().await.unwrap();
        let found = store.usage(ONE, &UsageFilter::default(), UsageCursor::NEWEST, 9).await.unwrap();
        assert_eq!(
            (found.len(), found[0].ordered_ms, found[0].operation, found[0].attempt.tier),
            (1, 5, Operation::Chat, None)
        );
        let by = [Dimension::Provider];
        let sums = store.breakdown(ONE, &by, 0, 10, 3).await.unwrap();
        assert_eq!(sums.groups[0].keys, ["groq"]);
        assert!(store.answer(ONE, "kept", 1).await.unwrap().is_some());
        assert_eq!(store.claim(ONE, "claimed", "f", "other", ttl).await.unwrap(), Claim::Mine);
    }
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
        many_answers_are_kept_at_once(&store).await;
        records_are_found_by_what_they_say(&store).await;
        an_id_is_claimed_once(&database, &store).await;
        one_of_many_claimers_wins(&store).await;
        database.migrate_down_to(0).await.unwrap();
        database.migrate_up().await.unwrap();
        assert_eq!(store.total(ONE, &UsageFilter::default()).await.unwrap(), NanoDollars(0));
    }
}
