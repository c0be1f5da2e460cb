//! Vectors. Each text is embedded once, in batches, and what is known from earlier calls is not asked for again. Vectors
//! of different models do not compare, so one model answers, and no other takes its place.
use std::sync::Arc;

use async_trait::async_trait;
use copydesk_proto::llm_router::v1::{EmbedPurpose, Operation, Task};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::time::timeout;

use super::choice::Wanted;
use super::course::{Course, Departure, Left, Size, Stop};
use super::generate::{Ending, completion};
use super::obtain::Visit;
use super::walk::{Errand, walk};
use super::{Desk, Target};
use crate::domain::{
    Capabilities, Completion, Distinct, EmbedCall, EmbedOrder, Outcome, Routing, StopReason, Usage, batches,
    check_vectors, decode_vector, embedding_key, encode_vector, estimate_tokens,
};
use crate::error::Error;
use crate::providers::ProviderError;

/// How many batches of one call are under way at once.
const AT_ONCE: usize = 4;

/// Vectors and how they came to be.
pub struct Embedded {
    /// One for each input, in their order.
    pub vectors: Vec<Vec<f32>>,
    /// How they came to be.
    pub completion: Completion,
    /// How many of the inputs were known.
    pub cached: usize,
}

/// What the vectors are to be.
struct Form {
    dimensions: Option<u32>,
    purpose: EmbedPurpose,
}

impl Desk {
    /// One vector for each text.
    ///
    /// # Errors
    /// As [`Error`] says; every attempt is in the ledger all the same, and the vectors of the batches that went well are
    /// kept for the next try.
    #[tracing::instrument(name = "llm_router.embed", skip_all, fields(gen_ai.operation.name = "embeddings", copydesk.inputs = order.inputs.len()))]
    pub async fn embed(self: &Arc<Self>, visit: Visit, order: EmbedOrder) -> Result<Embedded, Error> {
        let EmbedOrder { attribution, model, inputs, dimensions, purpose } = order;
        let (count, routing) = (inputs.len(), Routing { no_offline: true, ..Routing::default() });
        let wanted = Wanted {
            needs: Capabilities::EMBED,
            task: Task::Unspecified,
            model: model.as_deref(),
            routing: &routing,
            input_tokens: inputs.iter().map(|text| estimate_tokens(text.len())).max().unwrap_or(0),
            max_output_tokens: 0,
        };
        let tenant = visit.tenant;
        let departure = Departure {
            tenant,
            attribution: Arc::new(attribution),
            task: Task::Unspecified,
            operation: Operation::Embed,
            arrived: visit.arrived,
            deadline: visit.deadline.clone(),
            most: None,
            price_version: String::new(),
        };
        let (course, decision, mut stops) = self.depart_for(departure, &wanted).await?;
        stops.truncate(1);
        let stop = stops.first().cloned().ok_or(Error::Vanished)?;
        let distinct = Distinct::of(inputs);
        let form = Form { dimensions, purpose };
        let mut known = self.known(tenant, &stop.target, &distinct.texts, &form).await;
        let cached = distinct.places.iter().filter(|place| known[**place].is_some()).count();
        let usage = self.fill(&course, &stops, &distinct.texts, &form, &mut known).await?;
        let each: Vec<Vec<f32>> = known.into_iter().flatten().collect();
        // Each batch was checked alone; a model that changed between two of them, or since some were kept, is not.
        check_vectors(&each, distinct.texts.len(), dimensions, stop.target.embedding_dimensions)
            .map_err(|fault| Error::BadVectors { model: stop.target.name.to_string(), fault })?;
        let vectors = distinct.spread(&each).ok_or(Error::Vanished)?;
        let end = Ending {
            stop: &stop,
            stop_reason: StopReason::End,
            usage,
            first_token_us: 0,
            pinned: model.is_some(),
        };
        debug_assert_eq!(vectors.len(), count);
        let completion = completion(&course, decision, end);
        self.ledger.append(tenant, &course.take_rows())?;
        Ok(Embedded { vectors, completion, cached })
    }

