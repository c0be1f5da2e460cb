//! Several analyses of one text in one call: one schema, one turn, one answer that is taken apart again.
use serde_json::{Map, Value, json};

use super::Schema;

mod parts;
mod rebase;

pub use parts::{Parts, split};

/// The largest combined schema, in bytes of JSON.
const MAX_BYTES: usize = 64 << 10;

/// One of several analyses.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    /// Its name, 1 to 64 of `a-z`, `0-9` and `_`; unique among the analyses.
    pub name: String,
    /// What to find out.
    pub instruction: String,
    /// The JSON schema of its answer.
    pub schema: Value,
}

/// What takes the place of several analyses.
#[derive(Debug, Clone)]
pub struct Combined {
    /// The names in their order.
    pub names: Vec<String>,
    /// The form of the one answer: an object with an object for each analysis.
    pub schema: Schema,
    /// What the last turn of the user says.
    pub instruction: String,
}

/// What is wrong with the analyses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CombineFault {
    /// Which one, from 0; `None`: all of them together.
    pub index: Option<usize>,
    /// What is wrong with its schema, for its author to read.
    pub fault: String,
}

/// Makes one of several. Each schema is checked alone first, so that its author learns which one is at fault.
///
/// # Errors
/// Every schema that cannot be taken; or, when each is good alone, that they are too large together.
pub fn combine(analyses: &[Analysis]) -> Result<Combined, Vec<CombineFault>> {
    let mut faults = Vec::new();
    let mut properties = Map::new();
    for (i, analysis) in analyses.iter().enumerate() {
        match part(analysis) {
            Ok(schema) => {
                properties.insert(analysis.name.clone(), schema);
            }
            Err(fault) => faults.push(CombineFault { index: Some(i), fault }),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let names: Vec<String> = analyses.iter().map(|analysis| analysis.name.clone()).collect();
    let schema = whole(&names, properties).map_err(|fault| vec![CombineFault { index: None, fault }])?;
    Ok(Combined { names, schema, instruction: instruction(analyses) })
}

/// The schema of one analysis, as it stands in the combined one.
fn part(analysis: &Analysis) -> Result<Value, String> {
    Schema::compile(analysis.schema.clone())?;
    let mut schema = match rebase::rebase(&analysis.schema, &analysis.name)? {
        Value::Object(schema) => schema,
        _ => return Err("must be an object".to_owned()),
    };
    match schema.get("type") {
        None => {
            schema.insert("type".to_owned(), json!("object"));
        }
        Some(kind) if kind == "object" => {}
        Some(_) => return Err("must describe an object: its type must be \"object\"".to_owned()),
    }
    Ok(Value::Object(schema))
}

fn whole(names: &[String], properties: Map<String, Value>) -> Result<Schema, String> {
    let schema = json!({ "type": "object", "properties": properties, "required": names, "additionalProperties": false });
    if schema.to_string().len() > MAX_BYTES {
        return Err("must have at most 64 KiB together".to_owned());
    }
    Schema::compile(schema)
}

impl Combined {
    /// The form of an answer with only these of the analyses, for a round that repairs them.
    ///
    /// # Errors
    /// None of the names is one of the analyses'.
    pub fn only(schema: &Schema, names: &[String]) -> Result<Schema, String> {
        let all = schema.json().get("properties").and_then(Value::as_object);
        let named = names.iter().filter_map(|name| Some((name.clone(), all?.get(name)?.clone())));
        let properties: Map<String, Value> = named.collect();
        if properties.is_empty() {
            return Err("names none of the analyses".to_owned());
        }
        let names: Vec<String> =
            names.iter().filter(|name| properties.contains_key(*name)).cloned().collect();
        whole(&names, properties)
    }
}

fn instruction(analyses: &[Analysis]) -> String {
    let list: String = analyses
        .iter()
        .enumerate()
        .map(|(i, analysis)| format!("\n{}. `{}`: {}\n", i + 1, analysis.name, analysis.instruction))
        .collect();
    format!(
        "Do all of these analyses of the messages above. Answer with one JSON object that has one key for each \
         analysis, its name, and under it the object that the analysis asks for.\n{list}"
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn analysis(name: &str, schema: Value) -> Analysis {
        Analysis { name: name.into(), instruction: format!("find the {name}"), schema }
    }

    fn with_defs() -> Value {
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://example.com/tree",
            "type": "object", "required": ["left"],
            "properties": {"left": {"$ref": "#/$defs/pair"}, "$ref": {"type": "string"}, "const": {"$ref": "#/$defs/word"}},
            "$defs": {
                "pair": {"type": "object", "properties": {"word": {"$ref": "#/$defs/word"}}, "required": ["word"]},
                "word": {"type": "string", "minLength": 2}
            }
        })
    }

    #[test]
    fn references_stay_within_their_analysis() {
        let other = json!({"type": "object", "properties": {"left": {"$ref": "#/$defs/word"}},
            "$defs": {"word": {"type": "integer"}}});
        let combined = combine(&[analysis("b", with_defs()), analysis("a", other)]).unwrap();
        assert_eq!(combined.names, ["b", "a"]);
        let good = r#"{"a": {"left": 3}, "b": {"left": {"word": "xy"}, "const": "xy", "$ref": "x"}}"#;
        assert!(combined.schema.read(good).is_ok(), "{:?}", combined.schema.read(good));
        for bad in [
            r#"{"a": {"left": "xy"}, "b": {"left": {"word": "xy"}}}"#,
            r#"{"a": {"left": 3}, "b": {"left": {"word": "x"}}}"#,
            r#"{"a": {"left": 3}, "b": {"left": {"word": "xy"}, "const": 7}}"#,
            r#"{"a": {"left": 3}}"#,
            r#"{"a": {"left": 3}, "b": {"left": {"word": "xy"}}, "c": {}}"#,
            r#"{"a": [], "b": {"left": {"word": "xy"}}}"#,
        ] {
            assert!(combined.schema.read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn faults_are_named_by_analysis() {
        let circle = json!({"type": "object", "properties": {"more": {"$ref": "#"}}});
        let nested = json!({"type": "object", "properties": {"x": {"$id": "https://example.com/y"}}});
        let faults = combine(&[
            analysis("good", json!({"properties": {"x": {}}})),
            analysis("circle", circle),
            analysis("list", json!({"type": "array"})),
            analysis("nothing", json!({"type": "thing"})),
            analysis("nested", nested),
        ])
        .unwrap_err();
        let indices: Vec<_> = faults.iter().map(|fault| fault.index).collect();
        assert_eq!(indices, [Some(1), Some(2), Some(3), Some(4)], "{faults:?}");
    }

    #[test]
    fn together_they_stay_within_the_limits() {
        let enumeration = |n: usize| -> Vec<String> { (0..n).map(|i| format!("{i:05}")).collect() };
        let long = json!({"type": "object", "properties": {"x": {"enum": enumeration(5_000)}}});
        assert!(combine(&[analysis("a", long.clone())]).is_ok());
        let faults = combine(&[analysis("a", long.clone()), analysis("b", long)]).unwrap_err();
        assert_eq!(faults.iter().map(|fault| fault.index).collect::<Vec<_>>(), [None]);
        // Small in bytes, large once references are followed.
        let uses = vec![json!({"$ref": "#/$defs/e"}); 60];
        let wide = json!({"type": "object", "properties": {"x": {"anyOf": uses}}, "$defs": {"e": {"enum": enumeration(100)}}});
        assert!(combine(&[analysis("a", wide.clone())]).is_ok());
        let faults = combine(&[analysis("a", wide.clone()), analysis("b", wide)]).unwrap_err();
        assert_eq!(faults.iter().map(|fault| fault.index).collect::<Vec<_>>(), [None]);
    }

    #[test]
    fn the_turn_lists_the_analyses_in_order() {
        let combined = combine(&[analysis("tone", json!({})), analysis("facts", json!({}))]).unwrap();
        let (tone, facts) = ("1. `tone`: find the tone\n", "2. `facts`: find the facts\n");
        assert!(combined.instruction.find(tone).unwrap() < combined.instruction.find(facts).unwrap());
    }

    #[test]
    fn a_part_can_stand_alone() {
        let combined = combine(&[analysis("a", with_defs()), analysis("b", json!({}))]).unwrap();
        let only = Combined::only(&combined.schema, &["a".to_owned()]).unwrap();
        assert!(only.read(r#"{"a": {"left": {"word": "xy"}}}"#).is_ok());
        assert!(only.read(r#"{"a": {"left": {"word": "x"}}}"#).is_err());
        assert!(Combined::only(&combined.schema, &["c".to_owned()]).is_err());
    }

    /// A schema with definitions that refer to later ones, so never in a circle.
    fn schemas() -> impl Strategy<Value = Value> {
        let kinds = prop::sample::select(vec!["string", "integer", "boolean", "null"]);
        let leaf = kinds.prop_map(|kind| json!({"type": kind}));
        let defs = prop::collection::vec((leaf, any::<bool>()), 1..5);
        defs.prop_map(|leaves| {
            let last = leaves.len() - 1;
            let mut defs = Map::new();
            for (i, (leaf, refers)) in leaves.into_iter().enumerate() {
                let schema =
                    if refers && i < last { json!({"$ref": format!("#/$defs/d{}", i + 1)}) } else { leaf };
                defs.insert(format!("d{i}"), schema);
            }
            let properties: Map<String, Value> =
                (0..=last).map(|i| (format!("p{i}"), json!({"$ref": format!("#/$defs/d{i}")}))).collect();
            json!({"type": "object", "properties": properties, "$defs": defs})
        })
    }

    fn answers() -> impl Strategy<Value = Value> {
        let value = prop::sample::select(vec![json!("x"), json!(1), json!(true), json!(null)]);
        prop::collection::btree_map("p[0-4]", value, 0..5).prop_map(|map| json!(map))
    }

    proptest! {
        #[test]
        fn an_answer_is_good_together_when_each_part_is_good_alone(
            (one, two) in (schemas(), schemas()), (a, b) in (answers(), answers())
        ) {
            let alone = |schema: &Value, answer: &Value| {
                Schema::compile(schema.clone()).unwrap().read(&answer.to_string()).is_ok()
            };
            let combined = combine(&[analysis("one", one.clone()), analysis("two", two.clone())]).unwrap();
            let answer = json!({"one": a, "two": b}).to_string();
            let parts = Parts::read(&combined.schema, &combined.names, &answer);
            let bad = |name: &str| parts.faults.iter().any(|(faulty, _)| faulty == name);
            prop_assert_eq!(!bad("one"), alone(&one, &a));
            prop_assert_eq!(!bad("two"), alone(&two, &b));
            prop_assert_eq!(parts.is_whole(), combined.schema.read(&answer).is_ok());
        }
    }
}
