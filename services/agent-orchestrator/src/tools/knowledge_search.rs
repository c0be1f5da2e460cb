//! Search in the brand's knowledge bases.
use copydesk_rpc::ServiceError;

use super::Tool;
use crate::domain::spec::RunSpec;
use crate::ports::{Found, Library, SearchQuery, Sources};

/// The tool.
pub const TOOL: Tool = Tool {
    name: "knowledge_search",
    summary: "finds passages of the brand's documents that answer a question",
    agents: &["researcher", "analyst"],
};

/// What is asked when a run's topic is looked up in these sources.
pub fn query(spec: &RunSpec, sources: Sources) -> SearchQuery {
    SearchQuery {
        knowledge_base_ids: spec.knowledge_base_ids.iter().map(ToString::to_string).collect(),
        query: spec.topic.clone(),
        content_type: spec.content_type,
        sources,
    }
}

/// Searches. Nothing found is no error.
pub async fn call(library: &dyn Library, query: &SearchQuery) -> Result<Found, ServiceError> {
    library.search(query).await
}
