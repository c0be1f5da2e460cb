//! Mending or dropping what a check flags.

mod draft;
mod soften;

use std::ops::Range;

use draft::Draft;
use soften::softened;

use crate::check::judged;
use crate::index::Index;
use crate::judge::{Finding, Study, judge};
use crate::llm_judge::{Opinion, settle};
use crate::model::Weights;
use crate::report::{
    Claim, Corrected, Correction, ReasonKind, Report, SentenceClass, Source, Thresholds, Verdict,
};

/// Most rounds of checking and dropping before all of a text is dropped.
const MOST_ROUNDS: usize = 6;
/// Most rounds of dropping what a judge flags.
const JUDGED_ROUNDS: usize = 2;

/// Corrects a text until no sentence in it is flagged.
///
/// In the first round a sentence whose only faults are numbers or names with exactly one counterpart in its evidence
/// is mended; one that stands without the clause or the strong word that is at fault is softened, by as little as will
/// do. Both only when the result is supported and fewer than [`Thresholds::max_corrections`] sentences were mended; every
/// other flagged sentence is dropped with its line if it leaves none behind. Later rounds only drop, since cutting one
/// sentence may change how its neighbours read. Uncertain sentences stay: they are a judge's to decide.
pub fn correct(text: &str, sources: &[Source<'_>], thresholds: &Thresholds) -> Corrected {
    corrected(&Index::build(sources), text, thresholds)
}

pub(crate) fn corrected(index: &Index<'_>, text: &str, thresholds: &Thresholds) -> Corrected {
    let mut draft = Draft::new(text);
    let (mut report, findings) = judged(index, text, thresholds);
    let count = report.sentences;
    let mut mended = 0;
    for (piece, (claim, finding)) in report.claims.iter().zip(&findings).enumerate() {
        if !claim.verdict.is_flagged() {
            continue;
        }
        let room = mended < thresholds.max_corrections;
        let cure = if room { cured(index, claim, finding, count, thresholds) } else { None };
        mended += usize::from(cure.is_some());
        draft.change(piece, cure.unwrap_or_default(), explain(claim));
    }
    let mut rendered = draft.render();
    let mut rounds = 0;
    while draft.is_changed() {
        rounds += 1;
        report = judged(index, &rendered.text, thresholds).0;
        let flagged: Vec<&Claim> = report.claims.iter().filter(|claim| claim.verdict.is_flagged()).collect();
        if flagged.is_empty() {
            break;
        }
        let before = draft.left();
        for claim in flagged {
            draft.drop_overlapping(&rendered, &claim.span, &explain(claim));
        }
        if draft.left() == before || rounds == MOST_ROUNDS {
            draft.drop_all("what is left does not hold together");
        }
        rendered = draft.render();
    }
    Corrected { text: rendered.text, corrections: draft.corrections(), report }
}

/// Corrects a text as [`correct`] does, and drops what a judge's opinions flag, by the claims' words. After two rounds what
/// is still flagged stays, and the report says that the text is not safe.
pub fn correct_by(
    text: &str,
    sources: &[Source<'_>],
    thresholds: &Thresholds,
    opinions: &[(String, Opinion)],
) -> Corrected {
    corrected_by(&Index::build(sources), text, thresholds, opinions)
}

pub(crate) fn corrected_by(
    index: &Index<'_>,
    text: &str,
    thresholds: &Thresholds,
    opinions: &[(String, Opinion)],
) -> Corrected {
    let sources = index.sources();
    let mut corrected = self::corrected(index, text, thresholds);
    for _ in 0..JUDGED_ROUNDS {
        let report = settle(corrected.report.clone(), opinions, sources, thresholds).report;
        if !report.claims.iter().any(|claim| claim.verdict.is_flagged()) {
            break;
        }
        let (left, dropped) = drop_flagged(&corrected.text, &report);
        let again = self::corrected(index, &left, thresholds);
        let changes = dropped.into_iter().chain(again.corrections);
        corrected
            .corrections
            .extend(changes.map(|change| Correction { span: place_of(&change.before, text), ..change }));
        corrected.text = again.text;
        corrected.report = again.report;
    }
    corrected.report = settle(corrected.report, opinions, sources, thresholds).report;
    corrected
}

/// Where a text has these words; its end where it does not have them any more.
fn place_of(words: &str, text: &str) -> Range<usize> {
    text.find(words).map_or(text.len()..text.len(), |at| at..at + words.len())
}

/// The text without the sentences that a report of it flags, and what was left out.
fn drop_flagged(text: &str, report: &Report) -> (String, Vec<Correction>) {
    let mut draft = Draft::new(text);
    for (piece, claim) in report.claims.iter().enumerate().filter(|(_, claim)| claim.verdict.is_flagged()) {
        draft.change(piece, String::new(), explain(claim));
    }
    (draft.render().text, draft.corrections())
}

/// The sentence, of a text of so many, mended or softened, if one of both makes it a supported one.
fn cured(
    index: &Index<'_>,
    claim: &Claim,
    finding: &Finding,
    sentences: usize,
    thresholds: &Thresholds,
) -> Option<String> {
    let holds = |text: &String| {
        let study = Study::new(index, text, 0..text.len(), SentenceClass::Claim, sentences);
        judge(Weights::built_in(), index, &study, thresholds).verdict == Verdict::Supported
    };
    let softer = || softened(&claim.text).into_iter().find(holds);
    mend(index, claim, finding).filter(holds).or_else(softer)
}

/// The sentence with every faulty number and name replaced, when each has its counterpart.
fn mend(index: &Index<'_>, claim: &Claim, finding: &Finding) -> Option<String> {
    let curable = |kind| matches!(kind, ReasonKind::NumberMismatch | ReasonKind::EntityMismatch);
    if !finding.reasons.iter().all(|reason| curable(reason.kind)) {
        return None;
    }
    let numbers = finding.numbers.iter().map(|fault| (&fault.span, &fault.instead));
    let names = finding.names.iter().map(|fault| (&fault.span, &fault.instead));
    let mut edits = Vec::new();
    for (span, instead) in numbers.chain(names) {
        let (passage, there) = instead.as_ref()?;
        edits.push((span.clone(), &index.quote(*passage)[there.clone()]));
    }
    edits.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    if edits.is_empty() || edits.windows(2).any(|pair| pair[1].0.end > pair[0].0.start) {
        return None;
    }
    let mut cured = claim.text.clone();
    for (span, replacement) in edits {
        cured.replace_range(span, replacement);
    }
    Some(cured)
}

fn explain(claim: &Claim) -> String {
    let said = claim.reasons.iter().map(|reason| format!("{}: {}", reason.kind.describe(), reason.detail));
    said.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "Acme cut build times by 40 % in 2024.\nThe cache keeps every artefact for 30 days. \
                          Maria Chen leads the platform team.";

    fn corrected(text: &str) -> Corrected {
        correct(text, &[Source { id: "s1", text: SOURCE }], &Thresholds::default())
    }

    #[test]
    fn a_wrong_number_or_name_is_replaced() {
        for (given, expected) in [
            ("Acme cut build times by 45 % in 2024.", "Acme cut build times by 40 % in 2024."),
            ("The cache keeps every artefact for 60 days.", "The cache keeps every artefact for 30 days."),
            (
                "Yesterday: Mario Rossi leads the platform team.",
                "Yesterday: Maria Chen leads the platform team.",
            ),
        ] {
            let result = corrected(given);
            assert_eq!(result.text, expected);
            assert_eq!(result.corrections.len(), 1, "{given}");
            assert_eq!(result.corrections[0].before, given);
            assert_eq!(result.corrections[0].after, expected);
            assert!(result.report.is_safe, "{:?}", result.report);
        }
    }

    #[test]
    fn what_a_sentence_says_too_much_is_left_out() {
        for (given, expected) in [
            (
                "Acme cut build times by 40 % in 2024, the fastest of all.",
                "Acme cut build times by 40 % in 2024.",
            ),
            (
                "The cache keeps every artefact for 30 days and serves 900 teams.",
                "The cache keeps every artefact for 30 days.",
            ),
            (
                "Maria Chen, who won 12 medals, leads the platform team.",
                "Maria Chen leads the platform team.",
            ),
        ] {
            let result = corrected(given);
            assert_eq!(result.text, expected);
            assert_eq!((result.corrections.len(), result.report.is_safe), (1, true), "{:?}", result.report);
        }
    }

    #[test]
    fn what_a_judge_flags_goes() {
        let given = "Acme cut build times by 40 % in 2024. Maria Chen leads the platform team.";
        let mut report = corrected(given).report;
        assert_eq!(drop_flagged(given, &report), (given.to_owned(), Vec::new()));
        report.claims[1].verdict = Verdict::Contradicted;
        let (text, corrections) = drop_flagged(given, &report);
        assert_eq!(text, "Acme cut build times by 40 % in 2024.");
        assert_eq!(&given[corrections[0].span.clone()], "Maria Chen leads the platform team.");
    }

    #[test]
    fn what_a_judge_finds_false_is_dropped_and_what_it_finds_true_stays() {
        use crate::llm_judge::Statement;
        let sources = [Source {
            id: "s1",
            text: "Acme does not store source code.\nThe cache keeps every artefact for 30 days.",
        }];
        let given = "The cache keeps every artefact for 30 days. Acme does store source code.";
        let by = |verdict, quote: &str| {
            let statements = vec![Statement { text: "s".into(), verdict, quote: quote.into() }];
            let opinions = [("Acme does store source code.".to_owned(), Opinion { statements })];
            correct_by(given, &sources, &Thresholds::default(), &opinions)
        };
        let dropped = by(Verdict::Contradicted, "Acme does not store source code.");
        assert_eq!(dropped.text, "The cache keeps every artefact for 30 days.");
        assert_eq!(&given[dropped.corrections[0].span.clone()], "Acme does store source code.");
        assert!(dropped.report.is_safe, "{:?}", dropped.report);
        let kept = by(Verdict::Supported, "Acme does not store source code.");
        assert_eq!((kept.text.as_str(), kept.corrections.len(), kept.report.is_safe), (given, 0, true));
        let unsure = by(Verdict::Supported, "words that no source has");
        assert_eq!((unsure.text.as_str(), unsure.report.is_safe), (given, false));
    }

    #[test]
    fn what_cannot_be_mended_goes_with_its_line() {
        let given = "# Faster builds\n\n- Acme cut build times by 40 % in 2024.\n- Globex bought a castle in Spain.\n\n\
                     Maria Chen leads the platform team. She won 12 medals. Want more?";
        let result = corrected(given);
        assert_eq!(
            result.text,
            "# Faster builds\n\n- Acme cut build times by 40 % in 2024.\n\nMaria Chen leads the platform team. Want more?"
        );
        let dropped: Vec<&str> = result.corrections.iter().map(|c| &given[c.span.clone()]).collect();
        assert_eq!(dropped, ["Globex bought a castle in Spain.", "She won 12 medals."]);
        assert!(result.corrections.iter().all(|c| c.after.is_empty() && !c.reason.is_empty()));
        assert!(result.report.is_safe);
    }

    #[test]
    fn a_sound_text_is_left_alone() {
        let given = "Acme cut build times by 40 % in 2024.\n\n  Want more?\n";
        let result = corrected(given);
        assert_eq!(result.text, given);
        assert!(result.corrections.is_empty());
    }

    #[test]
    fn only_so_many_sentences_are_mended() {
        let given = "Acme cut build times by 45 % in 2024. The cache keeps every artefact for 60 days.";
        let one = Thresholds { max_corrections: 1, ..Thresholds::default() };
        let result = correct(given, &[Source { id: "s1", text: SOURCE }], &one);
        assert_eq!(result.text, "Acme cut build times by 40 % in 2024.");
        assert_eq!(result.corrections.len(), 2);
    }

    #[test]
    fn without_sources_nothing_stated_is_left() {
        let result = correct("Acme cut build times by 40 %.", &[], &Thresholds::default());
        assert_eq!(result.text, "");
        assert!(!result.report.is_safe && result.report.not_safe_reason.is_some());
    }
}
