//! How far a knowledge base is shown: a point without vectors that stands beside its chunks.

use copydesk_types::{KnowledgeBaseId, TenantId};
use qdrant_client::qdrant::points_update_operation::{DeletePoints, Operation, PointStructList};
use qdrant_client::qdrant::{
    Condition, Filter, GetPoints, PointId, PointStruct, PointsUpdateOperation, QueryPoints, Range,
    ScrollPoints, UpdateBatchPoints, UpdateStatus,
};

use super::Key;
use super::layout::key;
use super::link::{Access, Fault, Link};
use super::point::{Payload, float, id_of, named_vectors, text, unsigned, whole};
use crate::domain::recalled::References;

/// The role of marks.
pub(super) const MARK: &str = "mark";

/// Marks that are read at once.
const PAGE: u32 = 1_000;

/// How far a knowledge base is shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mark {
    /// Points up to this version are shown.
    pub version: u64,
    /// What points up to this version have replaced is gone. The same as `version` unless somebody is at it, or died.
    pub clean: u64,
    /// The mean lengths at which words are weighed.
    pub references: References,
}

impl Mark {
    /// Nothing is shown.
    pub(super) fn nothing(reference: f64) -> Self {
        Self { version: 0, clean: 0, references: References::one(reference) }
    }

    /// Whether what it shows is all of it and nothing else.
    pub(super) fn is_clean(&self) -> bool {
        self.clean == self.version
    }

    pub(super) fn id((tenant, base): Key) -> PointId {
        id_of(&format!("mark {tenant} {base}"))
    }

    pub(super) fn point(&self, of: Key) -> PointStruct {
        let (tenant, base) = of;
        let payload = Payload::from([
            (key::TENANT.to_owned(), tenant.to_string().into()),
            (key::BASE.to_owned(), base.to_string().into()),
            (key::ROLE.to_owned(), MARK.into()),
            (key::VERSION.to_owned(), whole(self.version)),
            (key::CLEAN.to_owned(), whole(self.clean)),
            (key::LOW.to_owned(), self.references.low.into()),
            (key::HIGH.to_owned(), self.references.high.into()),
        ]);
        PointStruct { id: Some(Self::id(of)), payload, vectors: Some(named_vectors(Default::default())) }
    }

    pub(super) fn read(payload: &Payload) -> Option<(Key, Self)> {
        let tenant: TenantId = text(payload, key::TENANT)?.parse().ok()?;
        let base: KnowledgeBaseId = text(payload, key::BASE)?.parse().ok()?;
        let references = References { low: float(payload, key::LOW)?, high: float(payload, key::HIGH)? };
        let (version, clean) = (unsigned(payload, key::VERSION)?, unsigned(payload, key::CLEAN)?);
        Some(((tenant, base), Self { version, clean, references }))
    }
}

/// A query for marks, to be asked together with another.
pub(super) fn query(collection: &str, of: &[Key]) -> QueryPoints {
    QueryPoints {
        collection_name: collection.to_owned(),
        filter: Some(Filter::must([Condition::has_id(of.iter().map(|key| Mark::id(*key)))])),
        limit: Some(of.len() as u64),
        with_payload: Some(true.into()),
        ..QueryPoints::default()
    }
}

/// A step of a batch of changes.
pub(super) fn step(operation: Operation) -> PointsUpdateOperation {
    PointsUpdateOperation { operation: Some(operation) }
}

pub(super) fn upsert(points: Vec<PointStruct>) -> PointsUpdateOperation {
    step(Operation::Upsert(PointStructList { points, ..PointStructList::default() }))
}

pub(super) fn delete(filter: Filter) -> PointsUpdateOperation {
    step(Operation::DeletePoints(DeletePoints { points: Some(filter.into()), shard_key_selector: None }))
}

/// The points of a knowledge base, its mark included.
pub(super) fn of_base((tenant, base): Key) -> [Condition; 2] {
    [Condition::matches(key::TENANT, tenant.to_string()), Condition::matches(key::BASE, base.to_string())]
}

/// Versions below this one.
pub(super) fn born_before(version: u64) -> Condition {
    Condition::range(key::BORN, Range { lt: Some(version as f64), ..Range::default() })
}

impl Link {
    /// The mark of a knowledge base; `None` when nothing of it is there.
    pub(super) async fn mark(&self, collection: &str, of: Key) -> Result<Option<Mark>, Fault> {
        let request = GetPoints {
            collection_name: collection.to_owned(),
            ids: vec![Mark::id(of)],
            with_payload: Some(true.into()),
            ..GetPoints::default()
        };
        let found = self.call("get_mark", Access::Read, |mut clients| {
            let request = request.clone();
            async move { clients.points.get(request).await }
        });
        let found = found.await?.result.pop();
        Ok(found.and_then(|point| Mark::read(&point.payload)).map(|(_, mark)| mark))
    }

    /// Every mark.
    pub(super) async fn marks(&self, collection: &str) -> Result<Vec<(Key, Mark)>, Fault> {
        let (mut marks, mut offset) = (Vec::new(), None);
        loop {
            let request = ScrollPoints {
                collection_name: collection.to_owned(),
                filter: Some(Filter::must([Condition::matches(key::ROLE, MARK.to_owned())])),
                offset,
                limit: Some(PAGE),
                with_payload: Some(true.into()),
                ..ScrollPoints::default()
            };
            let page = self.call("scroll_marks", Access::Read, |mut clients| {
                let request = request.clone();
                async move { clients.points.scroll(request).await }
            });
            let page = page.await?;
            marks.extend(page.result.iter().filter_map(|point| Mark::read(&point.payload)));
            offset = page.next_page_offset;
            if offset.is_none() {
                return Ok(marks);
            }
        }
    }

    /// Makes changes, one after the other, and waits until they are seen.
    pub(super) async fn change(
        &self,
        collection: &str,
        operations: Vec<PointsUpdateOperation>,
    ) -> Result<(), Fault> {
        let request = UpdateBatchPoints {
            collection_name: collection.to_owned(),
            wait: Some(true),
            operations,
            ..UpdateBatchPoints::default()
        };
        let done = self.call("update_batch", Access::Write, |mut clients| {
            let request = request.clone();
            async move { clients.points.update_batch(request).await }
        });
        let done = done.await?.result;
        // They are applied in their order: when the last one is seen, all are.
        let seen = done.last().is_none_or(|last| last.status() == UpdateStatus::Completed);
        let late = |status| matches!(status, UpdateStatus::WaitTimeout | UpdateStatus::ClockRejected);
        if seen && !done.iter().any(|one| late(one.status())) {
            Ok(())
        } else {
            Err(Fault::Late("update_batch"))
        }
    }
}
