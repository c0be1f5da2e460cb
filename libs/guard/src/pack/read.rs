//! Reading a pack, with every fault named at once.

use std::collections::{BTreeMap, HashSet};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::document::{Kind, List, Pack, RuleDoc, Scope, Severity, Vector};
use super::matcher;
use crate::fold::Fold;
use crate::pii::Entity;

/// Longest document, in bytes.
const LONGEST: usize = 1 << 20;
/// Most rules and vectors of a pack, most terms or patterns of a rule.
const MOST_RULES: usize = 500;
const MOST_VECTORS: usize = 5_000;
const MOST_TERMS: usize = 10_000;

/// One thing that is wrong with a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where, such as `rules[3].patterns`.
    pub field: String,
    /// What, for people.
    pub problem: String,
}

/// All that is wrong with a pack; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl std::fmt::Display for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            let comma = if i > 0 { "; " } else { "" };
            write!(f, "{comma}{}: {}", fault.field, fault.problem)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

impl Pack {
    /// Reads a document: JSON when it begins with `{`, TOML otherwise.
    pub fn parse(text: &str) -> Result<Self, Faults> {
        let value =
            value(text).map_err(|problem| Faults(vec![Fault { field: "document".to_owned(), problem }]))?;
        let mut faults = Vec::new();
        let pack = pack(value, &mut faults);
        match pack {
            Some(pack) if faults.is_empty() => Ok(pack),
            _ => Err(Faults(faults)),
        }
    }
}

fn value(text: &str) -> Result<Map<String, Value>, String> {
    if text.len() > LONGEST {
        return Err(format!("{} bytes, at most {LONGEST}", text.len()));
    }
    if text.trim_start().starts_with('{') {
        serde_json::from_str(text).map_err(|error| error.to_string())
    } else {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }
}

/// A table that is read field by field.
struct Table<'f> {
    fields: Map<String, Value>,
    at: String,
    faults: &'f mut Vec<Fault>,
}

impl Table<'_> {
    fn fault(&mut self, field: &str, problem: impl Into<String>) {
        self.faults.push(Fault { field: format!("{}{field}", self.at), problem: problem.into() });
    }

    fn optional<T: DeserializeOwned>(&mut self, field: &str) -> Option<T> {
        let value = self.fields.remove(field)?;
        match serde_json::from_value(value) {
            Ok(value) => Some(value),
            Err(error) => {
                self.fault(field, error.to_string());
                None
            }
        }
    }

    fn or_default<T: DeserializeOwned + Default>(&mut self, field: &str) -> T {
        self.optional(field).unwrap_or_default()
    }

    fn required<T: DeserializeOwned>(&mut self, field: &str) -> Option<T> {
        if !self.fields.contains_key(field) {
            self.fault(field, "is missing");
        }
        self.optional(field)
    }

    fn name(&mut self, field: &str) -> Option<String> {
        let name: String = self.required(field)?;
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
            self.fault(field, "is not 1 to 64 lower-case letters, digits and hyphens");
        }
        Some(name)
    }

    fn words(&mut self, field: &str, longest: usize) -> Option<String> {
        let words: String = self.required(field)?;
        if words.trim().is_empty() || words.chars().count() > longest {
            self.fault(field, format!("is empty or longer than {longest} characters"));
        }
        Some(words)
    }

    fn no_more(&mut self) {
        let unknown: Vec<String> = self.fields.keys().cloned().collect();
        for field in unknown {
            self.fault(&field, "is not known");
        }
    }
}

fn pack(fields: Map<String, Value>, faults: &mut Vec<Fault>) -> Option<Pack> {
    let mut table = Table { fields, at: String::new(), faults };
    let id = table.name("id");
    let version = table.words("version", 64);
    let title = table.words("title", 200);
    let lists: BTreeMap<String, List> = table.or_default("lists");
    let rules: Vec<Value> = table.required("rules").unwrap_or_default();
    let vectors: Vec<Value> = table.required("vectors").unwrap_or_default();
    if rules.is_empty() || rules.len() > MOST_RULES {
        table.fault("rules", format!("1 to {MOST_RULES} are needed"));
    }
    if vectors.len() > MOST_VECTORS {
        table.fault("vectors", format!("at most {MOST_VECTORS}"));
    }
    table.no_more();
    let rules: Vec<RuleDoc> = rules
        .into_iter()
        .take(MOST_RULES)
        .enumerate()
        .filter_map(|(i, v)| rule(i, v, &lists, faults))
        .collect();
    let vectors: Vec<Vector> = vectors
        .into_iter()
        .take(MOST_VECTORS)
        .enumerate()
        .filter_map(|(i, v)| vector(i, v, faults))
        .collect();
    cross_check(&rules, &vectors, faults);
    Some(Pack { id: id?, version: version?, title: title?, lists, rules, vectors })
}

fn cross_check(rules: &[RuleDoc], vectors: &[Vector], faults: &mut Vec<Fault>) {
    let mut ids = HashSet::new();
    for rule in rules {
        if !ids.insert(rule.id.as_str()) {
            faults.push(Fault {
                field: "rules".to_owned(),
                problem: format!("the id {} is used twice", rule.id),
            });
        }
    }
    for (i, vector) in vectors.iter().enumerate() {
        for id in vector.expect.iter().filter(|id| !ids.contains(id.as_str())) {
            faults.push(Fault {
                field: format!("vectors[{i}].expect"),
                problem: format!("there is no rule {id}"),
            });
        }
    }
}

