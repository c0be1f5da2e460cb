//! How the providers do: what the calls told, and active checks that call no model.
use std::sync::Arc;
use std::time::Duration;

use copydesk_proto::llm_router::v1::Task;
use copydesk_types::TenantId;
use futures_util::future::join_all;
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;

use super::choice::{Wanted, decide_now};
use super::{Catalog, Check, Desk, Target};
use crate::domain::{Capabilities, Outcome, Routing, Tier};
use crate::providers::ProviderError;

/// The longest that one check may take.
const CHECK: Duration = Duration::from_secs(4);

/// How often it is looked whether checks are wanted, when they are not.
const LOOK: Duration = Duration::from_secs(5);

/// The providers at one moment.
pub struct Providers {
    /// The configured models, in their order; those of one provider stand together.
    pub catalog: Arc<Catalog>,
    /// The tier that answers a plain call.
    pub tier: Option<Tier>,
    /// What was wrong with the latest configuration, when it was refused.
    pub refused: Arc<Vec<String>>,
}

impl Desk {
    /// How the providers do; with `check` they are asked first.
    #[tracing::instrument(name = "llm_router.list_providers", skip_all, fields(copydesk.check = check))]
    pub async fn list_providers(&self, tenant: TenantId, check: bool) -> Providers {
        let catalog = self.catalog();
        if check {
            self.check_all(&catalog).await;
        }
        let attribution = crate::domain::Attribution::default();
        let left = self.budgets.left(tenant, &attribution, self.clock.now_ms()).await;
        let wanted = Wanted {
            needs: Capabilities::CHAT,
            task: Task::Unspecified,
            model: None,
            routing: &Routing::default(),
            input_tokens: 1,
            max_output_tokens: 1,
        };
        let decision = decide_now(&catalog, &wanted, left, 0);
        let first = decision.chain().next().map(|candidate| &catalog.targets()[candidate.index]);
        let tier = first.map(|target| standing_tier(&catalog, target));
        Providers { catalog, tier, refused: self.live.refused() }
    }

    /// Checks every provider now and then, as often as the configuration wants it, until `stop`.
    pub async fn check_providers(&self, stop: CancellationToken) {
        let mut ticks = interval(LOOK);
        let mut since = Duration::ZERO;
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let catalog = self.catalog();
            let wanted = Duration::from_secs(catalog.config().health_interval_s.into());
            since += LOOK;
            if wanted.is_zero() || since < wanted {
                continue;
            }
            since = Duration::ZERO;
            if stop.run_until_cancelled(self.check_all(&catalog)).await.is_none() {
                return;
            }
        }
    }

    /// Asks every provider whether it is there, all at once.
    async fn check_all(&self, catalog: &Catalog) {
        let mut firsts: Vec<&Arc<Target>> = Vec::new();
        for target in catalog.targets() {
            if firsts.last().is_none_or(|last| last.provider_name != target.provider_name) {
                firsts.push(target);
            }
        }
        join_all(firsts.into_iter().map(|target| self.check(target))).await;
    }

    async fn check(&self, target: &Target) {
        let late = || ProviderError::new(Outcome::Timeout, "no answer to a check in time");
        let found = timeout(CHECK, target.provider.health()).await.unwrap_or_else(|_| Err(late()));
        let outcome = found.map_or_else(
            |error| {
                let cause = &error as &dyn std::error::Error;
                tracing::warn!(provider = %target.provider_name, error = cause, "a provider failed its check");
                error.outcome
            },
            |()| Outcome::Ok,
        );
        target.provider_health.checked(Check { outcome, time_ms: self.clock.now_ms() });
    }
}

/// The tier that a model has where all is well: the first model's is PRIMARY, whoever is left out at the moment.
fn standing_tier(catalog: &Catalog, target: &Target) -> Tier {
    let first = catalog.targets().iter().find(|other| other.capabilities.has(Capabilities::CHAT));
    match first {
        _ if target.offline => Tier::Offline,
        Some(first) if first.name == target.name => Tier::Primary,
        Some(first) if first.provider_name == target.provider_name => Tier::Alternate,
        _ => Tier::Fallback,
    }
}
