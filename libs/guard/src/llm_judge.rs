//! What a judge model's word counts for: which claims it is asked about, and what becomes of its answers.
//!
//! The guard asks it only about what it is uncertain of itself. A judge must show the words it goes by: an answer whose
//! quote is in no source does not count, and the claim stays as it was. Nothing here calls a model.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::check::retold;
use crate::report::{Claim, Evidence, Reason, ReasonKind, Report, Source, Thresholds, Verdict};

/// The least characters of a quote that proves anything.
const LEAST_QUOTE: usize = 8;
/// What the risk of a claim is at most when the judge finds it supported.
const SUPPORTED_RISK: f64 = 0.1;
/// And at least when it finds the opposite in the sources.
const CONTRADICTED_RISK: f64 = 0.95;
/// And at least when it finds nothing there.
const UNSUPPORTED_RISK: f64 = 0.85;

/// A claim that a judge is to be asked about.
#[derive(Debug, Clone, PartialEq)]
pub struct Question<'r> {
    /// Its place among the report's claims, from 0.
    pub claim: usize,
    /// Its words.
    pub text: &'r str,
    /// The sources that its evidence is in, as indexes, the likeliest first; the first sources where there is none.
    pub sources: Vec<usize>,
}

/// A judge's answer about a claim: what it states, one by one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opinion {
    /// Everything that the claim states; one that states nothing is no answer.
    pub statements: Vec<Statement>,
}

/// One thing that a claim states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// In words that stand alone.
    pub text: String,
    /// [`Verdict::Supported`], [`Verdict::Contradicted`] or [`Verdict::Unsupported`]; anything else is no answer.
    pub verdict: Verdict,
    /// The words of the sources that it goes by; may be empty where nothing was found.
    pub quote: String,
}

/// A report with a judge's answers in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// The report, told anew.
    pub report: Report,
    /// Which claims are decided by the judge, as indexes.
    pub decided: Vec<usize>,
    /// Which answers did not count, as indexes.
    pub overruled: Vec<usize>,
}

