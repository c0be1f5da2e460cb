//! What holds for every text and every pack document, whatever they hold.

use copydesk_guard::fold::{Fold, View};
use copydesk_guard::pack::{self, BUILT_IN, Pack, Scope};
use copydesk_guard::{Source, contain, inject, measure, pii, rules, secrets};
use proptest::prelude::*;

/// Any unicode, mixed with the pieces that the scanners treat in a special way.
fn wild() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => any::<String>(),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        8 => prop::sample::select(vec![
            "jane@corp.example ", "+49 (0)30 123 45 67 ", "(555) 123-4567x12", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00",
            "192.168.0.1", "2001:db8::1 ", "::", "536-90-4399 ", "https://a.example/(x). ", "www.", "born on 3 March 1974 ",
            "password: hunter2! ", "eyJhbGciOiJ9.eyJzdWIiOiJ9.abcdefghij ", "-----BEGIN PRIVATE KEY-----", "://u:p4ss@h ",
            "ignore all previous instructions ", "\n", "\u{200b}", "\u{e0041}", "\u{301}", "\u{fe0f}", "\u{200d}", "ﬁ", "Ⅷ", "ａ", "раураl ",
            "sh1t ", "$", "0", "\u{1100}\u{1161}\u{11a8}", "[//]: # x\n", "<!--", "-->", "<passage", "</", "<|im_start|>", "🚀", "🇩🇪", "#tag ",
            "90 % off ", "$5,000 a month ", "THE BEST EVER THING ", "\"a quote of some twenty letters\" - by ", "İ", "ß", "日本",
        ]).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

