//! Measured figures of how the brand writes.
use copydesk_rpc::ServiceError;

use super::Tool;
use crate::ports::{Archive, FiguresQuery};

/// The tool.
pub const TOOL: Tool = Tool {
    name: "brand_metrics",
    summary: "measures the brand's published texts: sentence length, readability, favourite phrases",
    agents: &["analyst"],
};

/// Asks for the figures as one line; `None` when nothing has been published.
pub async fn call(archive: &dyn Archive, query: &FiguresQuery) -> Result<Option<String>, ServiceError> {
    archive.figures(query).await
}