fn vector(i: usize, value: Value, faults: &mut Vec<Fault>) -> Option<Vector> {
    serde_json::from_value(value)
        .map_err(|error| faults.push(Fault { field: format!("vectors[{i}]"), problem: error.to_string() }))
        .ok()
}

fn rule(i: usize, value: Value, lists: &BTreeMap<String, List>, faults: &mut Vec<Fault>) -> Option<RuleDoc> {
    let Value::Object(fields) = value else {
        faults.push(Fault { field: format!("rules[{i}]"), problem: "is not a table".to_owned() });
        return None;
    };
    let mut table = Table { fields, at: format!("rules[{i}]."), faults };
    let id = table.name("id");
    let severity: Option<Severity> = table.required("severity");
    let scope: Option<Vec<Scope>> = table.required("scope");
    if scope.as_ref().is_some_and(Vec::is_empty) {
        table.fault("scope", "at least one is needed");
    }
    let message = table.words("message", 500);
    let replacement: Option<String> = table.optional("replacement");
    if replacement.is_some() && severity.is_some_and(|severity| severity != Severity::Redact) {
        table.fault("replacement", "only a rule that redacts has one");
    }
    let fold: Fold = table.or_default("fold");
    let unless_in_sources = table.or_default("unless_in_sources");
    let unless: Vec<String> = table.or_default("unless");
    let kind = kind(&mut table);
    table.no_more();
    let doc = RuleDoc {
        id: id?,
        severity: severity?,
        scope: scope?,
        message: message?,
        replacement: replacement.unwrap_or_else(|| "[removed]".to_owned()),
        fold,
        unless_in_sources,
        unless,
        kind: kind?,
    };
    for (field, problem) in matcher::faults(&doc, lists) {
        faults.push(Fault { field: format!("rules[{i}].{field}"), problem });
    }
    Some(doc)
}

fn kind(table: &mut Table<'_>) -> Option<Kind> {
    let name: String = table.required("kind")?;
    match name.as_str() {
        "regex" => Some(Kind::Regex { patterns: some(table, "patterns")? }),
        "words" => {
            let (terms, phrases): (Vec<String>, Vec<String>) =
                (table.or_default("terms"), table.or_default("phrases"));
            if terms.is_empty() && phrases.is_empty() || terms.len() + phrases.len() > MOST_TERMS {
                table.fault("terms", format!("1 to {MOST_TERMS} terms or phrases are needed"));
            }
            Some(Kind::Words { terms, phrases, stems: table.or_default("stems") })
        }
        "number" => {
            let (above, below): (Option<f64>, Option<f64>) =
                (table.optional("above"), table.optional("below"));
            if above.is_some_and(|n| !n.is_finite()) || below.is_some_and(|n| !n.is_finite()) {
                table.fault("above", "is not finite");
            }
            let (currency, near) = (table.optional("currency"), table.or_default("near"));
            Some(Kind::Number { of: table.required("of")?, currency, above, below, near })
        }
        "classifier" => {
            let entities: Vec<String> = table.or_default("entities");
            for entity in entities.iter().filter(|entity| Entity::named(entity).is_none()) {
                table.fault("entities", format!("{entity} is no kind of personal data"));
            }
            let threshold: Option<f64> = table.optional("threshold");
            if threshold.is_some_and(|t| !(0.0..=1.0).contains(&t)) {
                table.fault("threshold", "is not between 0 and 1");
            }
            let limit = table.optional("limit");
            Some(Kind::Classifier { classifier: table.required("classifier")?, entities, limit, threshold })
        }
        "judge" => {
            let when = table.or_default("when");
            Some(Kind::Judge { question: table.words("question", 1_000)?, when })
        }
        other => {
            table.fault("kind", format!("{other} is none of regex, words, number, classifier, judge"));
            // The settings of a kind that is not known are not known either.
            table.fields.clear();
            None
        }
    }
}

fn some(table: &mut Table<'_>, field: &str) -> Option<Vec<String>> {
    let items: Vec<String> = table.required(field)?;
    if items.is_empty() || items.len() > MOST_TERMS {
        table.fault(field, format!("1 to {MOST_TERMS} are needed"));
    }
    Some(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_named_at_once() {
        let text = r#"
            id = "No Good"
            title = "t"
            colour = "red"
            [[rules]]
            id = "a"
            kind = "regex"
            severity = "shout"
            scope = []
            message = "m"
            patterns = ["(", "\\w{1000}{1000}", "{nobody}"]
            [[rules]]
            id = "b"
            kind = "number"
            severity = "warn"
            scope = ["output"]
            message = "m"
            of = "apples"
            replacement = "x"
            [[rules]]
            id = "c"
            kind = "regex"
            severity = "warn"
            scope = ["output"]
            message = "m"
            patterns = ["(", "\\w{1000}{1000}", "{nobody}", ""]
            [[vectors]]
            text = "x"
            scope = "output"
            expect = ["zz"]
        "#;
        let fields: Vec<String> = match Pack::parse(text) {
            Err(faults) => faults.0.into_iter().map(|fault| fault.field).collect(),
            Ok(_) => Vec::new(),
        };
        for field in [
            "id",
            "version",
            "colour",
            "rules[0].severity",
            "rules[0].scope",
            "rules[1].of",
            "rules[1].replacement",
            "rules[2].patterns[0]",
            "rules[2].patterns[1]",
            "rules[2].patterns[2]",
            "rules[2].patterns[3]",
            "vectors[0].expect",
        ] {
            assert!(fields.iter().any(|f| f == field), "{field} is not in {fields:?}");
        }
    }
}
