//! What holds for every text, whatever it says.

use copydesk_guard::{
    SentenceClass, Source, Thresholds, Verdict, check, contain, correct, model, rules, text,
};
use proptest::prelude::*;

/// Any unicode, mixed with the pieces that the scanners treat in a special way.
fn wild() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => any::<String>(),
        6 => prop::sample::select(vec![
            "Acme ", "builds ", "40 % ", "$1.2M ", "v1.4.2-rc.1", ". ", "! ", "? ", "\n", "\r\n", "- ", "# ", "1. ", "| ", "```\n",
            "not ", "don’t ", "the ", "e.g. ", "U.S. ", "https://acme.dev/x ", "a@b.co ", "@acme ", "#tag ", "<!--", "-->",
            "<|im_start|>", "[INST]", "system:", "\u{200b}", "\u{301}", "日本", "２０", "March 3, 2024 ", "2024-03-03", "4111 1111 1111 1111",
            "Maria Chen ", "twenty ", "million ", "'s ", "»", "＜", "<", "[", "++", "::", "👩\u{200d}💻", "Ⅷ", "ß", "İ",
        ]).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// Sentences that state something, of words that mean nothing in particular.
fn claim() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        Just(String::new()),
        (1u32..90_000).prop_map(|n| format!(" {n}")),
        (1u32..100).prop_map(|n| format!(" {n} %")),
        (1u32..100, 0u32..20, 0u32..20).prop_map(|(a, b, c)| format!(" {a}.{b}.{c}")),
        Just(" not".to_owned()),
        Just(" on March 3, 2024".to_owned()),
    ];
    ("[A-Z][a-z]{3,9}", prop::collection::vec("[a-z]{2,9}|[A-Z][a-z]{3,8}", 5..12), number)
        .prop_map(|(first, rest, number)| format!("The {first} {}{number}.", rest.join(" ")))
}

