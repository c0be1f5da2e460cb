//! Several analyses in one call.
use std::collections::BTreeSet;

use copydesk_proto::llm_router::v1 as pb;
use prost::Message as _;
use serde_json::{Map, Value};

use super::{Faults, MAX_SCHEMA_BYTES, json};
use crate::domain::{Analysis, Combined, combine};

const MOST: usize = 16;
const MAX_NAME: usize = 64;
const MAX_INSTRUCTION: usize = 4_096;

/// Reads the analyses of a call and makes one of them; `None` when there are none, or a fault.
pub(super) fn analyses(analyses: Vec<pb::Analysis>, faults: &mut Faults<'_>) -> Option<Combined> {
    if analyses.is_empty() {
        return None;
    }
    faults.check(analyses.len() <= MOST, "analyses", "must hold at most 16 analyses");
    let mut names = BTreeSet::new();
    let count = analyses.len();
    let mut read = Vec::with_capacity(count.min(MOST));
    for (i, analysis) in analyses.into_iter().enumerate().take(MOST) {
        let at = format!("analyses[{i}]");
        let well_named = check_name(&format!("{at}.name"), &analysis.name, &mut names, faults);
        check_instruction(&format!("{at}.instruction"), &analysis.instruction, faults);
        let schema = schema(&format!("{at}.schema"), analysis.schema, faults);
        if let Some(schema) = schema.filter(|_| well_named) {
            read.push((i, Analysis { name: analysis.name, instruction: analysis.instruction, schema }));
        }
    }
    // Where one is left out already, the others are still checked for their own faults.
    let (places, read): (Vec<usize>, Vec<Analysis>) = read.into_iter().unzip();
    let whole = read.len() == count;
    match combine(&read) {
        Ok(combined) => whole.then_some(combined),
        Err(found) => {
            for fault in found {
                match fault.index.and_then(|index| places.get(index)) {
                    Some(place) => {
                        let at = format!("analyses[{place}].schema");
                        faults.push(
                            &at,
                            format!("is not a JSON schema that can be used here: {}", fault.fault),
                        );
                    }
                    None => faults.push("analyses", fault.fault),
                }
            }
            None
        }
    }
}

fn check_name(field: &str, name: &str, names: &mut BTreeSet<String>, faults: &mut Faults<'_>) -> bool {
    let shaped = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let good = (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(shaped);
    faults.check(good, field, "must be 1 to 64 of a-z, 0-9 and _");
    let fresh = !good || names.insert(name.to_owned());
    faults.check(fresh, field, "another analysis has this name");
    good && fresh
}

fn check_instruction(field: &str, text: &str, faults: &mut Faults<'_>) {
    let good = (1..=MAX_INSTRUCTION).contains(&text.chars().count());
    faults.check(good, field, "must have 1 to 4,096 characters");
    faults.storable(field, text);
}

fn schema(field: &str, schema: Option<prost_types::Struct>, faults: &mut Faults<'_>) -> Option<Value> {
    let Some(schema) = schema else {
        faults.push(field, "must be set");
        return None;
    };
    let small = schema.encoded_len() <= MAX_SCHEMA_BYTES;
    faults.check(small, field, "must have at most 64 KiB");
    small.then(|| json::from_struct(schema))
}

/// The answers as the contract has them, in the order given.
pub fn results(parts: Vec<(String, Map<String, Value>)>) -> Vec<pb::AnalysisResult> {
    let result = |(name, part)| pb::AnalysisResult { name, structured: Some(json::to_struct(part)) };
    parts.into_iter().map(result).collect()
}

#[cfg(test)]
mod tests {
    use copydesk_rpc::{ServiceError, Violations};

    use super::*;

    fn analysis(name: &str, schema: Value) -> pb::Analysis {
        let Value::Object(schema) = schema else { unreachable!("an object") };
        pb::Analysis { name: name.into(), instruction: "look".into(), schema: Some(json::to_struct(schema)) }
    }

    fn read(given: Vec<pb::Analysis>) -> (Option<Combined>, Option<ServiceError>) {
        let mut faults = Faults { violations: Violations::new(), prefix: "request." };
        let read = analyses(given, &mut faults);
        (read, faults.violations.finish().err())
    }

    fn fields(error: Option<ServiceError>) -> Vec<String> {
        use tonic_types::StatusExt;
        let details = tonic::Status::from(error.expect("faults")).get_error_details();
        details.bad_request().unwrap().field_violations.iter().map(|fault| fault.field.clone()).collect()
    }

    #[test]
    fn none_is_none_and_good_ones_are_combined_in_order() {
        let (none, error) = read(Vec::new());
        assert!(none.is_none() && error.is_none());
        let given = vec![
            analysis("tone", serde_json::json!({})),
            analysis("a_1", serde_json::json!({"type": "object"})),
        ];
        let (combined, error) = read(given);
        assert!(error.is_none());
        assert_eq!(combined.unwrap().names, ["tone", "a_1"]);
    }

    #[test]
    fn every_fault_is_named_where_it_stands() {
        let (combined, error) = read(vec![
            pb::Analysis {
                instruction: String::new(),
                ..analysis("Tone", serde_json::json!({"type": "thing"}))
            },
            analysis("same", serde_json::json!({})),
            analysis("same", serde_json::json!({})),
            pb::Analysis {
                schema: None,
                instruction: "x".repeat(4_097),
                ..analysis("x", serde_json::json!({}))
            },
            analysis("list", serde_json::json!({"type": "array"})),
        ]);
        assert!(combined.is_none());
        let expected = [
            "request.analyses[0].name",
            "request.analyses[0].instruction",
            "request.analyses[2].name",
            "request.analyses[3].instruction",
            "request.analyses[3].schema",
            "request.analyses[4].schema",
        ];
        assert_eq!(fields(error), expected);
    }

    #[test]
    fn there_are_sixteen_at_most() {
        let many = |n: usize| (0..n).map(|i| analysis(&format!("a{i}"), serde_json::json!({}))).collect();
        assert!(read(many(16)).0.is_some());
        let (combined, error) = read(many(17));
        assert!(combined.is_none());
        assert_eq!(fields(error), ["request.analyses"]);
    }

    #[test]
    fn results_keep_their_order() {
        let parts =
            ["b", "a"].map(|name| (name.to_owned(), Map::from_iter([("n".to_owned(), Value::from(1))])));
        let named: Vec<_> = results(parts.into()).into_iter().map(|result| result.name).collect();
        assert_eq!(named, ["b", "a"]);
    }
}
