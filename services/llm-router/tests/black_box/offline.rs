//! The offline writer: every sentence comes from the evidence, and every direction is obeyed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step must stop the test")]

use std::sync::LazyLock;

use crate::support::prompts::{passage, prompt, relevant, reply, samples, text, with_schema};
use copydesk_guard::text::{sentences, words};
use copydesk_llm_router::domain::{Direction, Passage, Prompt};
use copydesk_proto::llm_router::v1::{DirectionRule, Task};
use copydesk_proto::types::v1::{ContentType, SourceKind};
use proptest::prelude::*;
use serde_json::{Value, json};

const TOPIC: &str = "temperature alerts that drivers do not ignore";
const TYPES: [ContentType; 3] = [ContentType::Social, ContentType::Blog, ContentType::Ad];

static SAMPLES: LazyLock<Vec<Passage>> = LazyLock::new(samples);

fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The sentences of a text that are neither heading nor question.
fn quoted(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let found = lines.flat_map(|line| sentences(line).into_iter().map(|s| line[s.span].to_owned()));
    found.filter(|s| !s.ends_with('?')).collect()
}

fn assert_grounded(text: &str, evidence: &[Passage]) {
    let known: Vec<String> = evidence.iter().map(|p| squeeze(&p.text)).collect();
    for sentence in quoted(text) {
        assert!(known.iter().any(|k| k.contains(&sentence)), "not in the evidence: {sentence:?}\n{text}");
    }
}

/// The guard that reads the text afterwards finds nothing to object to.
fn assert_guarded(text: &str, evidence: &[Passage]) {
    let sources: Vec<_> =
        evidence.iter().map(|p| copydesk_guard::Source { id: &p.id, text: &p.text }).collect();
    let report = copydesk_guard::check(text, &sources, &copydesk_guard::Thresholds::default());
    assert!(report.is_safe, "{:?}\n{:#?}", report.not_safe_reason, report.claims);
    let blocking = copydesk_guard::rules::check(text, &sources);
    let blocking: Vec<_> =
        blocking.iter().filter(|v| v.severity == copydesk_guard::rules::Severity::Block).collect();
    assert!(blocking.is_empty(), "{blocking:?}");
}

fn direct(mut prompt: Prompt, rule: DirectionRule, limit: u32, phrase: &str) -> Prompt {
    prompt.brief.directions.push(Direction { text: String::new(), rule, limit, phrase: phrase.into() });
    prompt
}

fn draft(content_type: ContentType) -> Prompt {
    prompt(Task::Draft, content_type, TOPIC, relevant(TOPIC, 14))
}

fn first_sentence(text: &str) -> String {
    let line = text.lines().find(|line| !line.is_empty() && !line.starts_with('#')).unwrap();
    line[sentences(line)[0].span.clone()].to_owned()
}

fn size(text: &str) -> usize {
    words(text).len()
}

#[tokio::test]
async fn every_kind_of_text_is_grounded_readable_and_of_its_length() {
    for (content_type, range) in
        [(ContentType::Social, 90..=180), (ContentType::Blog, 500..=900), (ContentType::Ad, 15..=60)]
    {
        let prompt = draft(content_type);
        let evidence = prompt.evidence.clone();
        let found = text(prompt.clone()).await;
        assert_grounded(&found, &evidence);
        assert!(range.contains(&size(&found)), "{content_type:?} has {} words:\n{found}", size(&found));
        assert_guarded(&found, &evidence);
        assert_eq!(found, text(prompt).await, "the same call gives the same text");
        let mut said = quoted(&found);
        let all = said.len();
        said.sort();
        said.dedup();
        assert_eq!(said.len(), all, "nothing is said twice");
        assert!(!found.contains("revious instructions"), "lines that speak to a model are no evidence");
    }
    let blog = text(draft(ContentType::Blog)).await;
    assert!(blog.starts_with("# Temperature alerts that drivers do not ignore\n\n"));
    assert!((3..=6).contains(&blog.matches("\n## ").count()), "{blog}");
    let social = text(draft(ContentType::Social)).await;
    assert!(!social.contains('?'), "the topic makes no good question: {social}");
    assert!(first_sentence(&social).contains(|c: char| c.is_ascii_digit()), "{social}");
}

