//! Rankings.
use std::sync::Arc;

use async_trait::async_trait;
use copydesk_proto::llm_router::v1::{Operation, Task};
use tokio::time::timeout;

use super::Desk;
use super::choice::Wanted;
use super::course::{Course, Departure, Left, Size, Stop};
use super::generate::{Ending, completion};
use super::obtain::Visit;
use super::walk::{Errand, walk};
use crate::domain::{
    Capabilities, Completion, Outcome, RerankCall, RerankOrder, Routing, StopReason, Usage, check_ranking,
    estimate_tokens,
};
use crate::error::Error;
use crate::providers::ProviderError;

/// A ranking and how it came to be.
pub struct Ranked {
    /// Place in the request and score, best first.
    pub results: Vec<(usize, f64)>,
    /// How it came to be.
    pub completion: Completion,
}

impl Desk {
    /// The documents by how well they answer the query.
    ///
    /// # Errors
    /// As [`Error`] says; every attempt is in the ledger all the same.
    #[tracing::instrument(name = "llm_router.rerank", skip_all, fields(gen_ai.operation.name = "rerank", copydesk.documents = order.documents.len()))]
    pub async fn rerank(self: &Arc<Self>, visit: Visit, order: RerankOrder) -> Result<Ranked, Error> {
        let routing = Routing { no_offline: true, ..Routing::default() };
        // Every document is read together with the query.
        let query = estimate_tokens(order.query.len());
        let input = order.documents.iter().map(|text| estimate_tokens(text.len()) + query).sum();
        let wanted = Wanted {
            needs: Capabilities::RERANK,
            task: Task::Unspecified,
            model: order.model.as_deref(),
            routing: &routing,
            input_tokens: order
                .documents
                .iter()
                .map(|text| estimate_tokens(text.len()) + query)
                .max()
                .unwrap_or(0),
            max_output_tokens: 0,
        };
        let departure = Departure {
            tenant: visit.tenant,
            attribution: Arc::new(order.attribution.clone()),
            task: Task::Unspecified,
            operation: Operation::Rerank,
            arrived: visit.arrived,
            deadline: visit.deadline.clone(),
            most: None,
            price_version: String::new(),
        };
        let (course, decision, stops) = self.depart_for(departure, &wanted).await?;
        let pinned = order.model.is_some();
        let errand = Rank { order, input };
        let ((results, usage), stop) = walk(&course, &stops, self.manner(), &errand).await?;
        let end = Ending { stop: &stop, stop_reason: StopReason::End, usage, first_token_us: 0, pinned };
        let completion = completion(&course, decision, end);
        self.ledger.append(visit.tenant, &course.take_rows())?;
        Ok(Ranked { results, completion })
    }
}

/// Asks for a ranking.
struct Rank {
    order: RerankOrder,
    input: u64,
}

#[async_trait]
impl Errand for Rank {
    type Gain = (Vec<(usize, f64)>, Usage);

    async fn ask(&self, course: &Arc<Course>, stop: &Stop) -> Result<Self::Gain, Left> {
        let (target, order) = (&stop.target, &self.order);
        let open = course.open(stop, Size { input: self.input, output: 0 }).await?;
        let call = RerankCall {
            model: target.model.clone(),
            query: order.query.clone(),
            documents: order.documents.clone(),
            top_n: order.top_n,
        };
        let asked = timeout(open.limit(target.total), target.provider.rerank(&call)).await;
        let reply =
            match asked.unwrap_or_else(|_| Err(ProviderError::new(Outcome::Timeout, "no answer in time"))) {
                Ok(reply) => reply,
                Err(error) => {
                    open.failed(&error);
                    return Err(error.into());
                }
            };
        match check_ranking(reply.results, order.documents.len(), order.top_n) {
            Ok(results) => Ok((results, open.done(reply.usage))),
            Err(fault) => {
                open.useless(reply.usage);
                Err(ProviderError::new(Outcome::BadReply, "the ranking is faulty").with_source(fault).into())
            }
        }
    }
}
