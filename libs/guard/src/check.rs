//! Checking a whole text.

use crate::class::classify;
use crate::index::{Index, Parsed};
use crate::judge::{Finding, Study, judge};
use crate::model::{Weights, logistic, overall};
use crate::report::{Claim, GUARD_VERSION, Report, SentenceClass, Source, Thresholds, Verdict};
use crate::text::{sentences, words};

/// Checks every sentence of a text against the sources.
///
/// Fails closed: an empty text, a text without a claim, and a list of sources without a word are not safe, and the
/// report says why.
pub fn check(text: &str, sources: &[Source<'_>], thresholds: &Thresholds) -> Report {
    judged(&Index::build(sources), text, thresholds).0
}

/// Checks a text by weights of the caller's.
pub fn check_by(weights: &Weights, text: &str, sources: &[Source<'_>], thresholds: &Thresholds) -> Report {
    judged_by(weights, &Index::build(sources), text, thresholds).0
}

/// The report on a text, and beside each claim what was found.
pub(crate) fn judged(index: &Index<'_>, text: &str, thresholds: &Thresholds) -> (Report, Vec<Finding>) {
    judged_by(Weights::built_in(), index, text, thresholds)
}

/// The sentences of a text, taken apart and measured.
pub(crate) fn scan<'t>(index: &Index<'_>, text: &'t str) -> Vec<Study<'t>> {
    let found = sentences(text);
    let count = found.len();
    let study = |sentence: crate::text::Sentence| {
        let raw = &text[sentence.span.clone()];
        let words = words(raw);
        let class = classify(text, &sentence, &words);
        Study::of_parsed(index, Parsed::of_words(index, raw, words), sentence.span, class, count)
    };
    found.into_iter().map(study).collect()
}

pub(crate) fn judged_by(
    weights: &Weights,
    index: &Index<'_>,
    text: &str,
    thresholds: &Thresholds,
) -> (Report, Vec<Finding>) {
    let mut claims = Vec::new();
    let mut findings = Vec::new();
    let mut scores = Vec::new();
    for study in scan(index, text) {
        let finding = judge(weights, index, &study, thresholds);
        claims.push(claim(study.parsed.raw, study.span, study.class, &finding));
        scores.push(finding.score);
        findings.push(finding);
    }
    let risk = overall(&scores).map_or(1.0, logistic);
    (report(claims, risk, !index.passages.is_empty(), thresholds), findings)
}

/// A report told anew with other claims.
pub(crate) fn retold(
    report: Report,
    claims: Vec<Claim>,
    has_sources: bool,
    thresholds: &Thresholds,
) -> Report {
    let guard_version = report.guard_version;
    Report { guard_version, ..self::report(claims, report.risk, has_sources, thresholds) }
}

fn claim(raw: &str, span: std::ops::Range<usize>, class: SentenceClass, finding: &Finding) -> Claim {
    let flagged = finding.verdict.is_flagged();
    Claim {
        span,
        text: raw.to_owned(),
        class: if flagged { SentenceClass::Claim } else { class },
        verdict: finding.verdict,
        risk: finding.risk,
        model_risk: logistic(finding.score),
        reasons: finding.reasons.clone(),
        evidence: finding.evidence.clone(),
    }
}

fn report(claims: Vec<Claim>, whole: f64, has_sources: bool, thresholds: &Thresholds) -> Report {
    let checked = claims.iter().filter(|claim| claim.verdict != Verdict::NotCheckable).count();
    let risk = claims.iter().map(|claim| claim.risk).fold(0.0, f64::max);
    let confidence = if checked > 0 { 1.0 - risk } else { 0.0 };
    let not_safe_reason = fault(has_sources, &claims, checked, confidence, thresholds);
    Report {
        is_safe: not_safe_reason.is_none(),
        confidence,
        risk: whole,
        supported: claims.iter().filter(|claim| claim.verdict == Verdict::Supported).count(),
        checked,
        sentences: claims.len(),
        claims,
        not_safe_reason,
        guard_version: GUARD_VERSION.to_owned(),
    }
}

/// Why the text is not safe.
fn fault(
    has_sources: bool,
    claims: &[Claim],
    checked: usize,
    confidence: f64,
    thresholds: &Thresholds,
) -> Option<String> {
    let flagged = claims.iter().filter(|claim| claim.verdict.is_flagged()).count();
    if claims.is_empty() {
        Some("the text is empty".to_owned())
    } else if !has_sources {
        Some("there are no sources to check against".to_owned())
    } else if checked == 0 {
        Some("no sentence states anything that could be checked".to_owned())
    } else if flagged > 0 {
        Some(format!("{flagged} of {checked} claims are not supported by the sources"))
    } else if confidence <= thresholds.safe_confidence || thresholds.safe_confidence.is_nan() {
        Some(format!("confidence {confidence:.2} is not above {:.2}", thresholds.safe_confidence))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::ReasonKind;

    const SOURCES: [Source<'static>; 2] = [
        Source {
            id: "readme",
            text: "# Acme Build\n\nAcme cut build times by 40 % in 2024. The cache keeps every artefact for 30 days.\n\
                   Acme does not store source code. Version 1.4.2 was released on March 3, 2024.",
        },
        Source {
            id: "pricing",
            text: "The Team plan costs $20 per month. The Business plan costs $50 per month.\n\
                   Maria Chen leads the platform team in Berlin. Remote builds are faster than local builds.",
        },
    ];

    fn only(text: &str) -> Claim {
        let mut report = check(text, &SOURCES, &Thresholds::default());
        assert_eq!(report.claims.len(), 1, "{text}");
        report.claims.remove(0)
    }

    #[test]
    fn a_sentence_of_a_source_is_supported_by_itself() {
        for (index, source) in SOURCES.iter().enumerate() {
            for sentence in sentences(source.text).into_iter().filter(|s| s.span.start > 12 || index > 0) {
                let claim = only(&source.text[sentence.span.clone()]);
                assert_eq!(claim.verdict, Verdict::Supported, "{claim:?}");
                assert_eq!(claim.reasons[0].kind, ReasonKind::VerbatimInSource);
                assert_eq!(claim.evidence.len(), 1);
                assert_eq!(
                    (claim.evidence[0].source_index, &claim.evidence[0].span),
                    (index, &sentence.span)
                );
            }
        }
    }

    #[test]
    fn a_faithful_rewording_is_supported_with_evidence() {
        for (text, quote) in [
            ("In 2024, Acme cut its build times by 40 percent.", "Acme cut build times by 40 % in 2024."),
            ("Artefacts are kept in the cache for 30 days.", "The cache keeps every artefact for 30 days."),
            ("The platform team is led by Maria Chen.", "Maria Chen leads the platform team in Berlin."),
            ("Acme doesn't store your source code.", "Acme does not store source code."),
            ("Version 1.4.2 came out on 2024-03-03.", "Version 1.4.2 was released on March 3, 2024."),
        ] {
            let claim = only(text);
            assert_eq!(claim.verdict, Verdict::Supported, "{claim:?}");
            assert!(claim.evidence.iter().any(|evidence| evidence.quote == quote), "{claim:?}");
        }
    }

    #[test]
    fn what_the_sources_do_not_say_is_flagged_with_the_reason() {
        use ReasonKind::{
            AntonymOf, EntityMismatch, EntityMissing, LowCoverage, NegationAdded, NumberMismatch,
            NumberMissing, SuperlativeUnsupported,
        };
        for (text, kind, detail) in [
            ("Acme cut build times by 45 % in 2024.", NumberMismatch, "45 % (source: 40 %)"),
            ("The Team plan costs $50 per month.", NumberMismatch, "$50 (source: $20)"),
            ("Version 1.4.3 was released on March 3, 2024.", NumberMismatch, "1.4.3 (source: 1.4.2)"),
            (
                "Version 1.4.2 was released on March 4, 2024.",
                NumberMismatch,
                "March 4, 2024 (source: March 3, 2024)",
            ),
            ("The cache keeps every artefact for 30 days and serves 900 teams.", NumberMissing, "900"),
            ("Maria Rossi leads the platform team in Berlin.", EntityMissing, "Maria Rossi"),
            ("Globex cut build times by 40 % in 2024.", EntityMismatch, "Globex (source: Acme)"),
            ("The cache never keeps an artefact for 30 days.", NegationAdded, "never"),
            ("Remote builds are slower than local builds.", AntonymOf, "slower (source: faster)"),
            ("Acme cut build times by 40 %, the fastest of all.", SuperlativeUnsupported, "fastest"),
            ("Penguins swim quickly across frozen southern oceans.", LowCoverage, "0 % of its weight"),
        ] {
            let claim = only(text);
            assert!(claim.verdict.is_flagged(), "{claim:?}");
            assert!(claim.risk >= 0.6);
            assert!(claim.reasons.iter().any(|r| r.kind == kind && r.detail == detail), "{claim:?}");
        }
    }

    #[test]
    fn a_dropped_negation_is_left_to_a_judge() {
        for text in ["Acme does store source code.", "We store the source code of Acme for years."] {
            let claim = only(text);
            assert_eq!(claim.verdict, Verdict::Uncertain, "{claim:?}");
            assert_eq!(claim.reasons[0].kind, ReasonKind::NegationDropped);
        }
    }

    #[test]
    fn a_source_that_says_less_of_a_date_contradicts_nothing() {
        let sources =
            [Source { id: "s", text: "The film was shown on 18 October at the festival in London." }];
        let text = "The film was shown on 18 October 2018 at the festival in London.";
        let report = check(text, &sources, &Thresholds::default());
        assert_eq!(report.claims[0].verdict, Verdict::Unsupported, "{report:?}");
        assert_eq!(report.claims[0].reasons[0].kind, ReasonKind::NumberMissing);
    }

    #[test]
    fn nothing_stated_is_nothing_checked() {
        assert_eq!(only("# Acme Build").verdict, Verdict::NotCheckable, "a heading of the source itself");
        let report = check("Want faster builds?\n\n#Rust #Builds", &SOURCES, &Thresholds::default());
        assert_eq!((report.sentences, report.checked, report.supported), (2, 0, 0));
        assert!(!report.is_safe && report.confidence == 0.0);
    }

    #[test]
    fn a_number_in_a_question_is_a_claim() {
        let claim = only("Did you know that 90 % of teams wait for builds?");
        assert_eq!((claim.class, claim.verdict), (SentenceClass::Claim, Verdict::Unsupported));
        assert_eq!(only("Ready for 40 % faster builds?").verdict, Verdict::NotCheckable);
        assert_eq!(only("# 3 lessons from our builds").verdict, Verdict::NotCheckable);
    }

    #[test]
    fn without_text_or_sources_nothing_is_safe() {
        for (text, sources) in
            [("", &SOURCES[..]), ("Acme cut build times by 40 %.", &[]), ("🚀", &SOURCES[..])]
        {
            let report = check(text, sources, &Thresholds::default());
            assert!(!report.is_safe && report.not_safe_reason.is_some(), "{text}");
        }
    }

    #[test]
    fn one_bad_claim_makes_a_text_unsafe() {
        let good = "Acme cut build times by 40 % in 2024. Maria Chen leads the platform team in Berlin.";
        let report = check(good, &SOURCES, &Thresholds::default());
        assert!(report.is_safe && report.confidence > 0.9 && report.supported == 2, "{report:?}");
        let bad = format!("{good} Acme won 12 medals.");
        let report = check(&bad, &SOURCES, &Thresholds::default());
        assert!(!report.is_safe && report.confidence < 0.2 && report.supported == 2 && report.checked == 3);
    }
}
