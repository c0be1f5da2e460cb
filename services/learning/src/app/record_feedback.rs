//! Storing a verdict and learning from it.

use std::time::Duration;

use copydesk_types::{FeedbackId, LessonId, RunId, TenantId};

use super::{App, Listed, PageRequest};
use crate::domain::accuracy::agreement;
use crate::domain::derive::derive;
use crate::domain::feedback::{Feedback, Verdict};
use crate::domain::fingerprint::fingerprint;
use crate::domain::learning::Learning;
use crate::domain::lesson::{LONGEST_TEXT, Lesson, Source, Wish};
use crate::domain::outcome::Outcome;
use crate::error::Error;
use crate::ports::{Cursor, FeedbackFilter, RequestKey, Stored};

/// Milliseconds between looks for a run's end.
const WAITS: [u64; 6] = [20, 50, 100, 200, 400, 800];

/// A person's verdict on a run, its field rules checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordFeedback {
    /// The caller's key.
    pub request_id: String,
    /// The run it is about.
    pub run: RunId,
    /// What was said.
    pub verdict: Verdict,
    /// Who said it.
    pub principal: String,
}

impl App {
    /// Stores a verdict, the lessons that it teaches and what it means for the lessons that the run was given, all or
    /// nothing. The same call again gives what the first one made and changes nothing.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] when the run's end is not known to this tenant, [`Error::NothingToJudge`] when it
    /// made no text; [`Error::RequestIdReused`].
    #[tracing::instrument(name = "learning.record_feedback", skip_all, fields(copydesk.lessons))]
    pub async fn record_feedback(
        &self,
        tenant: TenantId,
        record: RecordFeedback,
    ) -> Result<(Feedback, Vec<Lesson>), Error> {
        let outcome = self.awaited(tenant, record.run).await?.ok_or(Error::OutcomeUnknown(record.run))?;
        if outcome.text.trim().is_empty() {
            return Err(Error::NothingToJudge(record.run));
        }
        let request = RequestKey { fingerprint: digest(&record), id: record.request_id };
        let feedback = Feedback {
            id: FeedbackId::generate(),
            run: record.run,
            brand: outcome.brand,
            verdict: record.verdict,
            principal: record.principal,
            created_ms: self.clock.now_ms(),
        };
        let learning = self.learn(outcome, &feedback).await?;
        match self.store.record_feedback(tenant, &feedback, &request, &learning).await? {
            Stored::New((feedback, lessons)) => {
                tracing::Span::current().record("copydesk.lessons", lessons.len());
                self.metrics.feedback(feedback.verdict.kind, lessons.len());
                self.gauge_accuracy(tenant, &feedback.verdict).await;
                Ok((feedback, lessons))
            }
            Stored::Known(known) => Ok(known),
            Stored::Reused => Err(Error::RequestIdReused("verdict")),
        }
    }

    /// How a run ended. Whoever watched it to its end may be here a moment before the word of it: it is waited for.
    async fn awaited(&self, tenant: TenantId, run: RunId) -> Result<Option<Outcome>, Error> {
        for pause in WAITS {
            if let Some(outcome) = self.store.outcome(tenant, run).await? {
                return Ok(Some(outcome));
            }
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        Ok(self.store.outcome(tenant, run).await?)
    }

    /// What the verdict says about lessons. The comparison of two long texts is kept off the event loop.
    async fn learn(&self, outcome: Outcome, feedback: &Feedback) -> Result<Learning, Error> {
        let (verdict, draft) = (feedback.verdict.clone(), outcome.text);
        let wishes = tokio::task::spawn_blocking(move || derive(&verdict, &draft)).await?;
        let fresh = |wish: Wish| (LessonId::generate(), wish);
        Ok(Learning {
            brand: outcome.brand,
            content_type: outcome.content_type,
            source: Source { run: outcome.run, topic: outcome.topic.chars().take(LONGEST_TEXT).collect() },
            wishes: wishes.into_iter().map(fresh).collect(),
            used: outcome.lessons,
            effect: feedback.verdict.effect(),
            now_ms: feedback.created_ms,
        })
    }

    /// Measures anew how well the reviewer foretells people. The verdict is stored; a failure here is only logged.
    async fn gauge_accuracy(&self, tenant: TenantId, verdict: &Verdict) {
        if verdict.accepted().is_none() {
            return;
        }
        match self.store.decisions(tenant, self.config.accuracy_window).await {
            Ok(decisions) => {
                if let Some(share) = agreement(&decisions) {
                    self.metrics.accuracy(tenant, share, decisions.len());
                }
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "accuracy was not measured")
            }
        }
    }

    /// A page of verdicts, newest first.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn list_feedback(
        &self,
        tenant: TenantId,
        filter: &FeedbackFilter,
        page: PageRequest,
    ) -> Result<Listed<Feedback>, Error> {
        let rows = self.store.feedback(tenant, filter, &page.rows()).await?;
        Ok(page.listed(rows, |row| Cursor { created_ms: row.created_ms, id: row.id.to_string() }))
    }
}

fn digest(record: &RecordFeedback) -> String {
    let verdict = &record.verdict;
    let marks = format!("{} {} {}", record.run, verdict.kind.code(), verdict.rating);
    fingerprint([marks.as_str(), &verdict.comment, &verdict.edited_text])
}
