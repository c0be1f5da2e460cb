//! Mending or dropping what a check flags.

mod draft;

use draft::Draft;

use crate::check::judged;
use crate::index::Index;
use crate::judge::{Finding, Study, judge};
use crate::model::Weights;
use crate::report::{Claim, Corrected, ReasonKind, SentenceClass, Source, Thresholds, Verdict};

/// Most rounds of checking and dropping before all of a text is dropped.
const MOST_ROUNDS: usize = 6;

/// Corrects a text until no sentence in it is flagged.
///
/// In the first round a sentence whose only faults are numbers or names with exactly one counterpart in its evidence
/// is mended, when the result is supported and fewer than [`Thresholds::max_corrections`] sentences were mended; every
/// other flagged sentence is dropped with its line if it leaves none behind. Later rounds only drop, since cutting one
/// sentence may change how its neighbours read. Uncertain sentences stay: they are a judge's to decide.
pub fn correct(text: &str, sources: &[Source<'_>], thresholds: &Thresholds) -> Corrected {
    let index = Index::build(sources);
    let mut draft = Draft::new(text);
    let (mut report, findings) = judged(&index, text, thresholds);
    let count = report.sentences;
    let mut mended = 0;
    for (piece, (claim, finding)) in report.claims.iter().zip(&findings).enumerate() {
        if !claim.verdict.is_flagged() {
            continue;
        }
        let cure = (mended < thresholds.max_corrections)
            .then(|| mend(&index, claim, finding, count, thresholds))
            .flatten();
        mended += usize::from(cure.is_some());
        draft.change(piece, cure.unwrap_or_default(), explain(claim));
    }
    let mut rendered = draft.render();
    let mut rounds = 0;
    while draft.is_changed() {
        rounds += 1;
        report = judged(&index, &rendered.text, thresholds).0;
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

/// The sentence with every faulty number and name replaced, when that makes it a supported one.
fn mend(
    index: &Index<'_>,
    claim: &Claim,
    finding: &Finding,
    sentences: usize,
    thresholds: &Thresholds,
) -> Option<String> {
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
    let study = Study::new(index, &cured, 0..cured.len(), SentenceClass::Claim, sentences);
    let verdict = judge(Weights::built_in(), index, &study, thresholds).verdict;
    (verdict == Verdict::Supported).then_some(cured)
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
