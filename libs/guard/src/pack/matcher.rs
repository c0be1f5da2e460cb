//! Rules made ready to look, and what keeps a rule from being made ready.

use std::collections::{BTreeMap, HashMap};

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use regex::{Regex, RegexBuilder};

use super::document::{Classifier, Kind, List, RuleDoc};
use crate::fold::{Fold, View};
use crate::phrase::Phrase;
use crate::text::{stem, words};

/// Memory that one compiled pattern may take, in bytes.
const REGEX_SIZE: usize = 1 << 20;
/// Most `..` in a phrase: each multiplies the ways to match.
const MOST_GAPS: usize = 3;
/// Longest pattern, phrase or term, in bytes.
const LONGEST: usize = 2_000;

/// A rule ready to look.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) doc: RuleDoc,
    pub(super) unless: Vec<Regex>,
    pub(super) matcher: Matcher,
}

#[derive(Debug)]
pub(super) enum Matcher {
    Regex(Vec<Regex>),
    Words(WordList),
    Number {
        near: Vec<String>,
    },
    Classifier(Classifier),
    Judge(Vec<Regex>),
    /// A rule whose list is empty.
    Never,
}

#[derive(Debug)]
pub(super) struct WordList {
    pub(super) literal: Option<AhoCorasick>,
    /// Rows of stems by their first.
    pub(super) stemmed: HashMap<String, Vec<Vec<String>>>,
    pub(super) phrases: Vec<Phrase>,
}

/// What a name in braces stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fill {
    /// What the lists hold.
    Items,
    /// That and the sample.
    WithSample,
}

/// What is wrong with a rule that is well formed, with the field it is wrong in.
pub(super) fn faults(doc: &RuleDoc, lists: &BTreeMap<String, List>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut patterns = |field: &str, patterns: &[String]| {
        for (i, pattern) in patterns.iter().enumerate() {
            let problem = match expand(pattern, lists, Fill::WithSample, regex::escape) {
                Err(problem) => Some(problem),
                Ok(None) => None,
                Ok(Some(source)) => compile(&source, doc.fold).err(),
            };
            if let Some(problem) = problem {
                found.push((format!("{field}[{i}]"), problem));
            }
        }
    };
    patterns("unless", &doc.unless);
    match &doc.kind {
        Kind::Regex { patterns: sources } => patterns("patterns", sources),
        Kind::Judge { when, .. } => patterns("when", when),
        Kind::Words { terms, phrases, .. } => {
            for (i, term) in terms.iter().enumerate() {
                let listed = lists.contains_key(inner(term).unwrap_or(term));
                if term.trim().is_empty() || term.len() > LONGEST || inner(term).is_some() && !listed {
                    found.push((format!("terms[{i}]"), "is empty, too long or an unknown list".to_owned()));
                }
            }
            for (i, phrase) in phrases.iter().enumerate() {
                let gaps = phrase.split_whitespace().filter(|item| *item == "..").count();
                let solid = phrase.split_whitespace().any(|item| item != "..");
                if !solid || gaps > MOST_GAPS || phrase.len() > LONGEST {
                    found.push((
                        format!("phrases[{i}]"),
                        format!("needs a word, and at most {MOST_GAPS} gaps"),
                    ));
                }
            }
        }
        Kind::Number { .. } | Kind::Classifier { .. } => {}
    }
    found
}

impl Rule {
    /// Makes a rule ready; the lists are those of its pack.
    pub(super) fn new(doc: &RuleDoc, lists: &BTreeMap<String, List>, fill: Fill) -> Self {
        let matcher = match &doc.kind {
            Kind::Regex { patterns } => {
                all(patterns, doc.fold, lists, fill).map_or(Matcher::Never, Matcher::Regex)
            }
            Kind::Judge { when, .. } if when.is_empty() => Matcher::Judge(Vec::new()),
            Kind::Judge { when, .. } => {
                all(when, doc.fold, lists, fill).map_or(Matcher::Never, Matcher::Judge)
            }
            Kind::Words { terms, phrases, stems } => word_list(terms, phrases, *stems, doc.fold, lists, fill),
            Kind::Number { near, .. } => {
                Matcher::Number { near: near.iter().map(|word| stem(&word.to_lowercase())).collect() }
            }
            Kind::Classifier { classifier, .. } => Matcher::Classifier(*classifier),
        };
        let unless = all(&doc.unless, doc.fold, lists, fill).unwrap_or_default();
        Self { doc: doc.clone(), unless, matcher }
    }
}

