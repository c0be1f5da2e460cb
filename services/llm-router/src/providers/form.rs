//! A schema in words, for models whose protocol has no place for it.
use crate::domain::Schema;

/// Asks for an answer by the schema. It says JSON, which some providers want to read before they promise any.
pub fn in_words(schema: &Schema) -> String {
    format!(
        "Answer with one JSON object that satisfies this JSON schema, and with nothing else:\n{}",
        schema.json()
    )
}
