//! Several searches in one pass: knowledge bases are read once, questions are embedded together, passages are read
//! together.

use std::collections::HashMap;

use copydesk_types::{KnowledgeBaseId, TenantId};
use futures_util::{StreamExt, stream};

use super::arrange::Arranged;
use super::meaning::Meaning;
use super::plan::{Plan, Query};
use super::{Found, shown};
use crate::app::Desk;
use crate::domain::records::KnowledgeBase;
use crate::domain::upload::{Fault, Refusal};
use crate::error::{Error, Resource};

/// Searches of a batch that are under way at once.
const AT_ONCE: usize = 8;

/// A search of a batch that must be done.
struct Open {
    at: usize,
    query: Query,
    plan: Plan,
    bases: Vec<KnowledgeBase>,
}

impl Desk {
    /// Searches several times. Each answer is that of [`Desk::search`]; an error of one leaves the others alone.
    ///
    /// # Errors
    /// `Refused` when one of the queries cannot be, with the place of the query before each field; `Store`.
    #[tracing::instrument(
        name = "retrieval.search_batch",
        skip_all,
        fields(copydesk.searches = queries.len())
    )]
    pub async fn search_batch(
        &self,
        tenant: TenantId,
        queries: Vec<Query>,
    ) -> Result<Vec<Result<Found, Error>>, Error> {
        let plans = self.plans(&queries)?;
        let bases = self.bases_of_all(tenant, &queries).await?;
        let mut results: Vec<Option<Result<Found, Error>>> = queries.iter().map(|_| None).collect();
        let mut open = Vec::new();
        for (at, (query, plan)) in queries.into_iter().zip(plans).enumerate() {
            match bases_of(&query, &bases) {
                Ok(bases) => match self.kept(tenant, &query, &bases) {
                    Some(kept) => results[at] = Some(Ok(kept)),
                    None => open.push(Open { at, query, plan, bases }),
                },
                Err(missing) => results[at] = Some(Err(missing)),
            }
        }
        for (at, result) in self.answered(tenant, open).await? {
            results[at] = Some(result);
        }
        let results: Vec<_> = results.into_iter().flatten().collect();
        results.iter().flatten().for_each(|found| self.count(found));
        Ok(results)
    }

    /// The plans of all queries, or the faults of all.
    fn plans(&self, queries: &[Query]) -> Result<Vec<Plan>, Error> {
        let (mut plans, mut faults) = (Vec::with_capacity(queries.len()), Vec::new());
        for (at, query) in queries.iter().enumerate() {
            match self.plan(query) {
                Ok(plan) => plans.push(plan),
                Err(Error::Refused(Refusal(list))) => faults.extend(
                    list.into_iter()
                        .map(|fault| Fault { field: format!("searches[{at}].{}", fault.field), ..fault }),
                ),
                Err(error) => return Err(error),
            }
        }
        if faults.is_empty() { Ok(plans) } else { Err(Refusal(faults).into()) }
    }

    /// Every knowledge base of the batch as it is now, those that are there.
    async fn bases_of_all(
        &self,
        tenant: TenantId,
        queries: &[Query],
    ) -> Result<HashMap<KnowledgeBaseId, KnowledgeBase>, Error> {
        let mut ids: Vec<KnowledgeBaseId> =
            queries.iter().flat_map(|query| query.knowledge_bases.iter().copied()).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut bases = HashMap::with_capacity(ids.len());
        for id in ids {
            if let Some(base) = self.knowledge.knowledge_base(tenant, id).await? {
                bases.insert(id, base);
            }
        }
        Ok(bases)
    }

    /// Answers what is open, each with its place.
    async fn answered(
        &self,
        tenant: TenantId,
        open: Vec<Open>,
    ) -> Result<Vec<(usize, Result<Found, Error>)>, Error> {
        let searches: Vec<(&Plan, &[KnowledgeBase])> =
            open.iter().map(|one| (&one.plan, one.bases.as_slice())).collect();
        let meanings = self.meanings(tenant, &searches).await;
        let arranging =
            open.into_iter().zip(meanings).map(|(one, mut meaning): (Open, Meaning)| async move {
                let arranged = self.arranged(tenant, &one.plan, &one.bases, &mut meaning).await;
                let arranged = match arranged {
                    Ok(mut arranged) => self.has_moved(tenant, &meaning).await.map(|moved| {
                        arranged.whole &= !moved;
                        arranged
                    }),
                    Err(error) => Err(error),
                };
                (one, arranged)
            });
        let done: Vec<_> = stream::iter(arranging).buffered(AT_ONCE).collect().await;
        let arranged: Vec<&Arranged> = done.iter().filter_map(|(_, one)| one.as_ref().ok()).collect();
        let rows = self.rows(tenant, &arranged).await?;
        let mut results = Vec::with_capacity(done.len());
        for (one, arranged) in done {
            let result = match arranged.map(|arranged| shown(arranged, &rows, &one.bases)) {
                Ok((found, true)) => {
                    self.keep(tenant, &one.query, &one.bases, &found);
                    Ok(found)
                }
                // Something was deleted between the lists and the rows: this one is searched again by itself.
                Ok((_, false)) => match self.searched(tenant, &one.query.knowledge_bases).await {
                    Ok(bases) => self.found(tenant, &one.query, &one.plan, bases).await,
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            };
            results.push((one.at, result));
        }
        Ok(results)
    }
}

/// A query's knowledge bases in order of id and each once.
fn bases_of(
    query: &Query,
    bases: &HashMap<KnowledgeBaseId, KnowledgeBase>,
) -> Result<Vec<KnowledgeBase>, Error> {
    let mut ids = query.knowledge_bases.clone();
    ids.sort_unstable();
    ids.dedup();
    let base = |id: &KnowledgeBaseId| {
        let missing = || Error::NotFound(Resource::KnowledgeBase, id.to_string());
        bases.get(id).cloned().ok_or_else(missing)
    };
    ids.iter().map(base).collect()
}
