//! A tenant's policy for the guard, and how guard and judge compare with its people.
use copydesk_guard::Verdict;
use copydesk_guard::calibrate::{Judged, Proposal, auroc, kappa, propose};
use copydesk_rpc::{Kind, ServiceError};
use copydesk_store::StoreError;
use copydesk_types::TenantId;

use super::App;
use crate::domain::policy::Policy;
use crate::error::of_store;
use crate::ports::{HumanVerdict, StoredPolicy};

/// The latest verdicts that are compared.
const COMPARED: u32 = 10_000;

/// Guard and judge beside people.
#[derive(Debug, PartialEq)]
pub(crate) struct Calibration {
    pub(crate) verdicts: usize,
    pub(crate) not_supported: usize,
    pub(crate) guard_kappa: Option<f64>,
    pub(crate) judged: usize,
    pub(crate) judge_kappa: Option<f64>,
    pub(crate) auroc: Option<f64>,
    pub(crate) proposed: Option<Proposal>,
}

impl App {
    /// The policy that holds for a tenant.
    pub(crate) async fn policy_of(&self, tenant: TenantId) -> Result<Policy, StoreError> {
        Ok(self.ports.guard.policy(tenant).await?.map(|stored| stored.policy).unwrap_or_default())
    }

    /// The tenant's policy, if it has set one.
    pub(crate) async fn guard_policy(&self, tenant: TenantId) -> Result<Option<StoredPolicy>, ServiceError> {
        self.ports.guard.policy(tenant).await.map_err(of_store)
    }

    /// Replaces it, when it has the version `expected`, 0 for none; the new version.
    pub(crate) async fn set_guard_policy(
        &self,
        tenant: TenantId,
        policy: &Policy,
        expected: Option<i64>,
    ) -> Result<i64, ServiceError> {
        let set =
            self.ports.guard.set_policy(tenant, policy, expected, self.now()).await.map_err(of_store)?;
        set.ok_or_else(|| {
            let message = "the policy was changed meanwhile; read it again";
            ServiceError::new(Kind::Aborted, "ETAG_MISMATCH", message)
        })
    }

    /// Keeps what people say; how many verdicts the tenant has.
    pub(crate) async fn record_verdicts(
        &self,
        tenant: TenantId,
        request_id: &str,
        verdicts: &[HumanVerdict],
    ) -> Result<u64, ServiceError> {
        self.ports.guard.record_verdicts(tenant, request_id, verdicts, self.now()).await.map_err(of_store)
    }

    /// Compares guard and judge with the latest verdicts.
    pub(crate) async fn calibration(&self, tenant: TenantId) -> Result<Calibration, ServiceError> {
        let verdicts = self.ports.guard.verdicts(tenant, COMPARED).await.map_err(of_store)?;
        Ok(compare(&verdicts))
    }
}

fn compare(verdicts: &[HumanVerdict]) -> Calibration {
    let bad = |verdict: Verdict| verdict != Verdict::Supported;
    let claims: Vec<Judged> =
        verdicts.iter().map(|v| Judged { risk: v.risk, is_unsupported: bad(v.human) }).collect();
    let judged = || verdicts.iter().filter_map(|v| Some((bad(v.judge?), bad(v.human))));
    Calibration {
        verdicts: verdicts.len(),
        not_supported: claims.iter().filter(|claim| claim.is_unsupported).count(),
        guard_kappa: kappa(verdicts.iter().map(|v| (bad(v.guard), bad(v.human)))),
        judged: judged().count(),
        judge_kappa: kappa(judged()),
        auroc: auroc(&claims),
        proposed: propose(&claims),
    }
}
