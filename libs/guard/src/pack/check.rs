//! Applying packs to a text.

use std::cell::OnceCell;
use std::ops::Range;

use serde::Serialize;

use super::active::ActivePack;
use super::document::{Classifier, Kind, Money, NumberOf, Scope, Severity};
use super::known::Known;
use super::matcher::{Matcher, Rule, WordList};
use crate::contain::suspicious_lines;
use crate::facts::{Quantity, QuantityKind, quantities};
use crate::fold::{Fold, View};
use crate::inject;
use crate::phrase;
use crate::pii::{Entity, Found, find_in, inside_word};
use crate::report::Source;
use crate::rules::style;
use crate::rules::superlative::superlatives;
use crate::secrets;
use crate::text::{Word, sentences, stem, words};

/// One place where a text breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// Id of the pack.
    pub pack: String,
    /// Version of the pack.
    pub version: String,
    /// Id of the rule.
    pub rule: String,
    /// What it means for the text.
    pub severity: Severity,
    /// Bytes in the text, on character boundaries.
    pub span: Range<usize>,
    /// The text at `span`; may be personal data, so not for logs.
    pub matched: String,
    /// What is wrong, for people.
    pub message: String,
    /// Kind of personal data, where the rule is about that.
    pub entity: Option<Entity>,
}

/// A question that a rule puts to a judge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Question {
    /// Id of the pack.
    pub pack: String,
    /// Version of the pack.
    pub version: String,
    /// Id of the rule.
    pub rule: String,
    /// What the rule means for the text when the answer is yes.
    pub severity: Severity,
    /// Answered with yes when the rule is broken.
    pub question: String,
    /// What is wrong then, for people.
    pub message: String,
}

/// What packs find in a text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// In reading order.
    pub hits: Vec<Hit>,
    /// What only a judge can say, in the order of the rules.
    pub questions: Vec<Question>,
}

impl Findings {
    /// Whether a rule that blocks was broken.
    pub fn blocked(&self) -> bool {
        self.hits.iter().any(|hit| hit.severity == Severity::Block)
    }
}

/// Applies all rules of this scope to a text.
pub fn check(packs: &[&ActivePack], scope: Scope, text: &str, sources: &[Source<'_>]) -> Findings {
    let page = Page::new(text);
    let known = Known::new(sources);
    let mut found = Findings::default();
    for pack in packs {
        for rule in pack.rules.iter().filter(|rule| rule.doc.scope.contains(&scope)) {
            apply(pack, rule, &page, &known, &mut found);
        }
    }
    found.hits.sort_by(|a, b| (a.span.start, a.span.end, &a.rule).cmp(&(b.span.start, b.span.end, &b.rule)));
    found
}

/// A text in the spellings that rules ask for.
struct Page<'t> {
    text: &'t str,
    views: [OnceCell<Sight>; 3],
    entities: OnceCell<Vec<Found>>,
}

/// One spelling and its words.
struct Sight {
    view: View,
    words: OnceCell<Vec<Word>>,
}

impl Sight {
    fn words(&self) -> &[Word] {
        self.words.get_or_init(|| words(self.view.text()))
    }
}

impl<'t> Page<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, views: Default::default(), entities: OnceCell::new() }
    }

    fn sight(&self, fold: Fold) -> &Sight {
        let at = match fold {
            Fold::Exact => 0,
            Fold::Folded => 1,
            Fold::Leet => 2,
        };
        self.views[at].get_or_init(|| Sight { view: View::new(self.text, fold), words: OnceCell::new() })
    }

    /// Personal data, in bytes of the exact view.
    fn entities(&self) -> &[Found] {
        self.entities.get_or_init(|| find_in(self.sight(Fold::Exact).view.text()))
    }
}

/// A hit before it is brought back to the text.
struct Raw {
    span: Range<usize>,
    /// Whether `span` counts bytes of the text itself already.
    original: bool,
    entity: Option<Entity>,
    message: Option<String>,
}

impl Raw {
    fn seen(span: Range<usize>) -> Self {
        Self { span, original: false, entity: None, message: None }
    }
}

