//! From signs to a verdict: hard signs decide, the rest is weighed.

use std::ops::Range;

use crate::align::{Alignment, align, verbatim};
use crate::features::{Features, measure};
use crate::index::{Index, Parsed, PassageId, Term};
use crate::model::{Weights, logistic};
use crate::report::{Evidence, Reason, ReasonKind, SentenceClass, Thresholds, Verdict};
use crate::signals::{
    NameFault, NumberFault, NumberFaultKind, check_names, check_numbers, denial, omitted_denial, opposite,
    reason, superlatives,
};

/// Risk of a sentence that a source has word for word.
const VERBATIM_RISK: f64 = 0.02;
/// Least risk of a sentence that its evidence contradicts.
const CONTRADICTED_RISK: f64 = 0.95;
/// Least risk of a sentence with a number, name or superlative without ground.
const GROUNDLESS_RISK: f64 = 0.9;
/// Least risk of a sentence that leaves out a negation of its evidence.
const DROPPED_RISK: f64 = 0.5;
/// By how much a risk stays below a threshold that it must not reach.
const SLIGHTLY: f64 = 0.01;
/// Least cover of the evidence shown for a sentence to be called supported.
const LEAST_COVER: f64 = 0.5;
/// Least cover of the evidence of a sentence that is only lightly edited.
const LIGHTLY_EDITED: f64 = 0.85;
/// Least cover of the best evidence at which a negation or an opposite is about the same thing.
const SAME_STATEMENT: f64 = 0.45;

/// What was found about one sentence.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) verdict: Verdict,
    pub(crate) risk: f64,
    pub(crate) reasons: Vec<Reason>,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) numbers: Vec<NumberFault>,
    pub(crate) names: Vec<NameFault>,
    /// The model's log odds that the sentence is not grounded.
    pub(crate) score: f64,
}

/// A sentence taken apart, compared and measured, before anyone says what it means.
pub(crate) struct Study<'t> {
    /// Bytes in the text.
    pub(crate) span: Range<usize>,
    pub(crate) class: SentenceClass,
    pub(crate) parsed: Parsed<'t>,
    /// The passages that are this sentence word for word.
    run: Option<Range<PassageId>>,
    aligned: Alignment,
    pub(crate) features: Features,
}

impl<'t> Study<'t> {
    /// Studies the sentence at `span` of a text that has so many sentences, of this class.
    pub(crate) fn new(
        index: &Index<'_>,
        text: &'t str,
        span: Range<usize>,
        class: SentenceClass,
        sentences: usize,
    ) -> Self {
        let parsed = Parsed::new(index, &text[span.clone()]);
        Self::of_parsed(index, parsed, span, class, sentences)
    }

    /// Studies a sentence that is taken apart already.
    pub(crate) fn of_parsed(
        index: &Index<'_>,
        parsed: Parsed<'t>,
        span: Range<usize>,
        class: SentenceClass,
        sentences: usize,
    ) -> Self {
        let run = verbatim(index, &parsed);
        let aligned = align(index, &parsed.terms);
        let features = measure(index, &parsed, &aligned, run.is_some(), class, sentences);
        Self { span, class, parsed, run, aligned, features }
    }

    /// The passage that covers most of it.
    pub(crate) fn best(&self) -> Option<PassageId> {
        self.aligned.best
    }
}

impl Finding {
    fn not_checkable() -> Self {
        Self::plain(Verdict::NotCheckable, 0.0, Vec::new(), Vec::new())
    }

    fn plain(verdict: Verdict, risk: f64, reasons: Vec<Reason>, evidence: Vec<Evidence>) -> Self {
        Self { verdict, risk, reasons, evidence, numbers: Vec::new(), names: Vec::new(), score: 0.0 }
    }
}

/// Judges a sentence. What a source has word for word is supported when it states something; a heading or a question
/// that stands in a source too states no more than its like anywhere else.
pub(crate) fn judge(
    weights: &Weights,
    index: &Index<'_>,
    study: &Study<'_>,
    thresholds: &Thresholds,
) -> Finding {
    let score = weights.score(&study.features);
    Finding { score, ..judge_scored(index, study, score, thresholds) }
}