fn in_order(spans: impl Iterator<Item = std::ops::Range<usize>>, text: &str) {
    let mut end = 0;
    for span in spans {
        assert!(span.start >= end && span.end > span.start, "{span:?} after {end}");
        assert!(text.get(span.clone()).is_some(), "{span:?} is not on character boundaries");
        end = span.end;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn spans_are_ordered_and_on_boundaries(input in wild()) {
        in_order(text::sentences(&input).into_iter().map(|s| s.span), &input);
        in_order(text::words(&input).into_iter().map(|w| w.span), &input);
        in_order(contain::suspicious_lines(&input).into_iter(), &input);
        for violation in rules::check(&input, &[]) {
            prop_assert!(input.get(violation.span).is_some());
        }
    }

    #[test]
    fn every_letter_belongs_to_a_word_and_every_word_has_a_form(input in wild()) {
        let mut covered = vec![false; input.len()];
        for word in text::words(&input) {
            prop_assert!(!word.lower.is_empty());
            covered[word.span].fill(true);
        }
        let lost = input.char_indices().find(|(at, c)| c.is_alphanumeric() && !covered[*at]);
        let possessive = lost.is_none_or(|(_, c)| c.to_lowercase().eq(['s']));
        prop_assert!(possessive, "{lost:?} is in no word");
    }

    #[test]
    fn cleaning_twice_is_cleaning_once(input in wild()) {
        let once = contain::clean(&input);
        prop_assert_eq!(contain::clean(&once), once);
    }

    #[test]
    fn reports_hold_together(input in wild(), source in wild()) {
        let sources = [Source { id: "s", text: &source }];
        let report = check(&input, &sources, &Thresholds::default());
        in_order(report.claims.iter().map(|claim| claim.span.clone()), &input);
        prop_assert_eq!(report.is_safe, report.not_safe_reason.is_none());
        prop_assert_eq!(report.sentences, report.claims.len());
        prop_assert!((0.0..=1.0).contains(&report.confidence));
        prop_assert!((0.0..=1.0).contains(&report.risk));
        for claim in &report.claims {
            prop_assert_eq!(&input[claim.span.clone()], &claim.text);
            prop_assert!((0.0..=1.0).contains(&claim.risk));
            prop_assert!((0.0..=1.0).contains(&claim.model_risk));
            prop_assert!(claim.verdict != Verdict::Supported || !claim.evidence.is_empty());
            for evidence in &claim.evidence {
                prop_assert_eq!(&source[evidence.span.clone()], &evidence.quote);
            }
        }
    }

    #[test]
    fn correction_leaves_nothing_flagged(input in wild(), source in wild()) {
        let corrected = correct(&input, &[Source { id: "s", text: &source }], &Thresholds::default());
        prop_assert!(corrected.report.claims.iter().all(|claim| !claim.verdict.is_flagged()));
        in_order(corrected.corrections.iter().map(|c| c.span.clone()), &input);
        for correction in &corrected.corrections {
            prop_assert_eq!(&input[correction.span.clone()], &correction.before);
        }
        let again = check(&corrected.text, &[Source { id: "s", text: &source }], &Thresholds::default());
        prop_assert_eq!(again, corrected.report);
    }

    #[test]
    fn sentences_of_a_source_are_supported(claims in prop::collection::vec(claim(), 1..6), noise in wild()) {
        let passage = claims.join(" ");
        let sources = [Source { id: "noise", text: &noise }, Source { id: "facts", text: &passage }];
        for sentence in text::sentences(&passage) {
            let quote = &passage[sentence.span.clone()];
            let report = check(quote, &sources, &Thresholds::default());
            prop_assert_eq!(report.claims.len(), 1, "{}", quote);
            prop_assert_eq!(report.claims[0].verdict, Verdict::Supported, "{:?}", &report.claims[0]);
            prop_assert_eq!(&report.claims[0].evidence[0].quote, quote);
            prop_assert!(report.is_safe);
        }
        prop_assert_eq!(correct(&passage, &sources, &Thresholds::default()).text, passage);
    }

    #[test]
    fn any_sentence_of_any_source_is_supported_or_states_nothing(source in wild()) {
        let sources = [Source { id: "s", text: &source }];
        for sentence in text::sentences(&source) {
            let quote = &source[sentence.span.clone()];
            let report = check(quote, &sources, &Thresholds::default());
            // Out of its line a sentence may lose another list mark; then it is another sentence.
            if report.claims.len() == 1 && report.claims[0].text == quote {
                let claim = &report.claims[0];
                let stated = report.checked == 1;
                let expected = if stated { Verdict::Supported } else { Verdict::NotCheckable };
                prop_assert_eq!(claim.verdict, expected, "{:?}", claim);
                prop_assert!(stated || claim.class != SentenceClass::Claim);
                prop_assert_eq!(report.is_safe, stated);
            }
        }
    }

    #[test]
    fn no_bytes_panic(text in prop::collection::vec(any::<u8>(), 0..400), source in prop::collection::vec(any::<u8>(), 0..800)) {
        let (text, source) = (String::from_utf8_lossy(&text), String::from_utf8_lossy(&source));
        let sources = [Source { id: "s", text: &source }, Source { id: "t", text: &text }];
        let report = check(&text, &sources[..1], &Thresholds::default());
        prop_assert!(report.claims.iter().all(|claim| claim.model_risk.is_finite()));
        let _ = correct(&text, &sources, &Thresholds::default());
        let _ = model::Weights::parse(&text);
        let _ = model::read_rows("bytes", &text);
    }

    #[test]
    fn rows_of_any_text_can_be_measured(context in wild(), response in wild(), from in 0usize..40, to in 0usize..40, line in 0usize..9) {
        let row = serde_json::json!({
            "id": "r", "context": context, "response": response, "label": 0, "spans": [[from, to]], "supporting": [[line, 700]],
        });
        if let Ok(rows) = model::read_rows("wild", &row.to_string()) {
            let figures = model::measure(&[rows], model::Weights::built_in(), &Thresholds::default());
            prop_assert!(figures.macro_auroc.is_finite());
        }
    }

    #[test]
    fn another_number_is_never_supported(claim in claim(), number in 100u32..999, other in 1000u32..9999) {
        let source = claim.replacen("The ", &format!("The {number} "), 1);
        let forged = claim.replacen("The ", &format!("The {other} "), 1);
        let report = check(&forged, &[Source { id: "s", text: &source }], &Thresholds::default());
        prop_assert!(!report.is_safe);
        prop_assert!(report.claims.iter().any(|claim| claim.verdict.is_flagged()));
    }
}

#[test]
fn reports_survive_serialisation() -> Result<(), serde_json::Error> {
    let report = check("Acme ships.", &[Source { id: "s", text: "Acme ships." }], &Thresholds::default());
    let json = serde_json::to_string(&report)?;
    assert!(json.contains(r#""verdict":"supported""#) && json.contains(r#""class":"claim""#), "{json}");
    assert_eq!(serde_json::from_str::<copydesk_guard::Report>(&json)?, report);
    Ok(())
}

/// Were any of these quadratic, the test would take hours and not a moment.
#[test]
fn long_hostile_texts_are_read_in_one_pass() {
    for piece in ["-. ", "a-1", "a. ", ". . ", "1.", "\"'(", "…", "a.b", "# ", "\n- ", "x@", "http://", "I. "]
    {
        let long = piece.repeat(1_000_000 / piece.len());
        let _ = (text::sentences(&long).len(), text::words(&long).len(), text::terms(&long).len());
        let _ = contain::clean(&long);
    }
}