#[tokio::test]
async fn each_direction_changes_the_text_as_it_says() {
    for content_type in TYPES {
        let plain = text(draft(content_type)).await;
        let short = text(direct(draft(content_type), DirectionRule::MaxWords, 45, "")).await;
        assert!(size(&short) <= 45 && size(&short) > 5, "{short}");
        let terse = text(direct(draft(content_type), DirectionRule::MaxSentenceWords, 14, "")).await;
        for line in terse.lines() {
            assert!(sentences(line).into_iter().all(|s| size(&line[s.span]) <= 14), "{terse}");
        }
        let phrase = first_sentence(&plain).split(' ').take(3).collect::<Vec<_>>().join(" ").to_lowercase();
        let avoided = text(direct(draft(content_type), DirectionRule::AvoidPhrase, 0, &phrase)).await;
        assert!(size(&avoided) > 10 && !avoided.to_lowercase().contains(&phrase), "{phrase}: {avoided}");
        let preferred = text(direct(draft(content_type), DirectionRule::PreferPhrase, 0, "defrost")).await;
        assert!(preferred.contains("defrost"), "{preferred}");
        let counted = text(direct(draft(content_type), DirectionRule::OpenWithNumber, 0, "")).await;
        assert!(first_sentence(&counted).contains(|c: char| c.is_ascii_digit()), "{counted}");
        let asking = text(direct(draft(content_type), DirectionRule::OpenWithQuestion, 0, "")).await;
        assert!(first_sentence(&asking).ends_with('?'), "{asking}");
        for text in [short, terse, avoided, preferred, counted, asking] {
            assert_grounded(&text, &SAMPLES);
        }
    }
}

#[tokio::test]
async fn a_revision_follows_the_reviewers_words() {
    let mut prompt = draft(ContentType::Social);
    prompt.task = Task::Revise;
    prompt.brief.draft = text(draft(ContentType::Social)).await;
    let note = "Write at most 60 words; the draft has 150.";
    prompt.brief.directions.push(Direction {
        text: note.into(),
        rule: DirectionRule::Unspecified,
        limit: 0,
        phrase: String::new(),
    });
    let revised = text(prompt.clone()).await;
    assert!(size(&revised) <= 60, "{revised}");
    assert_grounded(&revised, &prompt.evidence);
    prompt.evidence.clear();
    let cut = text(prompt.clone()).await;
    assert!(size(&cut) <= 60 && quoted(&cut).iter().all(|s| prompt.brief.draft.contains(s)), "{cut}");
}

async fn object(prompt: Prompt, schema: Value) -> Value {
    let prompt = with_schema(prompt, schema);
    let answer = reply(prompt.clone()).await.unwrap().text;
    Value::Object(prompt.schema.unwrap().read(&answer).unwrap())
}

fn strings() -> Value {
    json!({"type": "array", "items": {"type": "string"}})
}