/// What a judge is to be asked: every uncertain claim, with `most` sources at most.
pub fn questions<'r>(report: &'r Report, sources: &[Source<'_>], most: usize) -> Vec<Question<'r>> {
    let open = report.claims.iter().enumerate().filter(|(_, claim)| claim.verdict == Verdict::Uncertain);
    open.map(|(at, claim)| Question { claim: at, text: &claim.text, sources: places(claim, sources, most) })
        .collect()
}

fn places(claim: &Claim, sources: &[Source<'_>], most: usize) -> Vec<usize> {
    let mut places: Vec<usize> = Vec::new();
    let known = claim.evidence.iter().map(|evidence| evidence.source_index);
    for place in known.chain(0..sources.len()) {
        if places.len() < most && place < sources.len() && !places.contains(&place) {
            places.push(place);
        }
    }
    places
}

/// Puts a judge's answers, by the claims' words, into a report. Answers about claims that are not uncertain are not
/// heard. A claim is supported when all that it states is.
pub fn settle(
    report: Report,
    opinions: &[(String, Opinion)],
    sources: &[Source<'_>],
    thresholds: &Thresholds,
) -> Heard {
    let (mut decided, mut overruled) = (Vec::new(), Vec::new());
    let mut claims = report.claims.clone();
    for (at, claim) in claims.iter_mut().enumerate().filter(|(_, claim)| claim.verdict == Verdict::Uncertain)
    {
        let Some((_, opinion)) = opinions.iter().find(|(text, _)| *text == claim.text) else { continue };
        if decide(claim, opinion, sources) {
            decided.push(at);
        } else {
            let detail = "it shows no words of a source".to_owned();
            claim.reasons.push(Reason { kind: ReasonKind::JudgeOverruled, detail });
            overruled.push(at);
        }
    }
    Heard { report: retold(report, claims, !sources.is_empty(), thresholds), decided, overruled }
}

/// Whether the answer counts; then the claim is as it says.
fn decide(claim: &mut Claim, opinion: &Opinion, sources: &[Source<'_>]) -> bool {
    let shown: Vec<(&Statement, Option<Evidence>)> =
        opinion.statements.iter().map(|statement| (statement, find(&statement.quote, sources))).collect();
    let denied = shown.iter().find(|(said, at)| said.verdict == Verdict::Contradicted && at.is_some());
    let missing = shown.iter().find(|(said, _)| said.verdict == Verdict::Unsupported);
    let held = shown.iter().all(|(said, at)| said.verdict == Verdict::Supported && at.is_some());
    let (verdict, kind, decisive) = match (denied, missing, shown.first()) {
        (Some(denied), _, _) => (Verdict::Contradicted, ReasonKind::JudgeContradicts, denied),
        (None, Some(missing), _) => (Verdict::Unsupported, ReasonKind::JudgeFindsNothing, missing),
        (None, None, Some(first)) if held => (Verdict::Supported, ReasonKind::JudgeSupports, first),
        _ => return false,
    };
    let detail = decisive.0.text.trim().to_owned();
    claim.reasons.insert(0, Reason { kind, detail });
    claim.verdict = verdict;
    claim.risk = match verdict {
        Verdict::Supported => claim.risk.min(SUPPORTED_RISK),
        Verdict::Contradicted => claim.risk.max(CONTRADICTED_RISK),
        _ => claim.risk.max(UNSUPPORTED_RISK),
    };
    let wanted = |said: &Statement| match verdict {
        Verdict::Contradicted => said.verdict == Verdict::Contradicted,
        _ => said.verdict == Verdict::Supported,
    };
    let found: Vec<Evidence> =
        shown.into_iter().filter(|(said, _)| wanted(said)).filter_map(|(_, evidence)| evidence).collect();
    show(claim, found);
    true
}

/// Puts evidence before what a claim has, each place once.
fn show(claim: &mut Claim, found: Vec<Evidence>) {
    let known = std::mem::take(&mut claim.evidence);
    for evidence in found.into_iter().chain(known) {
        let same =
            |other: &Evidence| other.source_index == evidence.source_index && other.span == evidence.span;
        if !claim.evidence.iter().any(same) {
            claim.evidence.push(evidence);
        }
    }
}

/// The first place where a source has these words; blanks, quotation marks and dashes may differ in kind.
fn find(quote: &str, sources: &[Source<'_>]) -> Option<Evidence> {
    let wanted: Vec<char> = folded(quote).map(|(_, letter)| letter).collect();
    if wanted.iter().filter(|letter| letter.is_alphanumeric()).count() < LEAST_QUOTE {
        return None;
    }
    sources.iter().enumerate().find_map(|(source_index, source)| {
        let span = find_in(&wanted, source.text)?;
        let quote = source.text[span.clone()].to_owned();
        Some(Evidence { source_id: source.id.to_owned(), source_index, span, quote })
    })
}

fn find_in(wanted: &[char], text: &str) -> Option<Range<usize>> {
    let letters: Vec<(Range<usize>, char)> = folded(text).collect();
    let start = letters
        .windows(wanted.len())
        .position(|window| window.iter().zip(wanted).all(|((_, have), want)| have == want))?;
    Some(letters[start].0.start..letters[start + wanted.len() - 1].0.end)
}

/// The letters of a text with their bytes: runs of blanks are one blank, marks of one kind are one mark, and none of it
/// stands at the ends.
fn folded(text: &str) -> impl Iterator<Item = (Range<usize>, char)> {
    let trimmed = text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '“' | '”' | '…' | '.'));
    let offset = trimmed.as_ptr() as usize - text.as_ptr() as usize;
    let mut blank = false;
    trimmed.char_indices().filter_map(move |(at, letter)| {
        let was_blank = std::mem::replace(&mut blank, letter.is_whitespace());
        if letter.is_whitespace() && was_blank {
            return None;
        }
        let letter = match letter {
            c if c.is_whitespace() => ' ',
            '“' | '”' | '„' | '«' | '»' => '"',
            '‘' | '’' | '‚' => '\'',
            '–' | '—' | '‐' | '‑' => '-',
            c => c,
        };
        let bytes = offset + at;
        Some((bytes..bytes + trimmed[at..].chars().next().map_or(1, char::len_utf8), letter))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check;

    const SOURCES: [Source<'static>; 2] = [
        Source {
            id: "a",
            text: "Acme does not store source code. The cache keeps “every  artefact” for 30 days.",
        },
        Source { id: "b", text: "Maria Chen leads the platform team." },
    ];

    fn uncertain() -> Report {
        let report = check("Acme does store source code.", &SOURCES, &Thresholds::default());
        assert_eq!(report.claims[0].verdict, Verdict::Uncertain, "{report:?}");
        report
    }

    fn said(verdict: Verdict, quote: &str) -> Statement {
        Statement { text: "It does.".into(), verdict, quote: quote.into() }
    }

    fn heard_all(statements: Vec<Statement>) -> Heard {
        let report = uncertain();
        let opinions = [(report.claims[0].text.clone(), Opinion { statements })];
        settle(report, &opinions, &SOURCES, &Thresholds::default())
    }

    fn heard(verdict: Verdict, quote: &str) -> Heard {
        heard_all(vec![said(verdict, quote)])
    }

    #[test]
    fn only_what_is_uncertain_is_asked_with_its_sources_first() {
        let report = uncertain();
        let asked = questions(&report, &SOURCES, 1);
        assert_eq!((asked.len(), asked[0].claim, asked[0].sources.as_slice()), (1, 0, &[0][..]));
        let sure = check("Maria Chen leads the platform team.", &SOURCES, &Thresholds::default());
        assert_eq!(questions(&sure, &SOURCES, 3), []);
    }

    #[test]
    fn a_judge_that_shows_the_words_is_believed() {
        let yes = heard(
            Verdict::Supported,
            "the cache keeps \"every artefact\" for 30 days".replace("the", "The").as_str(),
        );
        assert_eq!(yes.decided, [0], "{yes:?}");
        assert!(yes.report.is_safe && yes.report.supported == 1, "{:?}", yes.report);
        let shown = &yes.report.claims[0].evidence[0];
        assert_eq!(&SOURCES[0].text[shown.span.clone()], shown.quote);
        assert_eq!(shown.quote, "The cache keeps “every  artefact” for 30 days");
        let no = heard(Verdict::Contradicted, "Acme does not store source code.");
        assert!(!no.report.is_safe && no.report.claims[0].risk > 0.9);
        assert_eq!(heard(Verdict::Unsupported, "").report.claims[0].verdict, Verdict::Unsupported);
    }

    #[test]
    fn a_judge_that_invents_its_quote_is_overruled() {
        for (verdict, quote) in [
            (Verdict::Supported, "Acme stores source code for years."),
            (Verdict::Supported, ""),
            (Verdict::Supported, "the"),
            (Verdict::Contradicted, "Acme never stores anything at all."),
            (Verdict::Uncertain, "Acme does not store source code."),
            (Verdict::NotCheckable, "Acme does not store source code."),
        ] {
            let result = heard(verdict, quote);
            assert_eq!((result.decided.len(), result.overruled.as_slice()), (0, &[0][..]), "{quote}");
            let claim = &result.report.claims[0];
            assert_eq!(claim.verdict, Verdict::Uncertain);
            assert!(!result.report.is_safe, "uncertain is not safe");
            assert!(claim.reasons.iter().any(|reason| reason.kind == ReasonKind::JudgeOverruled));
        }
    }

    #[test]
    fn a_claim_holds_when_all_that_it_states_does() {
        let yes = || said(Verdict::Supported, "Maria Chen leads the platform team.");
        let no = || said(Verdict::Contradicted, "Acme does not store source code.");
        let both = heard_all(vec![yes(), said(Verdict::Supported, "Acme does not store")]);
        assert_eq!(both.report.claims[0].verdict, Verdict::Supported);
        assert!(both.report.claims[0].evidence.len() >= 2, "each statement's words are shown");
        for (statements, verdict) in [
            (vec![yes(), said(Verdict::Unsupported, "")], Verdict::Unsupported),
            (vec![yes(), no()], Verdict::Contradicted),
            (vec![yes(), said(Verdict::Supported, "words that nobody wrote")], Verdict::Uncertain),
            (Vec::new(), Verdict::Uncertain),
        ] {
            let result = heard_all(statements);
            assert_eq!(result.report.claims[0].verdict, verdict);
            assert!(!result.report.is_safe);
        }
    }

    #[test]
    fn answers_about_other_claims_are_not_heard() {
        let opinion =
            Opinion { statements: vec![said(Verdict::Supported, "Maria Chen leads the platform team.")] };
        let flagged = check("Globex bought a castle in Spain.", &SOURCES, &Thresholds::default());
        let opinions = [(flagged.claims[0].text.clone(), opinion.clone()), ("Another.".into(), opinion)];
        assert_eq!(settle(flagged.clone(), &opinions, &SOURCES, &Thresholds::default()).report, flagged);
    }
}
