//! The documents of uploads and quotas as messages.

use copydesk_proto::retrieval::v1 as pb;
use copydesk_rpc::{ServiceError, Violations};
use copydesk_types::IngestionId;

use super::convert;
use crate::app::Change;
use crate::domain::records::IngestionState;
use crate::domain::stages::{Allowance, IngestionDocument, Stage, Usage};
use crate::ports::IngestionFilter;

pub(super) fn change(change: Change) -> pb::WatchIngestionResponse {
    pb::WatchIngestionResponse {
        ingestion: Some(convert::ingestion(change.ingestion)),
        documents: change.documents.into_iter().map(document).collect(),
    }
}

pub(super) fn document(document: IngestionDocument) -> pb::IngestionDocument {
    pb::IngestionDocument {
        key: document.key,
        stage: stage_value(document.stage).into(),
        attempts: document.attempts,
        reason: document.reason,
        message: document.message,
        document_id: document.document.map(|id| id.to_string()).unwrap_or_default(),
        chunks: document.chunks,
        size_bytes: document.size,
        update_time: Some(convert::timestamp(document.update_time)),
    }
}

const fn stage_value(stage: Stage) -> pb::DocumentStage {
    use pb::DocumentStage as Pb;
    match stage {
        Stage::Waiting => Pb::Waiting,
        Stage::Parsing => Pb::Parsing,
        Stage::Chunking => Pb::Chunking,
        Stage::Embedding => Pb::Embedding,
        Stage::Storing => Pb::Storing,
        Stage::Done => Pb::Done,
        Stage::Unchanged => Pb::Unchanged,
        Stage::Failed => Pb::Failed,
        Stage::Poisoned => Pb::Poisoned,
        Stage::Cancelled => Pb::Cancelled,
    }
}

fn stage(value: i32) -> Option<Stage> {
    let value = pb::DocumentStage::try_from(value).ok()?;
    Stage::ALL.into_iter().find(|stage| stage_value(*stage) == value)
}

fn state(value: i32) -> Option<IngestionState> {
    use pb::IngestionState as Pb;
    match Pb::try_from(value).ok()? {
        Pb::Unspecified => None,
        Pb::Queued => Some(IngestionState::Queued),
        Pb::Running => Some(IngestionState::Running),
        Pb::Succeeded => Some(IngestionState::Succeeded),
        Pb::Failed => Some(IngestionState::Failed),
        Pb::Cancelled => Some(IngestionState::Cancelled),
    }
}

/// The filter of a list of ingestions, and the list's name with it, to which page tokens are bound.
pub(super) fn ingestion_filter(
    request: &pb::ListIngestionsRequest,
) -> Result<(IngestionFilter, String), ServiceError> {
    let mut violations = Violations::new();
    let state = convert::filter("state", request.state, state, &mut violations);
    let knowledge_base = match request.knowledge_base_id.as_str() {
        "" => None,
        id => violations.parse("knowledge_base_id", id),
    };
    violations.finish()?;
    let list = format!("ListIngestions {} {}", request.knowledge_base_id, request.state);
    Ok((IngestionFilter { knowledge_base, state }, list))
}

/// Whose documents, at which stage, and the list's name with it.
pub(super) fn document_filter(
    request: &pb::ListIngestionDocumentsRequest,
) -> Result<(IngestionId, Option<Stage>, String), ServiceError> {
    let mut violations = Violations::new();
    let id = violations.parse("ingestion_id", &request.ingestion_id);
    let stage = convert::filter("stage", request.stage, stage, &mut violations);
    let id: IngestionId = super::read(id, violations)?;
    Ok((id, stage, format!("ListIngestionDocuments {id} {}", request.stage)))
}

pub(super) fn quota(usage: Usage, allowance: Allowance) -> pb::Quota {
    let of = |used, limit| Some(pb::QuotaUse { used, limit });
    pb::Quota {
        documents: of(usage.documents, allowance.documents),
        chunks: of(usage.chunks, allowance.chunks),
        bytes: of(usage.bytes, allowance.bytes),
        open_ingestions: of(usage.open_ingestions, allowance.open_ingestions),
        waiting_bytes: usage.waiting_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_has_its_twin() {
        for one in Stage::ALL {
            assert_eq!(stage(stage_value(one).into()), Some(one));
        }
        assert_eq!((stage(0), stage(99), state(0), state(99)), (None, None, None, None));
    }
}
