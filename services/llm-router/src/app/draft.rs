//! An answer that must have a form and does not have it yet.
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::domain::{Combined, Parts, Prompt, Schema, Turn, repair_turns};

/// A checked object and its JSON text.
pub(super) type Object = (String, Map<String, Value>);

/// An answer that does not have its form yet.
pub(super) enum Draft {
    /// One object, and what is wrong with it.
    Whole(Vec<String>),
    /// Several analyses, some of which may be good.
    Parts(Parts),
}

impl Draft {
    /// Reads an answer; a good one is an object already.
    pub(super) fn read(schema: &Schema, analyses: &[String], text: &str) -> Result<Object, Self> {
        if analyses.is_empty() {
            return schema.read(text).map(object).map_err(Self::Whole);
        }
        let parts = Parts::read(schema, analyses, text);
        if parts.is_whole() { Ok(object(parts.good)) } else { Err(Self::Parts(parts)) }
    }

    /// What the prompt becomes for the second try: of several analyses only the faulty ones are asked for again, and a
    /// provider that keeps to the schema must not be made to write the others once more.
    pub(super) fn repair_prompt(&self, prompt: &Arc<Prompt>, schema: &Schema) -> Arc<Prompt> {
        let Self::Parts(parts) = self else { return Arc::clone(prompt) };
        match Combined::only(schema, &parts.faulty()) {
            Ok(only) => Arc::new(Prompt { schema: Some(only), ..Prompt::clone(prompt) }),
            Err(_) => Arc::clone(prompt),
        }
    }

    /// The turns that show the model its faults.
    pub(super) fn repair_turns(&self, text: &str) -> Vec<Turn> {
        match self {
            Self::Whole(faults) => repair_turns(text, faults),
            Self::Parts(parts) => parts.repair_turns(text),
        }
    }

    /// The object with a second answer; `None` when that is not good either.
    pub(super) fn mend(self, schema: &Schema, analyses: &[String], text: &str) -> Option<Object> {
        match self {
            Self::Whole(_) => schema.read(text).map(object).ok(),
            Self::Parts(parts) => {
                let merged = parts.merge(Parts::read(schema, analyses, text));
                merged.is_whole().then(|| object(merged.good))
            }
        }
    }
}

fn object(map: Map<String, Value>) -> Object {
    (Value::Object(map.clone()).to_string(), map)
}
