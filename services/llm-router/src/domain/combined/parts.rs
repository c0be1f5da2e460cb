//! The one answer to several analyses, taken apart: which parts are good, which must be asked for again.
use std::collections::BTreeMap;

use copydesk_proto::llm_router::v1::Role;
use serde_json::{Map, Value};

use crate::domain::structured::{MAX_DEPTH, MAX_ERRORS, depth, parse};
use crate::domain::{Schema, Turn};

/// An answer, part by part.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parts {
    /// The parts that satisfy their schema, by name.
    pub good: Map<String, Value>,
    /// The others in the order of the analyses, each with what is wrong, for the model's second try.
    pub faults: Vec<(String, Vec<String>)>,
}

impl Parts {
    /// Reads what a model wrote, forgiving a code fence, words around it and keys that nobody asked for.
    pub fn read(schema: &Schema, names: &[String], text: &str) -> Self {
        let Some(Value::Object(mut answer)) = parse(text) else {
            let fault = || vec!["the answer is not one JSON object".to_owned()];
            let faults = names.iter().map(|name| (name.clone(), fault())).collect();
            return Self { good: Map::new(), faults };
        };
        answer.retain(|name, _| names.contains(name));
        let mut errors = shape_errors(names, &answer);
        let answer = Value::Object(answer);
        for (place, error) in schema.faults(&answer) {
            // A missing part is an error of the whole; it is known already.
            let Some(name) = place.strip_prefix('/').and_then(|path| path.split('/').next()) else {
                continue;
            };
            let of_part = errors.entry(name.to_owned()).or_default();
            if of_part.len() < MAX_ERRORS {
                of_part.push(error);
            }
        }
        Self::sorted(names, answer, errors)
    }

    fn sorted(names: &[String], answer: Value, mut errors: BTreeMap<String, Vec<String>>) -> Self {
        let mut good = match answer {
            Value::Object(good) => good,
            _ => Map::new(),
        };
        good.retain(|name, _| !errors.contains_key(name));
        let faults = names.iter().filter_map(|name| Some((name.clone(), errors.remove(name)?))).collect();
        Self { good, faults }
    }

    /// True when every part is good.
    pub fn is_whole(&self) -> bool {
        self.faults.is_empty()
    }

    /// The parts to ask for again, in the order of the analyses.
    pub fn faulty(&self) -> Vec<String> {
        self.faults.iter().map(|(name, _)| name.clone()).collect()
    }

    /// These good parts, and a later answer for the others: what was good stays as it was.
    pub fn merge(mut self, mut later: Self) -> Self {
        for (name, errors) in std::mem::take(&mut self.faults) {
            if let Some(value) = later.good.remove(&name) {
                self.good.insert(name, value);
                continue;
            }
            let again = later.faults.iter().find(|(faulty, _)| *faulty == name);
            let errors = again.map_or(errors, |(_, errors)| errors.clone());
            self.faults.push((name, errors));
        }
        self
    }

    /// The turns that show a model its answer and ask again for the faulty parts alone.
    pub fn repair_turns(&self, answer: &str) -> Vec<Turn> {
        let lines =
            self.faults.iter().flat_map(|(name, errors)| errors.iter().map(move |error| (name, error)));
        let faults: String = lines.map(|(name, error)| format!("- `{name}`: {error}\n")).collect();
        let names: Vec<String> = self.faults.iter().map(|(name, _)| format!("`{name}`")).collect();
        let text = format!(
            "Some parts of your answer do not satisfy the JSON schema:\n{faults}Answer again with one JSON object that \
             has these keys only: {}.",
            names.join(", ")
        );
        let shown = if answer.trim().is_empty() { "(empty)" } else { answer };
        vec![Turn::text(Role::Assistant, shown), Turn::text(Role::User, text)]
    }
}

/// What can be said without the schema: which parts are missing or nested too deep.
fn shape_errors(names: &[String], answer: &Map<String, Value>) -> BTreeMap<String, Vec<String>> {
    let mut errors = BTreeMap::new();
    for name in names {
        let fault = match answer.get(name) {
            None => "is missing".to_owned(),
            Some(part) if depth(part) >= MAX_DEPTH => format!("is nested more than {} deep", MAX_DEPTH - 1),
            Some(_) => continue,
        };
        errors.insert(name.clone(), vec![fault]);
    }
    errors
}

/// The parts of a whole answer in the order of the names. A part that is no object is left out; a checked answer has
/// none.
pub fn split(answer: &Map<String, Value>, names: &[String]) -> Vec<(String, Map<String, Value>)> {
    let part = |name: &String| Some((name.clone(), answer.get(name)?.as_object()?.clone()));
    names.iter().filter_map(part).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::{Analysis, Combined, combine};

    fn combined() -> Combined {
        let number = |name: &str| Analysis {
            name: name.into(),
            instruction: "count".into(),
            schema: json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}),
        };
        combine(&[number("b"), number("a"), number("c")]).unwrap()
    }

    fn read(text: &str) -> Parts {
        let combined = combined();
        Parts::read(&combined.schema, &combined.names, text)
    }

    #[test]
    fn good_parts_stay_and_faulty_ones_are_asked_for_again() {
        let first_text = "Sure: {\"a\": {\"n\": 1}, \"b\": {\"n\": \"x\"}, \"d\": 5}";
        let first = read(first_text);
        assert_eq!(first.faulty(), ["b", "c"]);
        assert_eq!(first.good.keys().collect::<Vec<_>>(), ["a"]);
        let turns = first.repair_turns(first_text);
        assert!(turns[1].text.contains("- `b`: /b/n:") && turns[1].text.contains("- `c`: is missing"));
        assert!(turns[1].text.ends_with("these keys only: `b`, `c`."), "{}", turns[1].text);

        let whole = first.clone().merge(read(r#"{"a": {"n": 9}, "b": {"n": 2}, "c": {"n": 3}}"#));
        assert!(whole.is_whole());
        let parts = split(&whole.good, &combined().names);
        let numbers: Vec<_> = parts.iter().map(|(name, part)| (name.as_str(), part["n"].clone())).collect();
        assert_eq!(
            numbers,
            [("b", json!(2)), ("a", json!(1)), ("c", json!(3))],
            "in order, and a is not overwritten"
        );

        let half = first.merge(read(r#"{"b": {"n": 2}, "c": 7}"#));
        assert_eq!(half.faulty(), ["c"]);
        assert!(half.faults[0].1[0].starts_with("/c:"), "{:?}", half.faults);
    }

    #[test]
    fn no_object_is_every_part_missing() {
        for text in ["", "nothing", "[1]", "{\"a\": "] {
            let parts = read(text);
            assert_eq!((parts.faulty().len(), parts.good.len()), (3, 0), "{text}");
        }
        assert_eq!(read("").repair_turns(" ")[0].text, "(empty)");
    }

    #[test]
    fn what_is_too_deep_is_faulty_alone() {
        let deep = (0..30).fold(json!(1), |inner, _| json!([inner]));
        let parts = read(&json!({"a": {"n": 1, "x": deep}, "b": {"n": 1}, "c": {"n": 1}}).to_string());
        assert_eq!(parts.faulty(), ["a"]);
    }
}
