//! The door: reads a message, calls the desk, writes a message. What is decided here is only whether a message can be
//! read at all.

mod attributes;
mod convert;
mod filter;
mod ingestion;
mod knowledge;
mod search;
mod snapshots;
mod source;
mod stages;
mod web;

use copydesk_proto::retrieval::v1 as pb;
use copydesk_rpc::{Kind, ServiceError, Violations, paging};
use copydesk_types::TenantId;
use tonic::service::Routes;

use crate::app::Desk;

/// Full names of the gRPC services behind the door.
pub(crate) const GRPC_SERVICES: [&str; 5] = [
    "copydesk.retrieval.v1.KnowledgeService",
    "copydesk.retrieval.v1.IngestionService",
    "copydesk.retrieval.v1.SearchService",
    "copydesk.retrieval.v1.SnapshotService",
    "copydesk.retrieval.v1.WebService",
];

/// The services over one desk.
#[derive(Clone)]
struct Door {
    desk: Desk,
}

/// Largest answer: a document's text with room for its fields.
const LARGEST_ANSWER: usize = 64 * 1024;

/// The routes of the service.
pub(crate) fn routes(desk: Desk) -> Routes {
    let document = usize::try_from(desk.config.limits.max_document_bytes).unwrap_or(usize::MAX);
    let door = Door { desk };
    let knowledge = pb::knowledge_service_server::KnowledgeServiceServer::new(door.clone())
        .max_encoding_message_size(document.saturating_add(LARGEST_ANSWER));
    let ingestion = pb::ingestion_service_server::IngestionServiceServer::new(door.clone());
    let search = pb::search_service_server::SearchServiceServer::new(door.clone());
    let snapshots = pb::snapshot_service_server::SnapshotServiceServer::new(door.clone());
    let web = pb::web_service_server::WebServiceServer::new(door);
    let routes = Routes::new(knowledge).add_service(ingestion).add_service(search);
    routes.add_service(snapshots).add_service(web)
}

/// A value whose absence is told by the violations.
fn read<T>(value: Option<T>, violations: Violations) -> Result<T, ServiceError> {
    violations.finish()?;
    value.ok_or_else(|| {
        ServiceError::new(Kind::InvalidArgument, "INVALID_FIELDS", "a required field is missing")
    })
}

/// An id that a request names.
fn one<T>(field: &str, id: &str) -> Result<T, ServiceError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let mut violations = Violations::new();
    let id = violations.parse(field, id);
    read(id, violations)
}

/// The size of a page and the id that the page before ended with.
fn page<T: std::str::FromStr>(
    tenant: TenantId,
    list: &str,
    size: u32,
    token: &str,
) -> Result<(u32, Option<T>), ServiceError> {
    let mut violations = Violations::new();
    let size = paging::size(size, &mut violations);
    let cursor = paging::decode(tenant, list, token, &mut violations);
    let before = cursor.map(|cursor| cursor.parse().ok());
    violations.check(
        before.as_ref().is_none_or(Option::is_some),
        "page_token",
        "is not a token of this list",
    );
    violations.finish()?;
    Ok((size, before.flatten()))
}
