//! Checks a text against sources, outside of runs.
use std::sync::Arc;

use copydesk_guard::llm_judge::{Opinion, questions, settle};
use copydesk_guard::{Corrected, Report, Source, Thresholds, check, correct_by};
use copydesk_rpc::ServiceError;
use copydesk_types::TenantId;

use super::{App, Material};
use crate::agents::judge::SOURCES_PER_CLAIM;
use crate::domain::count;
use crate::domain::policy::{Lines, Mode};
use crate::domain::safety::JudgeNote;
use crate::error::of_store;
use crate::ports::Place;

/// What is to be checked.
pub(crate) struct Inquiry {
    pub(crate) material: Arc<Material>,
    /// Who decides; `None`: as the policy says.
    pub(crate) mode: Option<Mode>,
    pub(crate) lines: Lines,
    pub(crate) with_correction: bool,
}

/// What came of it.
pub(crate) struct Grounded {
    /// On the text as it was given.
    pub(crate) report: Report,
    /// Which claims the judge decided, as indexes.
    pub(crate) judged: Vec<usize>,
    pub(crate) corrected: Option<Corrected>,
    pub(crate) thresholds: Thresholds,
    pub(crate) judge: Option<JudgeNote>,
}

impl App {
    /// Checks a text. A judge that cannot be had leaves claims uncertain, which is not safe.
    pub(crate) async fn ground(&self, tenant: TenantId, inquiry: Inquiry) -> Result<Grounded, ServiceError> {
        let Inquiry { material, mode, lines, with_correction } = inquiry;
        let policy = self.policy_of(tenant).await.map_err(of_store)?;
        let thresholds = lines.or(policy.lines).thresholds();
        let given = material.clone();
        let report = self.aside(tenant, move || check(&given.text, &given.sources(), &thresholds)).await?;
        let (opinions, note) = match mode.unwrap_or(policy.mode) {
            Mode::Deterministic => (Vec::new(), None),
            Mode::Hybrid => self.hear_outside(tenant, &report, &material.sources()).await?,
        };
        let settled = move || {
            let sources = material.sources();
            let heard = settle(report, &opinions, &sources, &thresholds);
            let corrected =
                with_correction.then(|| correct_by(&material.text, &sources, &thresholds, &opinions));
            (heard, corrected)
        };
        let (heard, corrected) = self.aside(tenant, settled).await?;
        let overruled = count(heard.overruled.len());
        Ok(Grounded {
            report: heard.report,
            judged: heard.decided,
            corrected,
            thresholds,
            judge: note.map(|note| JudgeNote { overruled, ..note }),
        })
    }

    async fn hear_outside(
        &self,
        tenant: TenantId,
        report: &Report,
        sources: &[Source<'_>],
    ) -> Result<(Vec<(String, Opinion)>, Option<JudgeNote>), ServiceError> {
        let open = questions(report, sources, SOURCES_PER_CLAIM);
        if open.is_empty() || sources.is_empty() {
            return Ok((Vec::new(), None));
        }
        let docket = self.docket(tenant, open, sources).await.map_err(of_store)?;
        let reply = match &docket.call {
            None => None,
            Some(call) => {
                let place = Place { step: None, request_id: docket.request_id() };
                let reply = self.ports.model.generate(&place, call).await;
                Some(reply.map_err(|error| format!("{}: {}", error.reason(), error.message())))
            }
        };
        let hearing = self.heard(docket, reply).await.map_err(of_store)?;
        Ok((hearing.opinions, Some(hearing.note)))
    }
}
