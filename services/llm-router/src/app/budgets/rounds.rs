//! What is done about budgets in the background: seeing changes, giving back what is not needed, renewing leases, noting
//! soft limits, taking back what lost replicas held.
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use copydesk_store::StoreError;
use copydesk_types::TenantId;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Budgets;
use super::held::Held;
use super::lines::Lines;
use crate::app::Ledger;

/// How long a change of a budget may go unnoticed, and unused money be held.
const ROUND: Duration = Duration::from_secs(2);

/// How many rounds lie between two looks for lost replicas, and after how many a tenant without budgets is forgotten.
const SELDOM: u64 = 30;

impl Budgets {
    /// Works until `stop`, then gives back everything that is not in use. What earlier runs of this replica held is
    /// taken back as soon as the ledger has all their records.
    pub async fn run(&self, ledger: &Ledger, stop: CancellationToken) {
        let mut rounds = interval(ROUND);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut count, mut reclaimed) = (0_u64, false);
        while stop.run_until_cancelled(rounds.tick()).await.is_some() {
            if !reclaimed && ledger.flushed().await.is_ok() {
                reclaimed = self.reclaim_own().await;
            }
            if count.is_multiple_of(SELDOM) {
                self.reclaim_lost().await;
                self.forget_idle();
            }
            self.round().await;
            count += 1;
        }
        self.give_back().await;
    }

    /// One round: see changes of budgets, give back what was not needed lately, tell the store what was spent.
    pub async fn round(&self) {
        if let Err(error) = self.refresh().await {
            let cause = &error as &dyn std::error::Error;
            tracing::warn!(error = cause, "could not look for changes of budgets; will try again");
        }
        for held in self.all_held() {
            let keep = held.wanted();
            if held.is_due(keep, Instant::now(), self.lease)
                && let Err(error) = self.renew(&held, keep).await
            {
                let cause = &error as &dyn std::error::Error;
                tracing::warn!(error = cause, "could not renew a budget lease; will try again");
                // The database is away: the next round tries all of them again.
                break;
            }
            self.note_soft(&held).await;
        }
        let now = self.clock.now_ms();
        for lines in self.all_lines() {
            lines.1.all().for_each(|line| line.drop_over(now));
        }
    }

    /// Gives back everything that no running call needs.
    pub async fn give_back(&self) {
        for held in self.all_held() {
            if held.is_due(0, Instant::now(), self.lease)
                && let Err(error) = self.renew(&held, 0).await
            {
                let cause = &error as &dyn std::error::Error;
                tracing::warn!(error = cause, "could not give back a budget lease; it ends by itself");
                return;
            }
            self.note_soft(&held).await;
        }
    }

    /// Ends the leases of earlier runs of this replica; their records must all be in the ledger. False: try again.
    pub async fn reclaim_own(&self) -> bool {
        match self.store.reclaim_own(&self.replica.id, &self.replica.run).await {
            Ok(0) => true,
            Ok(leases) => {
                tracing::info!(leases, "took back what an earlier run held of budgets");
                true
            }
            Err(error) => {
                let cause = &error as &dyn std::error::Error;
                tracing::warn!(error = cause, "could not take back budget leases; will try again");
                false
            }
        }
    }

    /// Takes back what replicas hold that were silent for longer than they may spend it.
    async fn reclaim_lost(&self) {
        // Their clocks need not run exactly as fast as the database's.
        let margin = (self.lease / 10).max(Duration::from_secs(30));
        match self.store.reclaim_lost(self.lease + margin).await {
            Ok(0) => {}
            Ok(leases) => tracing::info!(leases, "took back what lost replicas held of budgets"),
            Err(error) => {
                let cause = &error as &dyn std::error::Error;
                tracing::warn!(error = cause, "could not look for lost replicas; will try again");
            }
        }
    }

    async fn note_soft(&self, held: &Held) {
        if !held.must_note_soft() {
            return;
        }
        let Ok(first) = self.store.pass_soft(held.budget(), held.window).await else { return };
        held.soft_noted();
        if first {
            let key = held.key();
            let (subject, period) = (key.kind.as_str(), key.period.as_str());
            tracing::warn!(tenant = %held.tenant(), subject, name = key.subject, period, "a budget's soft limit is passed");
            self.metrics.budget_alert(subject, period);
        }
    }

    /// Reads the budgets of those tenants again whose budgets have changed.
    async fn refresh(&self) -> Result<(), StoreError> {
        let known = self.all_lines();
        if known.is_empty() {
            return Ok(());
        }
        let tenants: Vec<TenantId> = known.iter().map(|(tenant, _)| *tenant).collect();
        let versions = self.store.budget_changes(&tenants).await?;
        for (tenant, version) in versions {
            if known.iter().any(|(known, lines)| *known == tenant && lines.version < version) {
                self.load(tenant).await?;
            }
        }
        Ok(())
    }

    /// Forgets tenants that have no budgets and made no calls lately.
    fn forget_idle(&self) {
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        tenants.retain(|_, lines| lines.take_used() || !lines.is_empty());
    }

    fn all_lines(&self) -> Vec<(TenantId, Arc<Lines>)> {
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        tenants.iter().map(|(tenant, lines)| (*tenant, Arc::clone(lines))).collect()
    }

    fn all_held(&self) -> Vec<Arc<Held>> {
        let lines = self.all_lines();
        lines.iter().flat_map(|(_, lines)| lines.all()).flat_map(|line| line.all_held()).collect()
    }
}
