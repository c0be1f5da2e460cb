//! Rule packs: versioned documents of rules, with the texts that prove them.
//!
//! A document (TOML or JSON) is read by [`Pack::parse`], which names every fault at once. It becomes usable by
//! [`Pack::activate`], which refuses it when one of its own vectors comes out otherwise than it says, or when a rule is
//! fired by no vector. [`check`] and [`sanitize`] then apply any number of active packs to a text.

mod active;
mod builtin;
mod check;
mod document;
mod known;
mod matcher;
mod read;
mod sanitize;

pub use active::{ActivePack, FailedVector, FailedVectors};
pub use builtin::{BUILT_IN, built_in};
pub use check::{Findings, Hit, Question, check};
pub use document::{Classifier, Kind, List, Money, NumberOf, Pack, RuleDoc, Scope, Severity, Vector};
pub use read::{Fault, Faults};
pub use sanitize::{Redaction, Sanitized, sanitize};
