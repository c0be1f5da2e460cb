//! What was learned from earlier texts.
use copydesk_rpc::ServiceError;

use super::Tool;
use crate::domain::direction::Lesson;
use crate::ports::{Archive, LessonQuery};

/// The tool.
pub const TOOL: Tool = Tool {
    name: "lessons",
    summary: "finds what people asked for after earlier texts of the brand",
    agents: &["analyst"],
};

/// Asks for lessons, best first.
pub async fn call(archive: &dyn Archive, query: &LessonQuery) -> Result<Vec<Lesson>, ServiceError> {
    archive.lessons(query).await
}
