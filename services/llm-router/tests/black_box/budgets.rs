//! Budgets shared by replicas: never overspent, and little of them lies idle.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a failed step must stop the test"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::support::ledger::row;
use copydesk_llm_router::app::{BudgetError, Budgets, Ledger};
use copydesk_llm_router::domain::{
    Attribution, BudgetKey, Entry, Limits, Period, SubjectKind, UsageRow, Window,
};
use copydesk_llm_router::metrics::Metrics;
use copydesk_llm_router::ports::{BudgetStore, Clock, LeaseAsk, SetBudget, Store};
use copydesk_llm_router::{BudgetConfig, DatabaseStore, LedgerConfig, MIGRATOR, Replica};
use copydesk_store::{Database, params, testing};
use copydesk_types::{NanoDollars, RunId, TenantId};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const TENANT: TenantId = TenantId::from_u128(1);
const DAY_MS: i64 = 86_400_000;
/// Half an hour before a midnight in 2079: windows of long ago would be forgotten.
const NOW: i64 = 40_000 * DAY_MS + 23 * 3_600_000 + 30 * 60_000;

/// A clock that stands where it was set.
struct Stopped(AtomicI64);

impl Clock for Stopped {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A replica with a folder of its own.
struct Router {
    budgets: Arc<Budgets>,
    run: String,
    clock: Arc<Stopped>,
    _replica: Replica,
    _dir: Option<TempDir>,
}

impl Router {
    fn new(store: &Arc<DatabaseStore>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { _dir: None, ..Self::at(dir.path(), store) }.keeping(dir)
    }

    fn at(dir: &std::path::Path, store: &Arc<DatabaseStore>) -> Self {
        let replica = Replica::open(dir).unwrap();
        let clock = Arc::new(Stopped(AtomicI64::new(NOW)));
        let config = BudgetConfig { slice_ratio: 0.05, lease_s: 900 };
        let metrics = Metrics::new(&opentelemetry::global::meter("test"));
        let budgets = Budgets::new(store.clone(), clock.clone(), &replica, &config, metrics);
        Self {
            budgets: Arc::new(budgets),
            run: replica.run().to_owned(),
            clock,
            _replica: replica,
            _dir: None,
        }
    }

    fn keeping(mut self, dir: TempDir) -> Self {
        self._dir = Some(dir);
        self
    }

    async fn set(&self, kind: SubjectKind, subject: &str, period: Period, limit: i64, soft: i64) {
        let (key, limits) = (key(kind, subject, period), Some(Limits { limit, soft }));
        let done = self.budgets.set(TENANT, &key, limits, "").await.unwrap();
        assert!(matches!(done, SetBudget::Set(_)));
    }