#[tokio::test]
async fn structured_answers_satisfy_the_schemas() {
    let ask = |task| prompt(task, ContentType::Social, TOPIC, relevant(TOPIC, 10));
    let finding = json!({"type": "object", "required": ["statement", "passage_id"], "additionalProperties": false,
        "properties": {"statement": {"type": "string"}, "passage_id": {"type": "string"}}});
    let schema = json!({"type": "object", "required": ["findings"], "additionalProperties": false,
        "properties": {"findings": {"type": "array", "items": finding, "minItems": 5}}});
    let found = object(ask(Task::Research), schema).await;
    for finding in found["findings"].as_array().unwrap() {
        let passage = SAMPLES.iter().find(|p| p.id == finding["passage_id"].as_str().unwrap()).unwrap();
        assert!(squeeze(&passage.text).contains(finding["statement"].as_str().unwrap()));
    }

    let angle = json!({"type": "object", "required": ["title", "reason"],
        "properties": {"title": {"type": "string"}, "reason": {"type": "string"}}});
    let schema = json!({"type": "object", "required": ["angles", "chosen"], "properties": {
        "angles": {"type": "array", "items": angle, "minItems": 2, "maxItems": 2}, "chosen": {"type": "integer", "minimum": 0, "maximum": 1}}});
    let found = object(ask(Task::Strategy), schema).await;
    assert_ne!(found["angles"][0]["title"], found["angles"][1]["title"]);

    let schema = json!({"type": "object", "required": ["hook", "hashtags", "caption"], "properties": {
        "hook": {"type": "string"}, "hashtags": strings(), "caption": {"type": "string"}}});
    let mut finish = ask(Task::Finish);
    finish.brief.draft = text(draft(ContentType::Social)).await;
    let found = object(finish.clone(), schema.clone()).await;
    let tags = found["hashtags"].as_array().unwrap();
    assert!((3..=5).contains(&tags.len()), "{found}");
    assert!(tags.iter().all(|t| t.as_str().unwrap().starts_with('#')));
    assert!(finish.brief.draft.starts_with(found["hook"].as_str().unwrap()));
    assert_grounded(found["caption"].as_str().unwrap(), &SAMPLES);
    let fewer = object(direct(finish, DirectionRule::MaxHashtags, 2, ""), schema).await;
    assert_eq!(fewer["hashtags"].as_array().unwrap().len(), 2);

    let schema =
        json!({"type": "object", "required": ["observations"], "properties": {"observations": strings()}});
    let found = object(ask(Task::Research), schema).await;
    assert!(found["observations"].as_array().unwrap().len() >= 3);

    let unknown = with_schema(
        ask(Task::Draft),
        json!({"type": "object", "properties": {"recipe": {"type": "string"}}}),
    );
    assert_eq!(reply(unknown).await.unwrap_err().outcome.as_str(), "SCHEMA_UNSUPPORTED");
}

#[tokio::test]
async fn a_review_measures_the_draft() {
    let schema = json!({"type": "object", "required": ["score", "notes"], "properties": {"score": {"type": "number", "minimum": 0, "maximum": 10}, "notes": strings()}});
    let review = |draft: &str| {
        let mut prompt = prompt(Task::Review, ContentType::Social, TOPIC, relevant(TOPIC, 10));
        prompt.brief.draft = draft.into();
        object(direct(prompt, DirectionRule::AvoidPhrase, 0, "game changer"), schema.clone())
    };
    let good = review(&text(draft(ContentType::Social)).await).await;
    assert!(good["score"].as_f64().unwrap() >= 8.0, "{good}");
    let bad = review("Our unicorn platform is a game changer for wizards of the purple moon. Buy it.").await;
    assert!(bad["score"].as_f64().unwrap() < 6.0, "{bad}");
    let notes = bad["notes"].to_string();
    assert!(notes.contains("game changer") && notes.contains("evidence does not support"), "{notes}");
    assert_eq!(review("").await["score"], json!(0.0));
}

#[tokio::test]
async fn without_evidence_nothing_is_claimed() {
    for task in [Task::Draft, Task::Research, Task::Unspecified, Task::SimpleParsing] {
        let found = text(prompt(task, ContentType::Social, "moon cheese", Vec::new())).await;
        assert_eq!(found, "The evidence says nothing about this: moon cheese.", "{task:?}");
    }
    let off_topic = prompt(Task::Unspecified, ContentType::Social, "moon cheese", relevant(TOPIC, 5));
    assert!(text(off_topic).await.starts_with("The evidence says nothing"));
}

#[tokio::test]
async fn a_question_is_answered_from_the_evidence() {
    let mut asked = prompt(Task::Unspecified, ContentType::Unspecified, "", SAMPLES.clone());
    asked.turns[0].text = "How long does the van box store readings without mobile coverage?".into();
    let found = text(asked).await;
    assert!(found.contains("72 hours"), "{found}");
    assert_grounded(&found, &SAMPLES);
}

fn any_direction() -> impl Strategy<Value = Direction> {
    let phrase = prop::sample::select(vec!["alert", "the van", "driver", "percent", "zebra", ""]);
    (0i32..=7, 0u32..120, phrase).prop_map(|(rule, limit, phrase)| Direction {
        text: format!("at most {limit} words"),
        rule: DirectionRule::try_from(rule).unwrap(),
        limit,
        phrase: phrase.into(),
    })
}

