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

/// The other sides from which research looks at a topic that was found, asked at the same time: one question alone
/// finds one document's passages again and again, and a text needs the problem, the way and the result.
pub const FACETS: [&str; 3] =
    ["problem, cause and limits", "how it works and what changed", "measured results"];

/// What is asked when a run's topic is looked up in these sources, from one side; the empty facet is the topic alone.
pub fn query(spec: &RunSpec, sources: Sources, facet: &str) -> SearchQuery {
    SearchQuery {
        knowledge_base_ids: spec.knowledge_base_ids.iter().map(ToString::to_string).collect(),
        query: if facet.is_empty() { spec.topic.clone() } else { format!("{}: {facet}", spec.topic) },
        content_type: spec.content_type,
        sources,
    }
}

/// Searches. Nothing found is no error.
pub async fn call(library: &dyn Library, query: &SearchQuery) -> Result<Found, ServiceError> {
    library.search(query).await
}