fn apply(pack: &ActivePack, rule: &Rule, page: &Page<'_>, known: &Known<'_>, found: &mut Findings) {
    let fold = fold_of(rule);
    let sight = page.sight(fold);
    if rule.unless.iter().any(|pattern| pattern.is_match(sight.view.text())) {
        return;
    }
    if let (Matcher::Judge(when), Kind::Judge { question, .. }) = (&rule.matcher, &rule.doc.kind) {
        if !page.text.trim().is_empty()
            && (when.is_empty() || when.iter().any(|p| p.is_match(sight.view.text())))
        {
            found.questions.push(Question {
                pack: pack.id.clone(),
                version: pack.version.clone(),
                rule: rule.doc.id.clone(),
                severity: rule.doc.severity,
                question: question.clone(),
                message: rule.doc.message.clone(),
            });
        }
        return;
    }
    for raw in raw_hits(rule, page, sight, known) {
        if rule.doc.unless_in_sources && in_sources(&raw, sight, known) {
            continue;
        }
        let span = if raw.original { raw.span } else { sight.view.original(raw.span) };
        let Some(matched) = page.text.get(span.clone()).filter(|matched| !matched.is_empty()) else {
            continue;
        };
        found.hits.push(Hit {
            pack: pack.id.clone(),
            version: pack.version.clone(),
            rule: rule.doc.id.clone(),
            severity: rule.doc.severity,
            matched: matched.to_owned(),
            span,
            message: raw.message.unwrap_or_else(|| rule.doc.message.clone()),
            entity: raw.entity,
        });
    }
}

/// Personal data, secrets and capitals are about the text as it stands.
fn fold_of(rule: &Rule) -> Fold {
    match &rule.matcher {
        Matcher::Classifier(Classifier::Superlative) => Fold::Folded,
        Matcher::Classifier(_) | Matcher::Number { .. } => Fold::Exact,
        _ => rule.doc.fold,
    }
}

fn in_sources(raw: &Raw, sight: &Sight, known: &Known<'_>) -> bool {
    let Some(text) = sight.view.text().get(raw.span.clone()).filter(|_| !raw.original) else { return false };
    match raw.entity {
        Some(entity) => known.holds(entity, text),
        None => known.says(&words(View::new(text, Fold::Folded).text())),
    }
}

fn raw_hits(rule: &Rule, page: &Page<'_>, sight: &Sight, known: &Known<'_>) -> Vec<Raw> {
    let text = sight.view.text();
    match &rule.matcher {
        Matcher::Regex(patterns) => {
            apart(patterns.iter().flat_map(|pattern| crate::pii::spans(Some(pattern), text)))
        }
        Matcher::Words(list) => apart(words_of(list, sight).into_iter()),
        Matcher::Number { near } => numbers(rule, near, sight),
        Matcher::Classifier(classifier) => classified(*classifier, rule, page, sight, known),
        Matcher::Judge(_) | Matcher::Never => Vec::new(),
    }
}

/// Without overlap; the longer of two that begin together stays.
fn apart(spans: impl Iterator<Item = Range<usize>>) -> Vec<Raw> {
    let mut spans: Vec<Range<usize>> = spans.filter(|span| !span.is_empty()).collect();
    spans.sort_by_key(|span| (span.start, std::cmp::Reverse(span.end)));
    let mut end = 0;
    spans.retain(|span| {
        let free = span.start >= end;
        if free {
            end = span.end;
        }
        free
    });
    spans.into_iter().map(Raw::seen).collect()
}

fn words_of(list: &WordList, sight: &Sight) -> Vec<Range<usize>> {
    let text = sight.view.text();
    let mut found = Vec::new();
    if let Some(literal) = &list.literal {
        found.extend(literal.find_iter(text).map(|m| m.range()).filter(|span| !inside_word(text, span)));
    }
    if !list.phrases.is_empty() {
        let words = sight.words();
        found.extend(phrase::hits(&list.phrases, words).iter().map(|hit| phrase::span(words, hit)));
    }
    if !list.stemmed.is_empty() {
        let words = sight.words();
        let stems: Vec<String> = words.iter().map(|word| stem(&word.lower)).collect();
        for at in 0..stems.len() {
            for row in list.stemmed.get(&stems[at]).into_iter().flatten() {
                if stems[at..].starts_with(row) {
                    found.push(phrase::span(words, &(at..at + row.len())));
                }
            }
        }
    }
    found
}

