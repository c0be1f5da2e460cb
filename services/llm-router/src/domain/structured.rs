//! Answers that must have a form: reading them, checking them, asking once more.
use std::fmt;

use copydesk_proto::llm_router::v1::Role;
use serde_json::{Map, Value};

use super::Turn;

mod size;

/// The most errors that are told to a model; more would not make its second try better.
pub(super) const MAX_ERRORS: usize = 8;

/// The most characters of one error, since an error quotes what it complains about.
const MAX_ERROR_CHARS: usize = 200;

/// The deepest answer: a level more costs several in the protobuf form of JSON, whose readers stop at a hundred.
pub(super) const MAX_DEPTH: usize = 24;

/// A JSON schema, ready to check with.
#[derive(Clone)]
pub struct Schema {
    json: Value,
    validator: std::sync::Arc<jsonschema::Validator>,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").field("json", &self.json).finish_non_exhaustive()
    }
}

impl Schema {
    /// Reads a schema of draft 2020-12. References to other documents are not followed.
    ///
    /// # Errors
    /// What is wrong with the schema, for its author to read.
    pub fn compile(json: Value) -> Result<Self, String> {
        size::check(&json)?;
        let validator = jsonschema::draft202012::options()
            // A pattern comes from the caller: this engine takes linear time, the default one may take for ever.
            .with_pattern_options(jsonschema::PatternOptions::regex())
            .build(&json)
            .map_err(|error| shorten(&error.to_string()))?;
        Ok(Self { json, validator: std::sync::Arc::new(validator) })
    }

    /// The schema itself.
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// Reads the object that a model wrote, forgiving a code fence or words around it, and checks it.
    ///
    /// # Errors
    /// What is wrong, one line per fault, for the model's second try.
    pub fn read(&self, text: &str) -> Result<Map<String, Value>, Vec<String>> {
        let value = parse(text).ok_or_else(|| vec!["the answer is not one JSON object".to_owned()])?;
        if depth(&value) > MAX_DEPTH {
            return Err(vec![format!("the answer is nested more than {MAX_DEPTH} deep")]);
        }
        let errors: Vec<String> = self.faults(&value).take(MAX_ERRORS).map(|(_, fault)| fault).collect();
        match value {
            Value::Object(map) if errors.is_empty() => Ok(map),
            _ if errors.is_empty() => Err(vec!["the answer is not a JSON object".to_owned()]),
            _ => Err(errors),
        }
    }

    /// Everything wrong with a value: where, as a JSON pointer, and what, the place included.
    pub(super) fn faults<'a>(&'a self, value: &'a Value) -> impl Iterator<Item = (String, String)> + 'a {
        self.validator.iter_errors(value).map(|error| {
            let place = error.instance_path().to_string();
            let fault = shorten(&format!("{place}: {error}"));
            (place, fault)
        })
    }
}

/// The turns that show a model its faulty answer and ask for a better one.
pub fn repair_turns(answer: &str, errors: &[String]) -> Vec<Turn> {
    let faults: String = errors.iter().map(|error| format!("- {error}\n")).collect();
    let text = format!(
        "Your answer does not satisfy the JSON schema:\n{faults}Answer again with the corrected JSON object only."
    );
    let shown = if answer.trim().is_empty() { "(empty)" } else { answer };
    vec![Turn::text(Role::Assistant, shown), Turn::text(Role::User, text)]
}

/// The first JSON value of a text, with or without words around it.
pub(super) fn parse(text: &str) -> Option<Value> {
    let trimmed = text.trim();
    if let Ok(value) = serde_json::from_str(trimmed) {
        return Some(value);
    }
    let start = trimmed.find('{')?;
    let mut values = serde_json::Deserializer::from_str(&trimmed[start..]).into_iter::<Value>();
    values.next()?.ok()
}

/// Levels of arrays and objects. The parser bounds it, so that this cannot run out of stack.
pub(super) fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(map) => map.values().map(depth).max(),
        _ => return 0,
    };
    1 + inner.unwrap_or(0)
}

fn shorten(text: &str) -> String {
    text.chars().take(MAX_ERROR_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Schema {
        Schema::compile(json!({
            "type": "object", "required": ["score"],
            "properties": {"score": {"type": "number", "maximum": 10}, "notes": {"type": "array", "items": {"type": "string"}}}
        }))
        .unwrap()
    }

    #[test]
    fn reads_objects_with_and_without_wrapping() {
        for text in
            [r#"{"score": 3}"#, "```json\n{\"score\": 3}\n```", "Here it is: {\"score\": 3} – good luck"]
        {
            assert_eq!(schema().read(text).map(|m| m["score"].clone()), Ok(json!(3)), "{text}");
        }
    }

    #[test]
    fn says_every_fault() {
        let errors = schema().read(r#"{"score": 11, "notes": [1]}"#).unwrap_err();
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(
            errors.iter().any(|e| e.starts_with("/score"))
                && errors.iter().any(|e| e.starts_with("/notes/0"))
        );
        for text in ["", "nothing", "[1]", "{\"score\": 3", "\"x\""] {
            assert!(schema().read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_schema() {
        assert!(Schema::compile(json!({"type": "thing"})).is_err());
        assert!(Schema::compile(json!({"$ref": "https://example.com/schema.json"})).is_err());
    }

    #[test]
    fn repair_names_the_faults() {
        let turns = repair_turns("", &["/score: too big".into()]);
        assert_eq!(turns[0].text, "(empty)");
        assert!(turns[1].text.contains("- /score: too big\n"));
    }
}