    /// Pays for one call of an agent; false when the budget does not allow it.
    async fn pay(&self, agent: &str, worst: i64, actual: i64) -> bool {
        match self.budgets.reserve(TENANT, &whose(agent), NOW, NanoDollars(worst)).await {
            Ok(reservation) => {
                reservation.settle(NanoDollars(actual));
                true
            }
            Err(BudgetError::Exhausted { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    }
}

fn key(kind: SubjectKind, subject: &str, period: Period) -> BudgetKey {
    BudgetKey { kind, subject: subject.to_owned(), period }
}

fn whose(agent: &str) -> Attribution {
    Attribution { agent: agent.to_owned(), ..Attribution::default() }
}

fn tenant_day() -> BudgetKey {
    key(SubjectKind::Tenant, "", Period::Day)
}

async fn stores() -> Vec<(&'static str, Database, Arc<DatabaseStore>)> {
    let databases = testing::both(&MIGRATOR).await;
    databases.into_iter().map(|(name, db)| (name, db.clone(), Arc::new(DatabaseStore::new(db)))).collect()
}

/// What the windows hold, and what their leases and bases add up to.
async fn books(database: &Database) -> (i64, i64) {
    let sql = "SELECT CAST((SELECT COALESCE(SUM(granted_nanos), 0) FROM budget_window) AS BIGINT) AS granted, \
         CAST((SELECT COALESCE(SUM(base_nanos), 0) FROM budget_window) + \
         (SELECT COALESCE(SUM(granted_nanos), 0) FROM budget_lease) AS BIGINT) AS parts";
    let row = database.query_opt(sql, &[]).await.unwrap().unwrap();
    (row.get("granted").unwrap(), row.get("parts").unwrap())
}

/// Records of a run of the router in the ledger.
async fn spend(store: &DatabaseStore, run: &str, ids: std::ops::RangeInclusive<u128>, ordered_ms: i64) {
    let rows = ids.map(|id| UsageRow { ordered_ms, time_ms: ordered_ms + 10, ..row(id) }).collect();
    store.keep(&[Entry { tenant: TENANT, replica: run.to_owned(), rows }], &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_race_overspends_and_nearly_all_is_usable() {
    const LIMIT: i64 = 1_000_003;
    for (name, database, store) in stores().await {
        println!("{name}");
        let routers = [Arc::new(Router::new(&store)), Arc::new(Router::new(&store))];
        routers[0].set(SubjectKind::Tenant, "", Period::Day, LIMIT, 0).await;
        let (spent, peak) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
        let mut tasks = JoinSet::new();
        for task in 0..64_i64 {
            let router = Arc::clone(&routers[task as usize % 2]);
            let (spent, peak) = (Arc::clone(&spent), Arc::clone(&peak));
            tasks.spawn(async move {
                for call in 0.. {
                    let worst = 500 + (task * 37 + call * 101) % 1_500;
                    let actual = worst - (call % 3) * (worst / 3);
                    let reserved = router.budgets.reserve(TENANT, &whose(""), NOW, NanoDollars(worst)).await;
                    let Ok(reserved) = reserved else { break };
                    // What all calls together have spent and may yet spend.
                    peak.fetch_max(spent.fetch_add(worst, Ordering::SeqCst) + worst, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    spent.fetch_sub(worst - actual, Ordering::SeqCst);
                    if call % 10 == 9 {
                        spent.fetch_sub(actual, Ordering::SeqCst);
                        drop(reserved);
                    } else {
                        reserved.settle(NanoDollars(actual));
                    }
                }
            });
        }
        tasks.join_all().await;
        let (spent, peak) = (spent.load(Ordering::SeqCst), peak.load(Ordering::SeqCst));
        assert!(peak <= LIMIT, "{peak}");
        // Each replica may hold a slice that the other lacks, and the last call may have been too dear.
        assert!(spent >= LIMIT - 2 * LIMIT / 20 - 2 * 2_000, "{spent}");
        let (granted, parts) = books(&database).await;
        assert!(granted <= LIMIT && granted == parts, "{granted} {parts}");
        for router in &routers {
            router.budgets.give_back().await;
        }
        assert_eq!(books(&database).await, (spent, spent), "what is not spent is back");
        let mut more = 0;
        while routers[1].pay("", 100, 100).await {
            more += 100;
        }
        assert!(LIMIT - spent - more < 100, "then one replica can use the rest: {}", LIMIT - spent - more);
    }
}

#[tokio::test]
async fn all_budgets_of_a_call_are_reserved_or_none() {
    for (name, _, store) in stores().await {
        println!("{name}");
        let router = Router::new(&store);
        let run = RunId::from_u128(7);
        router.set(SubjectKind::Tenant, "", Period::Month, 1_000, 0).await;
        router.set(SubjectKind::Agent, "writer", Period::Day, 300, 0).await;
        router.set(SubjectKind::Run, &run.to_string(), Period::Total, 100, 0).await;
        let of_run = Attribution { run: Some(run), ..whose("writer") };
        let left = async |whose: &Attribution| router.budgets.left(TENANT, whose, NOW).await.unwrap().0;
        assert_eq!(
            (left(&of_run).await, left(&whose("writer")).await, left(&whose("")).await),
            (100, 300, 1_000)
        );
        let error = router.budgets.reserve(TENANT, &of_run, NOW, NanoDollars(101)).await.err().unwrap();
        let BudgetError::Exhausted { subject, period, limit, left: least, resets_in, .. } = error else {
            panic!("{error}")
        };
        assert_eq!((subject, period, limit.0, least.0), (SubjectKind::Run, Period::Total, 100, 100));
        assert_eq!(resets_in, None);
        assert_eq!(left(&whose("")).await, 1_000, "nothing is set aside when one is refused");

        let reserved = router.budgets.reserve(TENANT, &of_run, NOW, NanoDollars(60)).await.unwrap();
        assert_eq!((left(&of_run).await, left(&whose("")).await), (40, 940));
        reserved.settle(NanoDollars(50));
        assert_eq!(
            (left(&of_run).await, left(&whose("writer")).await, left(&whose("")).await),
            (50, 250, 950)
        );
        assert_eq!(router.budgets.left(TenantId::from_u128(2), &of_run, NOW).await, None);

        let error = router.budgets.reserve(TENANT, &whose("writer"), NOW, NanoDollars(251)).await.err();
        let Some(BudgetError::Exhausted { resets_in, .. }) = error else { panic!("{error:?}") };
        assert_eq!(resets_in, Some(Duration::from_secs(1_800)), "half an hour to midnight");
        let tomorrow = NOW + DAY_MS;
        let next = router.budgets.reserve(TENANT, &whose("writer"), tomorrow, NanoDollars(251)).await;
        assert!(next.is_ok(), "a new day");
    }
}

#[tokio::test]
async fn a_cost_beyond_the_worst_case_is_counted() {
    for (name, database, store) in stores().await {
        println!("{name}");
        let router = Router::new(&store);
        router.set(SubjectKind::Tenant, "", Period::Day, 1_000, 900).await;
        let reserved = router.budgets.reserve(TENANT, &whose(""), NOW, NanoDollars(10)).await.unwrap();
        assert!(reserved.warnings().is_empty());
        assert_eq!(reserved.settle(NanoDollars(1_200)), ["tenant day"]);
        router.budgets.round().await;
        assert_eq!(books(&database).await, (1_200, 1_200), "beyond the limit, but not lost");
        assert!(!router.pay("", 1, 1).await);
        let free = router.budgets.reserve(TENANT, &whose(""), NOW, NanoDollars(0)).await.unwrap();
        assert_eq!(free.settle(NanoDollars(0)), ["tenant day"], "what costs nothing is allowed");
        let standing = router.budgets.get(TENANT, &tenant_day()).await.unwrap().unwrap();
        assert!(standing.soft_passed_ms.is_some());
    }
}

#[tokio::test]
async fn limits_change_while_slices_are_held() {
    for (name, database, store) in stores().await {
        println!("{name}");
        let (one, two) = (Router::new(&store), Router::new(&store));
        one.set(SubjectKind::Tenant, "", Period::Day, 1_000, 0).await;
        assert!(one.pay("", 100, 100).await && two.pay("", 50, 10).await && two.pay("", 40, 10).await);

        one.set(SubjectKind::Tenant, "", Period::Day, 115, 0).await;
        assert!(!one.pay("", 1, 1).await, "here at once");
        two.budgets.round().await;
        two.budgets.round().await;
        assert!(!two.pay("", 1, 1).await, "elsewhere after a round");
        assert_eq!(books(&database).await, (120, 120));

        one.set(SubjectKind::Tenant, "", Period::Day, 125, 0).await;
        two.budgets.round().await;
        assert!(two.pay("", 5, 5).await && !two.pay("", 1, 1).await);

        let removed = one.budgets.set(TENANT, &tenant_day(), None, "").await.unwrap();
        assert_eq!(removed, SetBudget::Removed);
        two.budgets.round().await;
        assert!(one.pay("", 1_000, 1_000).await && two.pay("", 1_000, 1_000).await);
        assert_eq!(books(&database).await, (0, 0));
        assert_eq!(one.budgets.get(TENANT, &tenant_day()).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_budget_begins_with_what_was_spent_in_its_window() {
    for (name, _, store) in stores().await {
        println!("{name}");
        let router = Router::new(&store);
        spend(&store, &router.run, 1..=4, NOW).await;
        spend(&store, &router.run, 5..=9, NOW - DAY_MS).await;
        router.set(SubjectKind::Tenant, "", Period::Day, 100, 50).await;
        router.set(SubjectKind::Agent, "writer", Period::Month, 200, 0).await;
        assert_eq!(router.budgets.left(TENANT, &whose(""), NOW).await, Some(NanoDollars(60)));
        assert_eq!(router.budgets.left(TENANT, &whose("writer"), NOW).await, Some(NanoDollars(60)));
        let month = key(SubjectKind::Agent, "writer", Period::Month);
        let standing = router.budgets.get(TENANT, &month).await.unwrap().unwrap();
        assert_eq!((standing.spent, standing.held), (NanoDollars(90), NanoDollars(0)));
        let reserved = router.budgets.reserve(TENANT, &whose(""), NOW, NanoDollars(10)).await.unwrap();
        assert_eq!(reserved.settle(NanoDollars(10)), ["tenant day"]);
    }
}

#[tokio::test]
async fn a_restarted_replica_takes_back_what_it_held() {
    for (name, database, store) in stores().await {
        println!("{name}");
        let dir = tempfile::tempdir().unwrap();
        let first = Router::at(dir.path(), &store);
        spend(&store, &first.run, 1..=3, NOW).await;
        first.set(SubjectKind::Tenant, "", Period::Day, 1_000, 0).await;
        assert!(first.pay("", 100, 40).await);
        let under_way = first.budgets.reserve(TENANT, &whose(""), NOW, NanoDollars(200)).await.unwrap();
        spend(&store, &first.run, 11..=14, NOW).await;
        assert!(books(&database).await.0 > 200);
        // Ends like a crash: nothing is given back. The ledger knows what the finished calls cost.
        std::mem::forget(under_way);
        drop(first);
        let again = Router::at(dir.path(), &store);
        assert!(again.budgets.reclaim_own().await);
        assert_eq!(books(&database).await, (70, 70), "30 before the budget, 40 under it");
        assert!(again.pay("", 930, 930).await && !again.pay("", 1, 1).await);
    }
}

fn window() -> Window {
    Period::Day.window(NOW)
}

#[tokio::test]
async fn what_a_lost_replica_held_comes_back_after_its_lease() {
    const LEASE: Duration = Duration::from_secs(900);
    for (name, database, store) in stores().await {
        println!("{name}");
        let (lost, other) = (Router::new(&store), Router::new(&store));
        other.set(SubjectKind::Tenant, "", Period::Day, 1_000, 0).await;
        assert!(lost.pay("", 600, 100).await);
        assert!(!other.pay("", 600, 600).await);
        assert_eq!(store.reclaim_lost(LEASE).await.unwrap(), 0, "it is not late yet");
        let age = "UPDATE budget_lease SET renewed_ms = renewed_ms - 1000000 WHERE replica = $1";
        database.execute(age, &params![lost.run.as_str()]).await.unwrap();
        spend(&store, &lost.run, 1..=12, NOW).await;
        assert_eq!(store.reclaim_lost(LEASE).await.unwrap(), 1);
        assert_eq!(store.reclaim_lost(LEASE).await.unwrap(), 0, "once");
        let (granted, parts) = books(&database).await;
        assert!(granted == parts && granted <= 400, "{granted} {parts}");
        other.budgets.round().await;
        assert!(other.pay("", 600, 600).await, "what the ledger does not know of is free again");

        // The lost one was only silent: it holds what was left to it, and what it cannot call back.
        let id = other.budgets.get(TENANT, &tenant_day()).await.unwrap().unwrap().budget.id;
        let ask = LeaseAsk {
            budget: &id,
            window: window(),
            replica: &lost.run,
            target: 600,
            spent: 100,
            committed: 150,
            need: 0,
            ratio: 0.05,
        };
        let leased = store.lease(&ask).await.unwrap().unwrap();
        assert_eq!((leased.granted, leased.enough), (150, true));
        assert_eq!(books(&database).await, (750, 750), "what it cannot call back counts");
    }
}

#[tokio::test]
async fn the_soft_limit_is_noted_once_and_windows_end() {
    for (name, database, store) in stores().await {
        println!("{name}");
        let (one, two) = (Router::new(&store), Router::new(&store));
        one.set(SubjectKind::Tenant, "", Period::Day, 1_000, 100).await;
        assert!(one.pay("", 60, 60).await && two.pay("", 60, 60).await);
        for router in [&one, &two, &one] {
            router.budgets.round().await;
        }
        let standing = one.budgets.get(TENANT, &tenant_day()).await.unwrap().unwrap();
        assert!(standing.soft_passed_ms.is_some(), "together they have passed it");
        assert!(!store.pass_soft(&standing.budget.id, window()).await.unwrap(), "it was noted");
        let reserved = two.budgets.reserve(TENANT, &whose(""), NOW, NanoDollars(1)).await.unwrap();
        assert_eq!(reserved.settle(NanoDollars(0)), ["tenant day"]);

        for router in [&one, &two] {
            router.clock.0.store(NOW + 40 * DAY_MS, Ordering::SeqCst);
            router.budgets.round().await;
            router.budgets.round().await;
            router.budgets.round().await;
        }
        assert_eq!(books(&database).await, (120, 120), "what was held of the old day is back");
        let standing = one.budgets.get(TENANT, &tenant_day()).await.unwrap().unwrap();
        assert_eq!((standing.soft_passed_ms, standing.held), (None, NanoDollars(0)), "a new day");
        assert!(two.pay("", 880, 880).await);
    }
}

#[tokio::test]
async fn while_a_slice_lasts_no_database_is_needed() {
    let database = testing::sqlite(&MIGRATOR).await;
    let store = Arc::new(DatabaseStore::new(database.clone()));
    let router = Router::new(&store);
    router.set(SubjectKind::Tenant, "", Period::Day, 1_000, 0).await;
    assert!(router.pay("", 10, 10).await);
    database.close().await;
    assert!(router.pay("", 40, 40).await, "the rest of the slice");
    let refused = router.budgets.reserve(TENANT, &whose(""), NOW, NanoDollars(1)).await.err();
    assert!(matches!(refused, Some(BudgetError::Store(_))), "{refused:?}");
    let unknown = TenantId::from_u128(2);
    let refused = router.budgets.reserve(unknown, &whose(""), NOW, NanoDollars(1)).await.err();
    assert!(matches!(refused, Some(BudgetError::Store(_))), "a tenant whose budgets nobody knows");
}

#[tokio::test]
async fn budgets_change_only_under_the_right_etag() {
    for (name, _, store) in stores().await {
        println!("{name}");
        let limits = |limit| Some(Limits { limit, soft: 0 });
        let set = async |limits, etag: &str, id: &str| {
            store.set_budget(TENANT, &tenant_day(), limits, etag, id).await.unwrap()
        };
        assert_eq!(set(None, "x", "a").await, SetBudget::Removed, "there is none to remove");
        assert_eq!(set(limits(5), "x", "a").await, SetBudget::Changed);
        let SetBudget::Set(first) = set(limits(5), "", "a").await else { panic!("not made") };
        let SetBudget::Set(same) = set(limits(5), "", "b").await else { panic!("not kept") };
        assert_eq!(first, same, "the same numbers are no change");
        let SetBudget::Set(second) = set(limits(6), &first.etag(), "c").await else { panic!("not changed") };
        assert!(second.etag() != first.etag() && second.id == first.id);
        assert_eq!(set(limits(7), &first.etag(), "d").await, SetBudget::Changed);
        assert_eq!(set(None, &first.etag(), "d").await, SetBudget::Changed);
        assert_eq!(set(None, &second.etag(), "d").await, SetBudget::Removed);
        let SetBudget::Set(third) = set(limits(6), "", "e").await else { panic!("not made") };
        assert_eq!(set(limits(7), &second.etag(), "f").await, SetBudget::Changed, "another budget");
        assert_eq!((third.version, third.id.as_str()), (1, "e"));
        assert_eq!(store.budgets(TenantId::from_u128(2)).await.unwrap(), (0, Vec::new()));
        assert_eq!(store.budgets(TENANT).await.unwrap().1, [third]);

        let made =
            futures_util::future::join_all(
                (0..8).map(|n| {
                    let (store, key) = (&store, key(SubjectKind::Agent, "é", Period::Total));
                    async move {
                        store.set_budget(TENANT, &key, limits(9), "", &format!("race {n}")).await.unwrap()
                    }
                }),
            )
            .await;
        assert!(made.iter().all(|one| *one == made[0]), "who comes at the same time makes one budget");
    }
}

#[tokio::test]
async fn a_start_takes_back_and_a_stop_gives_back() {
    for (name, database, store) in stores().await {
        println!("{name}");
        let dir = tempfile::tempdir().unwrap();
        let open = || {
            let (ledger, task) = Ledger::open(dir.path(), &LedgerConfig::default(), store.clone()).unwrap();
            let clock = Arc::new(Stopped(AtomicI64::new(NOW)));
            let metrics = Metrics::new(&opentelemetry::global::meter("test"));
            let config = BudgetConfig::default();
            let budgets = Budgets::new(store.clone(), clock, ledger.replica(), &config, metrics);
            (ledger, task, Arc::new(budgets))
        };
        let reserve = |budgets: Arc<Budgets>, worst| async move {
            budgets.reserve(TENANT, &whose(""), NOW, NanoDollars(worst)).await.unwrap()
        };
        {
            let (ledger, _task, budgets) = open();
            let limits = Some(Limits { limit: 1_000, soft: 0 });
            budgets.set(TENANT, &tenant_day(), limits, "").await.unwrap();
            reserve(Arc::clone(&budgets), 500).await.settle(NanoDollars(10));
            ledger.append(TENANT, &[UsageRow { ordered_ms: NOW, time_ms: NOW + 10, ..row(1) }]).unwrap();
            // Ends like a crash: the record is in the queue, and nothing is given back.
        }
        let (ledger, task, budgets) = open();
        let (stop, end) = (CancellationToken::new(), CancellationToken::new());
        let drains = tokio::spawn(task.run(end.clone()));
        let (running, stopped) = (Arc::clone(&budgets), stop.clone());
        let rounds = tokio::spawn(async move {
            running.run(&ledger, stopped).await;
            ledger
        });
        let back = async {
            while books(&database).await != (10, 10) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), back).await.expect("what the crashed run held is back");
        reserve(Arc::clone(&budgets), 50).await.settle(NanoDollars(20));
        assert_eq!(books(&database).await, (60, 60), "and a slice");
        stop.cancel();
        rounds.await.unwrap();
        assert_eq!(books(&database).await, (30, 30), "only what was spent stays");
        end.cancel();
        drains.await.unwrap();
    }
}
