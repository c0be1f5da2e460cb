//! Search on the web. What comes back is strangers' words: material for an angle, never evidence.
use copydesk_rpc::ServiceError;

use super::Tool;
use crate::domain::passage::WebNote;
use crate::domain::spec::RunSpec;
use crate::ports::{Web, WebQuery};

/// The tool.
pub const TOOL: Tool = Tool {
    name: "web_search",
    summary: "finds what the web says about a topic; only for runs that allow it",
    agents: &["researcher"],
};

/// Results that are looked at.
const RESULTS: u32 = 5;
/// The longest question that is sent, in characters.
const LONGEST: usize = 400;

/// What is asked: the topic alone, so that nothing of the brand's documents leaves the house.
pub fn query(spec: &RunSpec) -> WebQuery {
    WebQuery { query: spec.topic.chars().take(LONGEST).collect(), max_results: RESULTS }
}

/// Searches. Nothing found is no error.
pub async fn call(web: &dyn Web, query: &WebQuery) -> Result<Vec<WebNote>, ServiceError> {
    web.search(query).await
}