/// The patterns that are not about an empty list; `None` when there are none.
fn all(sources: &[String], fold: Fold, lists: &BTreeMap<String, List>, fill: Fill) -> Option<Vec<Regex>> {
    let compiled = sources.iter().filter_map(|source| {
        let source = expand(source, lists, fill, regex::escape).ok()??;
        compile(&source, fold).ok()
    });
    let compiled: Vec<Regex> = compiled.collect();
    (!compiled.is_empty()).then_some(compiled)
}

fn compile(source: &str, fold: Fold) -> Result<Regex, String> {
    if source.len() > LONGEST * 50 {
        return Err(format!("longer than {} bytes", LONGEST * 50));
    }
    let built = RegexBuilder::new(source)
        .size_limit(REGEX_SIZE)
        .dfa_size_limit(REGEX_SIZE)
        .nest_limit(50)
        .case_insensitive(fold != Fold::Exact)
        .build()
        .map_err(|error| error.to_string().lines().last().unwrap_or("is no pattern").to_owned())?;
    if built.is_match("") {
        return Err("matches an empty text".to_owned());
    }
    Ok(built)
}

/// The name between braces when that is all there is.
fn inner(term: &str) -> Option<&str> {
    let name = term.strip_prefix('{')?.strip_suffix('}')?;
    is_name(name).then_some(name)
}

/// Names of lists begin with a letter, so that `{2,3}` stays a count.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit())
}

/// Puts lists in: `{competitors}` becomes `(?:A|B)`. `Ok(None)` when a list is empty.
///
/// `\p{greek}` and the like are no lists.
fn expand(
    source: &str,
    lists: &BTreeMap<String, List>,
    fill: Fill,
    escape: impl Fn(&str) -> String,
) -> Result<Option<String>, String> {
    let mut done = String::new();
    let mut rest = source;
    while let Some(at) = rest.find('{') {
        let (before, tail) = rest.split_at(at);
        done.push_str(before);
        let end = tail.find('}').unwrap_or(0);
        let name = tail.get(1..end).unwrap_or("");
        if !is_name(name) || before.ends_with(['p', 'P']) && before[..before.len() - 1].ends_with('\\') {
            done.push('{');
            rest = &tail[1..];
            continue;
        }
        let list = lists.get(name).ok_or_else(|| format!("there is no list {name}"))?;
        let items: Vec<String> =
            items(list, fill).iter().map(|item| escape(&folded(item, Fold::Folded))).collect();
        if items.is_empty() {
            return Ok(None);
        }
        done.push_str(&format!("(?:{})", items.join("|")));
        rest = &tail[end + 1..];
    }
    done.push_str(rest);
    Ok(Some(done))
}

pub(super) fn items(list: &List, fill: Fill) -> Vec<&str> {
    let sample = (fill == Fill::WithSample).then_some(list.sample.as_str());
    list.items.iter().map(String::as_str).chain(sample).filter(|item| !item.trim().is_empty()).collect()
}

fn folded(text: &str, fold: Fold) -> String {
    View::new(text.trim(), fold).text().to_owned()
}

fn word_list(
    terms: &[String],
    phrases: &[String],
    stems: bool,
    fold: Fold,
    lists: &BTreeMap<String, List>,
    fill: Fill,
) -> Matcher {
    let terms: Vec<String> = terms
        .iter()
        .flat_map(|term| match inner(term).and_then(|name| lists.get(name)) {
            Some(list) => items(list, fill),
            None => vec![term.as_str()],
        })
        .map(|term| folded(term, fold))
        .filter(|term| !term.is_empty())
        .collect();
    if terms.is_empty() && phrases.is_empty() {
        return Matcher::Never;
    }
    let mut stemmed: HashMap<String, Vec<Vec<String>>> = HashMap::new();
    if stems {
        for row in
            terms.iter().map(|term| words(term).iter().map(|word| stem(&word.lower)).collect::<Vec<_>>())
        {
            if let Some(first) = row.first() {
                stemmed.entry(first.clone()).or_default().push(row);
            }
        }
    }
    let literal = if stems || terms.is_empty() {
        None
    } else {
        AhoCorasickBuilder::new().match_kind(MatchKind::LeftmostLongest).build(&terms).ok()
    };
    Matcher::Words(WordList {
        literal,
        stemmed,
        phrases: phrases.iter().map(|phrase| Phrase::new(phrase)).collect(),
    })
}
