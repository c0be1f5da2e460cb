//! Replacing what rules want replaced.

use std::ops::Range;

use serde::Serialize;

use super::active::ActivePack;
use super::check::{Findings, Hit, check};
use super::document::{Scope, Severity};
use crate::report::Source;

/// One replacement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Redaction {
    /// Bytes that were replaced, in the text as it was given.
    pub span: Range<usize>,
    /// Id of the pack.
    pub pack: String,
    /// Id of the rule.
    pub rule: String,
    /// What stands there now.
    pub replacement: String,
}

/// A text after redaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sanitized {
    /// The text with every redacting rule's hits replaced.
    pub text: String,
    /// In reading order, without overlap: hits that touch are replaced as one, in the name of the first.
    pub redactions: Vec<Redaction>,
    /// Whether a rule that blocks was broken: the text must not go on, redacted or not.
    pub blocked: bool,
    /// All hits and questions, on the text as it was given.
    pub findings: Findings,
}

/// Checks a text and replaces what the redacting rules of this scope find.
pub fn sanitize(packs: &[&ActivePack], scope: Scope, text: &str, sources: &[Source<'_>]) -> Sanitized {
    let findings = check(packs, scope, text, sources);
    let mut redactions: Vec<Redaction> = Vec::new();
    for hit in findings.hits.iter().filter(|hit| hit.severity == Severity::Redact) {
        match redactions.last_mut().filter(|last| hit.span.start < last.span.end) {
            Some(last) => last.span.end = last.span.end.max(hit.span.end),
            None => redactions.push(Redaction {
                span: hit.span.clone(),
                pack: hit.pack.clone(),
                rule: hit.rule.clone(),
                replacement: replacement(packs, hit),
            }),
        }
    }
    let mut safe = String::with_capacity(text.len());
    let mut at = 0;
    for redaction in &redactions {
        safe.push_str(text.get(at..redaction.span.start).unwrap_or(""));
        safe.push_str(&redaction.replacement);
        at = redaction.span.end;
    }
    safe.push_str(text.get(at..).unwrap_or(""));
    Sanitized { text: safe, redactions, blocked: findings.blocked(), findings }
}

fn replacement(packs: &[&ActivePack], hit: &Hit) -> String {
    let pack = packs.iter().find(|pack| pack.id == hit.pack && pack.version == hit.version);
    let rule = pack.and_then(|pack| pack.rules.iter().find(|rule| rule.doc.id == hit.rule));
    let pattern = rule.map_or("[removed]", |rule| rule.doc.replacement.as_str());
    pattern.replace("{entity}", hit.entity.map_or("data", |entity| entity.name()))
}
