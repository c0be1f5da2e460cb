//! Moving a schema into another one: its references must point to where it then stands.
use serde_json::{Map, Value};

/// Keywords that hold values and not schemas.
const VALUES: [&str; 4] = ["const", "enum", "default", "examples"];

/// Keywords that hold schemas by names that may look like keywords.
const NAMED: [&str; 6] =
    ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"];

/// Names by which nothing can be referred to here, and two analyses may use the same.
const DROPPED: [&str; 3] = ["$schema", "$anchor", "$dynamicAnchor"];

/// The schema as it stands under `properties` of another one by this name, which needs no escape.
///
/// # Errors
/// A schema below the top has an `$id`: what its references mean would not be what was checked.
pub(super) fn rebase(schema: &Value, name: &str) -> Result<Value, String> {
    let place = format!("#/properties/{name}");
    let mut schema = schema.clone();
    if let Value::Object(map) = &mut schema {
        map.remove("$id");
    }
    walk(&mut schema, &place)?;
    Ok(schema)
}

fn walk(schema: &mut Value, place: &str) -> Result<(), String> {
    match schema {
        Value::Array(items) => items.iter_mut().try_for_each(|item| walk(item, place)),
        Value::Object(map) => keywords(map, place),
        _ => Ok(()),
    }
}

fn keywords(map: &mut Map<String, Value>, place: &str) -> Result<(), String> {
    map.retain(|keyword, _| !DROPPED.contains(&keyword.as_str()));
    for (keyword, value) in map {
        match (keyword.as_str(), value) {
            ("$id", Value::String(_)) => return Err("only the top of a schema may have an $id".to_owned()),
            ("$ref", Value::String(to)) => {
                if let Some(pointer) = to.strip_prefix('#') {
                    *to = format!("{place}{pointer}");
                }
            }
            (values, _) if VALUES.contains(&values) => {}
            (named, Value::Object(schemas)) if NAMED.contains(&named) => {
                schemas.values_mut().try_for_each(|schema| walk(schema, place))?;
            }
            (_, value) => walk(value, place)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_references_change() {
        let schema = json!({
            "$schema": "x", "$id": "y", "$anchor": "z",
            "properties": {
                "a": {"$ref": "#/$defs/a~1b"}, "$ref": {"type": "string"}, "$id": {"type": "string"},
                "enum": {"$ref": "#/$defs/c"}, "$schema": {}
            },
            "allOf": [{"not": {"$ref": "#/$defs/c"}}],
            "const": {"$ref": "#/$defs/c", "$id": "data"},
            "$defs": {"a/b": {}, "c": {"enum": [{"$ref": "#/x"}]}}
        });
        let moved = json!({
            "properties": {
                "a": {"$ref": "#/properties/tone/$defs/a~1b"}, "$ref": {"type": "string"}, "$id": {"type": "string"},
                "enum": {"$ref": "#/properties/tone/$defs/c"}, "$schema": {}
            },
            "allOf": [{"not": {"$ref": "#/properties/tone/$defs/c"}}],
            "const": {"$ref": "#/$defs/c", "$id": "data"},
            "$defs": {"a/b": {}, "c": {"enum": [{"$ref": "#/x"}]}}
        });
        assert_eq!(rebase(&schema, "tone"), Ok(moved));
        assert!(rebase(&json!({"items": {"$id": "inner"}}), "tone").is_err());
    }
}
