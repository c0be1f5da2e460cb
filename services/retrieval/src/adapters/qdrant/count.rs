//! What a search sees, and what is counted in it: how many chunks there are, how long they are, how many hold a term. The
//! server counts, exactly and among the points that the search sees; a number is asked once for each version.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use copydesk_types::{KnowledgeBaseId, TenantId};
use futures_util::future::try_join_all;
use qdrant_client::qdrant::facet_value::Variant;
use qdrant_client::qdrant::{Condition, CountPoints, FacetCounts, Filter, Range};

use super::layout::{Layout, key};
use super::link::{Access, Fault};
use super::mark::{Mark, of_base};
use super::point::numbered;
use super::{Key, QdrantIndex, filter};
use crate::domain::inspection::Term;
use crate::domain::lens::Lens;
use crate::domain::recalled::{self, References, Statistics, counted};
use crate::domain::terms::TermId;
use crate::ports::IndexError;

/// Different lengths that are counted. Chunks have at most some thousand terms.
const LENGTHS: u64 = 1 << 20;

/// What a search sees: each knowledge base up to a version.
pub(super) struct View {
    pub tenant: TenantId,
    pub bases: Vec<(KnowledgeBaseId, Mark)>,
    pub layout: Arc<Layout>,
}

impl View {
    pub(super) fn keys(&self) -> Vec<Key> {
        self.bases.iter().map(|(base, _)| (self.tenant, *base)).collect()
    }

    pub(super) fn place(&self, base: KnowledgeBaseId) -> Option<u16> {
        let at = self.bases.iter().position(|(own, _)| *own == base)?;
        u16::try_from(at).ok()
    }

    pub(super) fn references(&self) -> Option<References> {
        self.bases.iter().map(|(_, mark)| mark.references).reduce(References::and)
    }

    /// The points that it sees.
    pub(super) fn filter(&self) -> Filter {
        let shown = |(base, mark): &(KnowledgeBaseId, Mark)| {
            let [_, base] = of_base((self.tenant, *base));
            let born = Range { lte: Some(mark.version as f64), ..Range::default() };
            Condition::from(Filter::must([base, Condition::range(key::BORN, born)]))
        };
        let tenant = Condition::matches(key::TENANT, self.tenant.to_string());
        let any = Filter::should(self.bases.iter().map(shown));
        Filter::must([tenant, any.into()])
    }

    /// The same through a lens.
    pub(super) fn through(&self, lens: &Lens) -> Filter {
        let mut seen = self.filter();
        seen.must.extend(filter::of_kinds(lens.kinds));
        seen.must.extend(lens.filter.as_deref().map(filter::condition));
        seen
    }
}

impl QdrantIndex {
    /// The statistics of a view and what each term is worth in it.
    pub(super) async fn weighed(
        &self,
        view: &View,
        terms: &[String],
    ) -> Result<(Statistics, Vec<Term>), Fault> {
        let statistics = self.statistics(view).await?;
        let counted = counted(terms);
        let holding = try_join_all(counted.keys().map(|term| self.holding(view, term))).await?;
        Ok((statistics, recalled::weighed(&statistics, counted.into_iter().zip(holding))))
    }

    /// How many chunks a view has and how long they are.
    async fn statistics(&self, view: &View) -> Result<Statistics, Fault> {
        let name = self.name(view, "");
        if let Some(known) = self.statistics.get(&name) {
            return Ok(known);
        }
        let request = FacetCounts {
            collection_name: self.alias().to_owned(),
            key: key::SIZE.to_owned(),
            filter: Some(view.filter()),
            limit: Some(LENGTHS),
            exact: Some(true),
            ..FacetCounts::default()
        };
        let counts = self.link.call("count_lengths", Access::Read, |mut clients| {
            let request = request.clone();
            async move { clients.points.facet(request).await }
        });
        let mut statistics = Statistics::default();
        for hit in counts.await?.hits {
            let length = match hit.value.and_then(|value| value.variant) {
                Some(Variant::StringValue(length)) => length.parse::<u32>().ok(),
                _ => None,
            };
            let length = length.ok_or_else(|| Fault::Unfit("a length is no number".into()))?;
            statistics.chunks += hit.count;
            statistics.length += hit.count * u64::from(length);
            statistics.longest = statistics.longest.max(length);
        }
        self.statistics.insert(name, statistics);
        Ok(statistics)
    }

    /// How many chunks of a view hold a term.
    async fn holding(&self, view: &View, term: &str) -> Result<u64, Fault> {
        let name = self.name(view, term);
        if let Some(known) = self.holding.get(&name) {
            return Ok(known);
        }
        let mut filter = view.filter();
        filter.must.push(Condition::matches(key::TERMS, numbered(TermId::of(term))));
        let request = CountPoints {
            collection_name: self.alias().to_owned(),
            filter: Some(filter),
            exact: Some(true),
            ..CountPoints::default()
        };
        let count = self.link.call("count_holders", Access::Read, |mut clients| {
            let request = request.clone();
            async move { clients.points.count(request).await }
        });
        let count = count.await?.result.unwrap_or_default().count;
        self.holding.insert(name, count);
        Ok(count)
    }

    /// The mean length of a knowledge base's chunks, and the lengths at which its words are weighed.
    pub(super) async fn lengths(&self, of: Key, mark: Mark) -> Result<(f64, References), IndexError> {
        let view = View { tenant: of.0, bases: vec![(of.1, mark)], layout: self.layout().await? };
        Ok((self.statistics(&view).await?.average(), mark.references))
    }

    /// What a number of a view is remembered under. Versions of a knowledge base never come again.
    fn name(&self, view: &View, term: &str) -> [u8; 32] {
        let mut hash = blake3::Hasher::new();
        hash.update(&self.epoch.load(Ordering::Relaxed).to_le_bytes());
        for (base, mark) in &view.bases {
            hash.update(&base.as_u128().to_le_bytes()).update(&mark.version.to_le_bytes());
        }
        *hash.update(term.as_bytes()).finalize().as_bytes()
    }
}
