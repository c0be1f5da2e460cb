//! How large a schema is once its references are followed. A few kilobytes that name each other twice, forty times over,
//! are a walk of 2^40 steps that nothing can interrupt.
use std::collections::HashMap;

use serde_json::Value;

/// Nodes of an expanded schema.
const MOST_NODES: u64 = 10_000;

/// Refuses circular references, references that are not to a place in the schema itself, and what grows too large.
pub(super) fn check(schema: &Value) -> Result<(), String> {
    let nodes = Walk { root: schema, known: HashMap::new() }.count(schema)?;
    if nodes > MOST_NODES {
        return Err(format!("has more than {MOST_NODES} parts once its references are followed"));
    }
    Ok(())
}

struct Walk<'a> {
    root: &'a Value,
    /// The size behind a reference; `None` while it is being counted.
    known: HashMap<&'a str, Option<u64>>,
}

impl<'a> Walk<'a> {
    fn count(&mut self, node: &'a Value) -> Result<u64, String> {
        let mut sum: u64 = 1;
        match node {
            Value::Array(items) => {
                for item in items {
                    sum = sum.saturating_add(self.count(item)?);
                }
            }
            Value::Object(map) => {
                for (key, value) in map {
                    let size = match (key.as_str(), value) {
                        ("$dynamicRef" | "$recursiveRef", _) => {
                            return Err("dynamic references are not taken".to_owned());
                        }
                        ("$ref", Value::String(to)) => self.follow(to)?,
                        // Counted where they are referred to.
                        ("$defs" | "definitions", _) => 1,
                        _ => self.count(value)?,
                    };
                    sum = sum.saturating_add(size);
                }
            }
            _ => {}
        }
        Ok(sum)
    }

    fn follow(&mut self, to: &'a str) -> Result<u64, String> {
        match self.known.get(to) {
            Some(Some(size)) => return Ok(*size),
            Some(None) => return Err(format!("refers to itself through {to:?}")),
            None => {}
        }
        let target = to.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        let target = target.ok_or_else(|| format!("{to:?} is no place in the schema"))?;
        self.known.insert(to, None);
        let size = self.count(target)?;
        self.known.insert(to, Some(size));
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, json};

    fn doubling(levels: usize) -> Value {
        let mut defs = Map::new();
        for n in 0..levels {
            let next = json!({ "$ref": format!("#/$defs/a{}", n + 1) });
            defs.insert(format!("a{n}"), json!({ "allOf": [next, next] }));
        }
        defs.insert(format!("a{levels}"), json!({ "type": "object" }));
        json!({ "$ref": "#/$defs/a0", "$defs": defs })
    }

    #[test]
    fn what_doubles_is_refused_and_what_is_shared_is_not() {
        assert!(check(&doubling(40)).is_err());
        assert_eq!(check(&doubling(5)), Ok(()));
        let name = json!({ "$ref": "#/$defs/name" });
        let people =
            json!({ "properties": { "a": name, "b": name }, "$defs": { "name": { "type": "string" } } });
        assert_eq!(check(&people), Ok(()));
    }

    #[test]
    fn circles_and_strangers_are_refused() {
        assert!(check(&json!({ "$ref": "#" })).is_err());
        assert!(check(&json!({ "properties": { "more": { "$ref": "#" } } })).is_err());
        assert!(check(&json!({ "$ref": "https://example.com/x" })).is_err());
        assert!(check(&json!({ "$dynamicRef": "#x" })).is_err());
    }
}