fn numbers(rule: &Rule, near: &[String], sight: &Sight) -> Vec<Raw> {
    let Kind::Number { of, currency, above, below, .. } = &rule.doc.kind else { return Vec::new() };
    let text = sight.view.text();
    let fits = |quantity: &Quantity| {
        is_of(quantity, *of, *currency)
            && above.is_none_or(|limit| quantity.value > limit)
            && below.is_none_or(|limit| quantity.value < limit)
    };
    let mut spans: Vec<Range<usize>> =
        quantities(text, sight.words()).into_iter().filter(fits).map(|quantity| quantity.span).collect();
    if !near.is_empty() && !spans.is_empty() {
        let said: Vec<Range<usize>> = sentences(text)
            .into_iter()
            .map(|sentence| sentence.span)
            .filter(|span| words(&text[span.clone()]).iter().any(|word| near.contains(&stem(&word.lower))))
            .collect();
        spans.retain(|span| {
            said.iter().any(|sentence| sentence.start <= span.start && span.end <= sentence.end)
        });
    }
    spans.into_iter().map(Raw::seen).collect()
}

fn is_of(quantity: &Quantity, of: NumberOf, currency: Option<Money>) -> bool {
    match (&quantity.kind, of) {
        (QuantityKind::Percent, NumberOf::Percent)
        | (QuantityKind::Times, NumberOf::Times)
        | (QuantityKind::Seconds, NumberOf::Seconds)
        | (QuantityKind::Plain, NumberOf::Plain) => true,
        (QuantityKind::Currency(sign), NumberOf::Money) => currency.is_none_or(|money| money.sign() == *sign),
        _ => false,
    }
}

fn classified(
    classifier: Classifier,
    rule: &Rule,
    page: &Page<'_>,
    sight: &Sight,
    known: &Known<'_>,
) -> Vec<Raw> {
    let Kind::Classifier { entities, limit, threshold, .. } = &rule.doc.kind else { return Vec::new() };
    let text = sight.view.text();
    let original = |span: Range<usize>| Raw { original: true, ..Raw::seen(span) };
    let most = |default: usize| limit.map_or(default, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    match classifier {
        Classifier::Injection => {
            let whole = original(0..page.text.len());
            let is = |model: &inject::Classifier| {
                model.probability(page.text) > threshold.unwrap_or_else(|| model.threshold())
            };
            inject::Classifier::built_in().filter(|model| is(model)).map(|_| whole).into_iter().collect()
        }
        Classifier::ImperativeLine => suspicious_lines(page.text).into_iter().map(original).collect(),
        Classifier::Pii => {
            let wanted = |found: &&Found| {
                entities.is_empty() || entities.iter().any(|name| name == found.entity.name())
            };
            let raw = |found: &Found| Raw { entity: Some(found.entity), ..Raw::seen(found.span.clone()) };
            page.entities().iter().filter(wanted).map(raw).collect()
        }
        Classifier::Secret => secrets::find_in(text).into_iter().map(|found| Raw::seen(found.span)).collect(),
        Classifier::UnknownLink => {
            crate::rules::link::unknown(page.text, known.sources()).into_iter().map(original).collect()
        }
        Classifier::Superlative => superlatives(sight.words()).into_iter().map(Raw::seen).collect(),
        Classifier::Hashtags => style::hashtags(text, sight.words(), most(5))
            .map(|(span, count)| Raw {
                message: Some(format!("{count} hashtags, at most {}", most(5))),
                ..Raw::seen(span)
            })
            .into_iter()
            .collect(),
        Classifier::Capitals => {
            style::shouting(text, sight.words(), most(4).max(1)).into_iter().map(Raw::seen).collect()
        }
        Classifier::Emoji => style::emoji(page.text, most(10)).map(original).into_iter().collect(),
    }
}