fn judge_scored(index: &Index<'_>, study: &Study<'_>, score: f64, thresholds: &Thresholds) -> Finding {
    use SentenceClass::{CallToAction, Claim, Greeting, Hashtags, Heading, Meta, Opinion, Question};
    if let Some(run) = study.run.clone() {
        if matches!(study.class, Hashtags | Greeting | Heading | Question) {
            return Finding::not_checkable();
        }
        let reasons = vec![reason(ReasonKind::VerbatimInSource, "word for word")];
        let evidence = index.evidence(run).into_iter().collect();
        return Finding::plain(Verdict::Supported, VERBATIM_RISK, reasons, evidence);
    }
    match study.class {
        Claim => judge_claim(index, study, score, thresholds),
        Hashtags | Greeting => Finding::not_checkable(),
        Heading | Meta | Opinion => judge_facts(index, study, true),
        Question | CallToAction => judge_facts(index, study, false),
    }
}

/// Only the numbers, and the names if wanted: what is wrong even in a sentence that states nothing.
fn judge_facts(index: &Index<'_>, study: &Study<'_>, with_names: bool) -> Finding {
    let (parsed, aligned) = (&study.parsed, &study.aligned);
    let (mut numbers, _) = check_numbers(index, parsed);
    numbers.retain(|fault| {
        fault.kind == NumberFaultKind::Missing && !is_list_count(&parsed.raw[fault.span.clone()])
    });
    let names = if with_names { check_names(index, parsed, aligned.best) } else { Vec::new() };
    if numbers.is_empty() && names.is_empty() {
        return Finding::not_checkable();
    }
    let mut reasons = Vec::new();
    explain_numbers(index, parsed, &numbers, &mut reasons);
    explain_names(index, parsed, &names, &mut reasons);
    Finding { numbers, names, ..Finding::plain(Verdict::Unsupported, GROUNDLESS_RISK, reasons, Vec::new()) }
}

/// `3 lessons`: the text counts its own parts.
fn is_list_count(number: &str) -> bool {
    number.len() <= 2 && number.parse::<u8>().is_ok_and(|count| count <= 12)
}

fn judge_claim(index: &Index<'_>, study: &Study<'_>, score: f64, thresholds: &Thresholds) -> Finding {
    let parsed = &study.parsed;
    if parsed.terms.is_empty() {
        return Finding::not_checkable();
    }
    let mut aligned = study.aligned.clone();
    let (numbers, grounds) = check_numbers(index, parsed);
    show_ground(&mut aligned, &grounds);
    let evidence: Vec<PassageId> = aligned.passages().collect();
    let names = check_names(index, parsed, aligned.best);
    let mut hard = Vec::new();
    let contradicted = explain_numbers(index, parsed, &numbers, &mut hard)
        | explain_names(index, parsed, &names, &mut hard)
        | explain_stance(index, parsed, &aligned, &evidence, &mut hard);
    let shown = evidence.iter().filter_map(|id| index.evidence(*id..*id + 1)).collect();
    let soft = soft_risk(parsed, &aligned, score, thresholds);
    let dropped = aligned.best.and_then(|best| omitted_denial(index, parsed, best));
    let finding = if hard.is_empty() {
        settle(soft, dropped, &aligned, thresholds, shown)
    } else if contradicted {
        Finding::plain(Verdict::Contradicted, soft.max(CONTRADICTED_RISK), hard, shown)
    } else {
        Finding::plain(Verdict::Unsupported, soft.max(GROUNDLESS_RISK), hard, shown)
    };
    Finding { numbers, names, ..finding }
}

/// A number's own passage is shown rather than one that merely adds words.
fn show_ground(aligned: &mut Alignment, grounds: &[PassageId]) {
    let missing = grounds.iter().find(|id| aligned.passages().all(|shown| shown != **id));
    let kept = aligned.second.is_some_and(|second| grounds.contains(&second));
    if let Some(ground) = missing.filter(|_| !kept) {
        aligned.second = Some(*ground);
    }
}