    /// Those that are known from earlier calls.
    async fn known(
        &self,
        tenant: copydesk_types::TenantId,
        target: &Target,
        texts: &[String],
        form: &Form,
    ) -> Vec<Option<Vec<f32>>> {
        if self.embedding_ttl().is_zero() {
            return vec![None; texts.len()];
        }
        let key = |text: &String| embedding_key(tenant, &target.name, form.dimensions, form.purpose, text);
        let keys: Vec<_> = texts.iter().map(key).collect();
        let kept = self.cache.get_many(&keys).await;
        // The configuration may have changed since.
        let fits = |vector: &Vec<f32>| {
            check_vectors(std::slice::from_ref(vector), 1, form.dimensions, target.embedding_dimensions)
                .is_ok()
        };
        kept.into_iter().map(|bytes| bytes.as_deref().and_then(decode_vector).filter(fits)).collect()
    }

    /// Asks for those that are not known, in batches.
    async fn fill(
        &self,
        course: &Arc<Course>,
        stops: &[Stop],
        texts: &[String],
        form: &Form,
        known: &mut [Option<Vec<f32>>],
    ) -> Result<Usage, Error> {
        let missing: Vec<usize> = (0..texts.len()).filter(|at| known[*at].is_none()).collect();
        let wanted: Vec<&str> = missing.iter().map(|at| texts[*at].as_str()).collect();
        let most = stops.first().map_or(1, |stop| stop.target.embedding_batch);
        let manner = self.manner();
        let work = batches(&wanted, most).into_iter().map(|range| {
            let inputs: Vec<String> = wanted[range.clone()].iter().map(|text| (*text).to_owned()).collect();
            let batch = Batch { inputs, dimensions: form.dimensions, purpose: form.purpose };
            async move {
                let ((vectors, usage), stop) = walk(course, stops, manner, &batch).await?;
                self.keep_vectors(course, &stop.target, &batch, &vectors).await;
                Ok::<_, Error>((range, vectors, usage))
            }
        });
        let mut done = stream::iter(work).buffer_unordered(AT_ONCE);
        let mut sum = Usage::default();
        while let Some((range, vectors, usage)) = done.try_next().await? {
            sum = sum.plus(usage);
            for (at, vector) in missing[range].iter().zip(vectors) {
                known[*at] = Some(vector);
            }
        }
        Ok(sum)
    }

    async fn keep_vectors(&self, course: &Course, target: &Target, batch: &Batch, vectors: &[Vec<f32>]) {
        if self.embedding_ttl().is_zero() {
            return;
        }
        let key =
            |text: &String| embedding_key(course.tenant, &target.name, batch.dimensions, batch.purpose, text);
        let entries =
            batch.inputs.iter().zip(vectors).map(|(text, vector)| (key(text), encode_vector(vector)));
        self.cache.put_many(entries.collect(), self.embedding_ttl()).await;
    }
}

/// Asks for the vectors of one batch.
struct Batch {
    inputs: Vec<String>,
    dimensions: Option<u32>,
    purpose: EmbedPurpose,
}

#[async_trait]
impl Errand for Batch {
    type Gain = (Vec<Vec<f32>>, Usage);

    async fn ask(&self, course: &Arc<Course>, stop: &Stop) -> Result<Self::Gain, Left> {
        let target = &stop.target;
        let input = self.inputs.iter().map(|text| estimate_tokens(text.len())).sum();
        let open = course.open(stop, Size { input, output: 0 }).await?;
        let call = EmbedCall {
            model: target.model.clone(),
            inputs: self.inputs.clone(),
            dimensions: self.dimensions,
            purpose: self.purpose,
        };
        let asked = timeout(open.limit(target.total), target.provider.embed(&call)).await;
        let reply =
            match asked.unwrap_or_else(|_| Err(ProviderError::new(Outcome::Timeout, "no answer in time"))) {
                Ok(reply) => reply,
                Err(error) => {
                    open.failed(&error);
                    return Err(error.into());
                }
            };
        let configured = target.embedding_dimensions;
        match check_vectors(&reply.vectors, self.inputs.len(), self.dimensions, configured) {
            Ok(_) => Ok((reply.vectors, open.done(reply.usage))),
            Err(fault) => {
                open.useless(reply.usage);
                Err(Left::Ended(Error::BadVectors { model: target.name.to_string(), fault }))
            }
        }
    }
}