fn any_text() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        "[A-Z][a-z]{2,8}( [a-z]{1,9}| [0-9]{1,4}){4,20}[.!?]",
        "\\PC{0,60}",
        "[-*#>|`~] ?[A-Za-z .]{0,40}",
        Just("---".to_owned()),
        Just("```".to_owned()),
    ];
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
}

fn any_passages() -> impl Strategy<Value = Vec<Passage>> {
    let kinds = prop::sample::select(vec![SourceKind::Document, SourceKind::Post, SourceKind::CaseStudy]);
    let one = (any_text(), kinds, any::<f64>(), 0usize..4).prop_map(|(text, kind, score, document)| {
        Passage { score, ..passage("psg", &format!("doc_{document}"), "A Title", kind, 0, &text) }
    });
    prop::collection::vec(one, 0..6)
}

fn run(prompt: Prompt) -> String {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(text(prompt))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn anything_is_survived_and_nothing_is_invented(
        evidence in any_passages(),
        topic in "\\PC{0,40}",
        task in 0i32..=8,
        content_type in 0i32..=3,
        old in any_text(),
    ) {
        let task = Task::try_from(task).unwrap();
        let mut asked = prompt(task, ContentType::try_from(content_type).unwrap(), &topic, evidence.clone());
        asked.brief.draft = old;
        asked.brief.angle = topic.clone();
        let found = run(asked);
        if task == Task::Draft && !found.starts_with("The evidence says nothing") && !evidence.iter().all(|p| p.text.is_empty()) {
            let kept = evidence.iter().map(|p| squeeze(&p.text)).collect::<Vec<_>>();
            let own = squeeze(&found);
            prop_assert!(!own.is_empty());
            for sentence in quoted(&found) {
                let plain = kept.iter().any(|k| k.contains(&sentence)) || topic.is_empty() || sentences(&topic).len() > 1
                    || found.lines().any(|l| l.ends_with('?') && l.contains(&sentence));
                prop_assert!(plain, "{:?} is not in the evidence", sentence);
            }
        }
    }

    #[test]
    fn directions_are_obeyed_whatever_they_are(
        directions in prop::collection::vec(any_direction(), 0..4),
        content_type in prop::sample::select(TYPES.to_vec()),
        at in 0usize..40,
    ) {
        let evidence: Vec<Passage> = SAMPLES.iter().cycle().skip(at * 2).take(8).cloned().collect();
        let mut asked = prompt(Task::Draft, content_type, "alerts for drivers", evidence.clone());
        asked.brief.directions = directions.clone();
        let found = run(asked);
        if found.starts_with("The evidence says nothing") {
            return Ok(());
        }
        assert_grounded(&found, &evidence);
        for direction in directions {
            let limit = direction.limit as usize;
            match direction.rule {
                DirectionRule::MaxWords if limit > 0 => prop_assert!(size(&found) <= limit, "{} words of {limit}: {found}", size(&found)),
                DirectionRule::MaxSentenceWords if limit > 0 => {
                    for line in found.lines() {
                        prop_assert!(sentences(line).into_iter().all(|s| size(&line[s.span]) <= limit), "{limit}: {found}");
                    }
                }
                DirectionRule::AvoidPhrase if !direction.phrase.is_empty() => {
                    prop_assert!(!found.to_lowercase().contains(&direction.phrase), "{}: {found}", direction.phrase);
                }
                _ => {}
            }
        }
    }
}

/// Not a measurement: with a step that grows faster than the evidence this would not end.
#[tokio::test]
async fn a_flood_of_evidence_is_bounded_work() {
    let sentence = |n: usize| {
        format!("Van number {n} raised {} alerts on route {} in week {}.\n", n * 7, n % 91, n % 53)
    };
    let flood = |document: usize| (0..2_000).map(|n| sentence(document * 2_000 + n)).collect::<String>();
    let passages =
        (0..10).map(|d| passage("psg", &format!("doc_{d}"), "Log", SourceKind::Document, 0, &flood(d)));
    let found = text(prompt(Task::Draft, ContentType::Blog, "alerts on a route", passages.collect())).await;
    assert!(size(&found) > 20, "{found}");
}