fn settle(
    soft: f64,
    dropped: Option<&str>,
    aligned: &Alignment,
    thresholds: &Thresholds,
    shown: Vec<Evidence>,
) -> Finding {
    // Whatever else speaks against it, what a dropped negation means is a judge's to say.
    let risk = dropped.map_or(soft, |_| soft.max(DROPPED_RISK).min((thresholds.t_high - SLIGHTLY).max(0.0)));
    let risk = if aligned.by_both < LEAST_COVER { risk.max(thresholds.t_low) } else { risk };
    let cover = format!("{:.0} % of its weight", aligned.by_both * 100.0);
    if risk < thresholds.t_low && !shown.is_empty() {
        return Finding::plain(Verdict::Supported, risk, vec![reason(ReasonKind::WellCovered, cover)], shown);
    }
    let low = reason(ReasonKind::LowCoverage, cover);
    let reasons = match dropped {
        Some(cue) if soft < thresholds.t_low => vec![reason(ReasonKind::NegationDropped, cue)],
        Some(cue) => vec![reason(ReasonKind::NegationDropped, cue), low],
        None => vec![low],
    };
    let verdict = if risk >= thresholds.t_high { Verdict::Unsupported } else { Verdict::Uncertain };
    Finding::plain(verdict, risk, reasons, shown)
}

fn explain_numbers(
    index: &Index<'_>,
    parsed: &Parsed<'_>,
    faults: &[NumberFault],
    reasons: &mut Vec<Reason>,
) -> bool {
    let mut contradicted = false;
    for fault in faults {
        let said = &parsed.raw[fault.span.clone()];
        let (kind, detail) = match (&fault.instead, fault.kind) {
            (Some((id, span)), _) => {
                contradicted = true;
                (ReasonKind::NumberMismatch, format!("{said} (source: {})", &index.quote(*id)[span.clone()]))
            }
            (None, NumberFaultKind::Missing) => (ReasonKind::NumberMissing, said.to_owned()),
            (None, NumberFaultKind::Unaligned) => (ReasonKind::NumberUnaligned, said.to_owned()),
        };
        reasons.push(reason(kind, detail));
    }
    contradicted
}

fn explain_names(
    index: &Index<'_>,
    parsed: &Parsed<'_>,
    faults: &[NameFault],
    reasons: &mut Vec<Reason>,
) -> bool {
    let named =
        |term: &&Term| faults.iter().any(|fault| fault.span.contains(&parsed.words[term.word].span.start));
    let others = || parsed.terms.iter().filter(|term| !named(term));
    let total: f64 = others().map(|term| term.weight).sum();
    let around: f64 = others().filter(|term| !term.holders.is_empty()).map(|term| term.weight).sum();
    let mut contradicted = false;
    for fault in faults {
        let said = &parsed.raw[fault.span.clone()];
        match fault.instead.as_ref().filter(|_| around >= total * SAME_STATEMENT) {
            Some((id, span)) => {
                contradicted = true;
                let detail = format!("{said} (source: {})", &index.quote(*id)[span.clone()]);
                reasons.push(reason(ReasonKind::EntityMismatch, detail));
            }
            None => reasons.push(reason(ReasonKind::EntityMissing, said)),
        }
    }
    contradicted
}

/// Whether the evidence says the opposite; an unsupported superlative is explained, but contradicts nothing.
fn explain_stance(
    index: &Index<'_>,
    parsed: &Parsed<'_>,
    aligned: &Alignment,
    evidence: &[PassageId],
    reasons: &mut Vec<Reason>,
) -> bool {
    let extreme = superlatives(index, parsed, evidence);
    reasons.extend(extreme.into_iter().map(|word| reason(ReasonKind::SuperlativeUnsupported, word)));
    let Some(best) = aligned.best.filter(|_| aligned.by_best >= SAME_STATEMENT) else { return false };
    let denial = denial(index, parsed, evidence).map(|cue| reason(ReasonKind::NegationAdded, cue));
    let opposite = opposite(index, parsed, best)
        .map(|(mine, theirs)| reason(ReasonKind::AntonymOf, format!("{mine} (source: {theirs})")));
    let found = denial.is_some() || opposite.is_some();
    reasons.extend(denial.into_iter().chain(opposite));
    found
}

/// The risk that remains without any hard sign, 0 to 1. A sentence all of whose content one passage has is no more than
/// lightly edited: whatever the model makes of its length and order, it stays below the lower threshold.
fn soft_risk(parsed: &Parsed<'_>, aligned: &Alignment, score: f64, thresholds: &Thresholds) -> f64 {
    let risk = logistic(score);
    let novel = parsed.terms.iter().any(|term| term.holders.is_empty() && !term.is_generic);
    if aligned.by_both >= LIGHTLY_EDITED && !novel { risk.min(thresholds.t_low * 0.9) } else { risk }
}
