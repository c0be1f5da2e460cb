//! Answers with a form: which one a schema asks for, and how to fill it.
use serde_json::{Map, Value};

/// A schema whose properties the writer does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schema asks for {0}, which the offline writer cannot make")]
pub struct Unsupported(String);

/// What a schema asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Findings,
    Angles,
    Review,
    Finish,
    Observations,
}

/// Which property gives a shape away.
const MARKS: [(&str, Shape); 8] = [
    ("findings", Shape::Findings),
    ("angles", Shape::Angles),
    ("score", Shape::Review),
    ("notes", Shape::Review),
    ("hashtags", Shape::Finish),
    ("hook", Shape::Finish),
    ("caption", Shape::Finish),
    ("observations", Shape::Observations),
];

impl Shape {
    /// What a schema asks for, told by its properties.
    pub(super) fn of(schema: &Value) -> Result<Self, Unsupported> {
        let empty = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let mark = MARKS.iter().find(|(name, _)| properties.contains_key(*name));
        mark.map(|(_, shape)| *shape).ok_or_else(|| Unsupported(list(properties)))
    }
}

fn list(properties: &Map<String, Value>) -> String {
    let names: Vec<&str> = properties.keys().map(String::as_str).take(10).collect();
    if names.is_empty() { "no known property".to_owned() } else { names.join(", ") }
}

/// The part of a value that the schema has a place for.
pub(super) fn fit(value: Value, schema: &Value) -> Result<Value, Unsupported> {
    match value {
        Value::Object(map) => fit_object(map, schema),
        Value::Array(items) => {
            let most = schema.get("maxItems").and_then(Value::as_u64).map_or(usize::MAX, |n| n as usize);
            let inner = schema.get("items").unwrap_or(&Value::Null);
            items.into_iter().take(most).map(|item| fit(item, inner)).collect()
        }
        Value::Number(number) if schema.get("type").and_then(Value::as_str) == Some("integer") => {
            Ok(Value::from(number.as_f64().unwrap_or(0.0).round() as i64))
        }
        other => Ok(other),
    }
}

fn fit_object(mut map: Map<String, Value>, schema: &Value) -> Result<Value, Unsupported> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Ok(Value::Object(map));
    };
    let required = schema.get("required").and_then(Value::as_array);
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        if !map.contains_key(name) {
            return Err(Unsupported(name.to_owned()));
        }
    }
    map.retain(|name, _| properties.contains_key(name));
    let fitted = map.into_iter().map(|(name, value)| {
        let inner = properties.get(&name).unwrap_or(&Value::Null);
        fit(value, inner).map(|value| (name, value))
    });
    fitted.collect::<Result<Map<_, _>, _>>().map(Value::Object)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shapes_are_told_by_their_properties() {
        let of = |name: &str| Shape::of(&json!({"properties": {name: {}}}));
        assert_eq!(of("findings"), Ok(Shape::Findings));
        assert_eq!(of("notes"), Ok(Shape::Review));
        assert!(of("recipe").is_err() && Shape::of(&json!({})).is_err());
    }

    #[test]
    fn values_are_cut_to_the_schema() {
        let schema = json!({"required": ["score"], "properties": {
            "score": {"type": "integer"}, "notes": {"type": "array", "maxItems": 1}}});
        let value = json!({"score": 7.6, "notes": ["a", "b"], "more": 1});
        assert_eq!(fit(value, &schema), Ok(json!({"score": 8, "notes": ["a"]})));
        assert!(fit(json!({"notes": []}), &schema).is_err());
    }
}