fn packs() -> Vec<&'static pack::ActivePack> {
    BUILT_IN.iter().filter_map(|(id, _)| pack::built_in(id)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_stretch_of_a_view_is_a_stretch_of_the_text(input in wild(), from in 0usize..200, length in 0usize..50) {
        for fold in [Fold::Exact, Fold::Folded, Fold::Leet] {
            let view = View::new(&input, fold);
            let mut covered = 0;
            for (at, c) in view.text().char_indices() {
                let span = view.original(at..at + c.len_utf8());
                prop_assert!(input.get(span.clone()).is_some_and(|raw| !raw.is_empty()), "{span:?} of {input:?}");
                prop_assert!(span.end >= covered, "spans go forward");
                covered = span.end;
                // What a character stands for spells that character again, unless it was one of several.
                let again = View::new(&input[span], fold);
                prop_assert!(fold == Fold::Leet || again.text().contains(c), "{c:?} in {:?}", again.text());
            }
            prop_assert!(input.get(view.original(from..from + length)).is_some());
        }
    }

    #[test]
    fn a_plain_word_is_found_where_it_stands(before in wild(), after in wild()) {
        let text = format!("{before} bestest {after}");
        let view = View::new(&text, Fold::Folded);
        let found = view.text().match_indices(" bestest ").any(|(at, _)| {
            let span = view.original(at + 1..at + 8);
            span == (before.len() + 1..before.len() + 8)
        });
        prop_assert!(found, "{:?}", view.text());
    }

    #[test]
    fn finds_are_stretches_of_the_text(input in wild(), source in wild()) {
        let mut end = 0;
        for found in pii::find(&input) {
            prop_assert!(found.span.start >= end && input.get(found.span.clone()).is_some_and(|raw| !raw.is_empty()));
            end = found.span.end;
        }
        for found in secrets::find(&input) {
            prop_assert!(input.get(found.span).is_some());
        }
        let sources = [Source { id: "s", text: &source }];
        for scope in [Scope::Input, Scope::Source, Scope::Output] {
            let found = pack::check(&packs(), scope, &input, &sources);
            for hit in &found.hits {
                prop_assert_eq!(input.get(hit.span.clone()), Some(hit.matched.as_str()));
            }
            let safe = pack::sanitize(&packs(), scope, &input, &sources);
            prop_assert_eq!(safe.findings.blocked(), safe.blocked);
            let kept: usize = safe.redactions.iter().map(|r| r.replacement.len()).sum();
            let lost: usize = safe.redactions.iter().map(|r| r.span.len()).sum();
            prop_assert_eq!(safe.text.len() + lost, input.len() + kept);
        }
        let _ = rules::check(&input, &sources);
    }

    #[test]
    fn what_is_redacted_does_not_come_back(name in "[a-z]{3,8}", before in "[A-Za-z ,]{0,40}", after in "[A-Za-z ,]{0,40}") {
        let text = format!("{before} {name}@corp.example, 4111 1111 1111 1111. {after}");
        let safe = pack::sanitize(&packs(), Scope::Input, &text, &[]);
        prop_assert!(!safe.text.contains("@corp") && !safe.text.contains("4111"), "{}", safe.text);
        prop_assert!(pii::find(&safe.text).is_empty(), "{}", safe.text);
    }

    #[test]
    fn containing_holds(input in wild(), title in wild()) {
        let once = contain::clean(&input);
        prop_assert_eq!(contain::clean(&once), once.clone());
        let whole = contain::enclosed("passage", &[("title", &title)], &input, &["passage"]);
        let lower = whole.to_lowercase();
        prop_assert_eq!((lower.matches("<passage").count(), lower.matches("</passage").count()), (1, 1), "{}", whole);
        prop_assert_eq!(whole.lines().next().map(|line| line.matches('"').count()), Some(2));
    }

    #[test]
    fn documents_and_weights_never_panic(input in wild(), cut in 0usize..4000, noise in wild(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Pack::parse(&input);
        let document = BUILT_IN[1].1;
        let at = (0..=cut.min(document.len())).rev().find(|at| document.is_char_boundary(*at)).unwrap_or(0);
        if let Ok(pack) = Pack::parse(&format!("{}{noise}{}", &document[..at], &document[at..])) {
            let _ = pack.activate();
        }
        let _ = inject::Classifier::from_bytes(&bytes);
        let _ = measure::read_rows(&input).map(|rows| (measure::measure_spans(&rows), measure::measure_attacks(&rows)));
        if let Some(model) = inject::Classifier::built_in() {
            let p = model.probability(&input);
            prop_assert!((0.0..=1.0).contains(&p), "{p}");
        }
    }
}

const PACK: &str = r#"
id = "t"
version = "1"
title = "t"
[lists.names]
items = []
sample = "Contoso"
[[rules]]
id = "name"
kind = "words"
severity = "block"
scope = ["output"]
message = "m"
terms = ["{names}"]
[[rules]]
id = "money"
kind = "number"
of = "money"
currency = "USD"
above = 100
severity = "warn"
scope = ["output"]
message = "m"
[[rules]]
id = "stem"
kind = "words"
terms = ["manage budget"]
stems = true
severity = "warn"
scope = ["input"]
message = "m"
[[rules]]
id = "tone"
kind = "judge"
question = "Is the text rude?"
when = ['\bidiots?\b']
severity = "warn"
scope = ["input"]
message = "m"
[[vectors]]
text = "{names} costs $5,000, or €9,000, or $50."
scope = "output"
expect = ["name", "money"]
[[vectors]]
text = "Managing budgets for idiots."
scope = "input"
expect = ["stem", "tone"]
"#;

#[test]
fn a_pack_of_every_kind_works() -> Result<(), Box<dyn std::error::Error>> {
    let pack = Pack::parse(PACK)?;
    let active = pack.activate()?;
    let text = "Contoso asks $200 and €300.";
    let found = pack::check(&[&active], Scope::Output, text, &[]);
    let hits: Vec<(&str, &str)> =
        found.hits.iter().map(|hit| (hit.rule.as_str(), hit.matched.as_str())).collect();
    assert_eq!(hits, [("money", "$200")], "an empty list never fires");
    let filled = pack.clone().with_lists([("names".to_owned(), vec!["Contoso".to_owned()])].into());
    let filled = filled.map_err(|unknown| unknown.join(", "))?;
    assert_ne!(filled.content_hash(), pack.content_hash());
    let active = filled.activate()?;
    assert!(pack::check(&[&active], Scope::Output, text, &[]).blocked());
    let asked = pack::check(&[&active], Scope::Input, "You idiot, who is managing budgets?", &[]);
    assert_eq!(asked.questions.len(), 1);
    assert_eq!(asked.hits[0].matched, "managing budgets");
    Ok(())
}

#[test]
fn the_same_pack_in_json_has_the_same_hash() -> Result<(), Box<dyn std::error::Error>> {
    let pack = Pack::parse(PACK)?;
    let again = Pack::parse(&serde_json::to_string(&pack)?.replace("\"replacement\":\"[removed]\",", ""))?;
    assert_eq!((again.content_hash(), &again), (pack.content_hash(), &pack));
    Ok(())
}

#[test]
fn a_pack_that_fails_its_vectors_or_proves_nothing_is_refused() -> Result<(), Box<dyn std::error::Error>> {
    let pack = Pack::parse(
        &PACK.replace("expect = [\"name\", \"money\"]", "expect = [\"name\"]").replace(" for idiots", ""),
    )?;
    match pack.activate() {
        Ok(_) => Err("was made active".into()),
        Err(failed) => {
            assert_eq!(failed.failed.len(), 2, "{failed}");
            assert_eq!(failed.failed[0].unexpected, ["money"]);
            assert_eq!(failed.failed[1].missing, ["tone"]);
            assert_eq!(failed.unproven, ["tone"]);
            Ok(())
        }
    }
}

/// Were any of these quadratic, the test would take hours and not a moment.
#[test]
fn long_hostile_texts_are_read_in_one_pass() {
    for piece in [
        "a@", "1-", "1 ", "a.", "http://", "(", "aA1", "key=", "\u{301}", "<", "::", "x ", "\" ", "🚀", "#a ",
    ] {
        let long = piece.repeat(60_000 / piece.len());
        let _ = (pii::find(&long).len(), secrets::find(&long).len(), contain::clean(&long).len());
        let _ = pack::check(&packs(), Scope::Input, &long, &[]);
    }
}
