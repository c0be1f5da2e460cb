//! The offline writer as a reader sees it: no complaints of the past, no speakers as headings, no question or hashtag
//! that reads badly, no praise for a text about something else.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step must stop the test")]

use crate::support::prompts::{passage, prompt, relevant, reply, samples, text, with_schema};
use copydesk_llm_router::domain::{Direction, Passage, Prompt};
use copydesk_proto::llm_router::v1::{DirectionRule, Task};
use copydesk_proto::types::v1::{ContentType, SourceKind};
use serde_json::{Value, json};

fn document(name: &str, title: &str, kind: SourceKind, words: &str) -> Passage {
    passage(&format!("psg_{name}"), &format!("doc_{name}"), title, kind, 0, words)
}

/// A pump, told by a product page and by an issue.
fn pumps() -> Vec<Passage> {
    let product = "The Rillo pump saves 30 percent of the water of a small farm. Farmers read the water use of the \
        Rillo pump on a phone. The Rillo pump speaks protocol version 1.1. Operators of the Rillo pump replace the \
        filter of the pump after 900 hours.";
    let issue = "# Issue 447: the Rillo pump loses pressure\n\n## Fleet manager, Corran Foods, 8 July 2025\n\nThe Rillo pump \
        loses 60 percent of its pressure on a small farm. The Rillo pump of Corran Foods leaks 12 litres of water.\n";
    vec![
        document("product", "Rillo pump", SourceKind::Product, product),
        document("issue", "Issue 447: the Rillo pump loses pressure", SourceKind::Issue, issue),
    ]
}

async fn object(prompt: Prompt, properties: Value) -> Value {
    let prompt = with_schema(prompt, json!({"type": "object", "properties": properties}));
    let answer = reply(prompt.clone()).await.unwrap().text;
    Value::Object(prompt.schema.unwrap().read(&answer).unwrap())
}

async fn review(topic: &str, evidence: Vec<Passage>, draft: &str) -> (f64, String) {
    let mut asked = prompt(Task::Review, ContentType::Social, topic, evidence);
    asked.brief.draft = draft.to_owned();
    let found = object(asked, json!({"score": {"type": "number"}, "notes": {"type": "array"}})).await;
    (found["score"].as_f64().unwrap(), found["notes"].to_string())
}

#[tokio::test]
async fn complaints_are_told_only_where_nothing_else_stands() {
    for content_type in [ContentType::Social, ContentType::Blog, ContentType::Ad] {
        let found = text(prompt(Task::Draft, content_type, "pump on a small farm", pumps())).await;
        assert!(found.contains("30 percent") && !found.contains("60 percent"), "{found}");
        assert!(!found.contains("Corran"), "{found}");
    }
    let alone = pumps().split_off(1);
    let found = text(prompt(Task::Draft, ContentType::Blog, "pump of Corran Foods", alone)).await;
    assert!(found.contains("12 litres"), "{found}");
    let mut wished = prompt(Task::Draft, ContentType::Social, "pump on a small farm", pumps());
    let rule = DirectionRule::PreferPhrase;
    wished.brief.directions.push(Direction { text: String::new(), rule, limit: 0, phrase: "litres".into() });
    assert!(text(wished).await.contains("12 litres"));
}

#[tokio::test]
async fn headings_hold_no_speaker_date_or_number() {
    let loses = "## Fleet manager, Corran Foods, 8 July 2025\n\nThe pump loses 60 percent of its pressure on a farm. \
        Valves of the pump close after 40 seconds of rain.\n\n## Support engineer, 9 July 2025\n\nA dirty filter makes the \
        pump vibrate at 900 turns. Cold nights below 4 degrees freeze the hose of the pump.";
    let shows = "## Developer, 1 May 2025\n\nThe display of the pump shows 12 litres for an empty tank. Batteries of the \
        pump last 31 days without sun.\n\n## Mechanic, 2 May 2025\n\nSalt water corrodes the pump within 18 months. \
        Spare parts for the pump arrive after six days.";
    let issues = vec![
        document("one", "Issue 447: the pump loses pressure", SourceKind::Issue, loses),
        document("two", "Issue 412: a wrong display", SourceKind::Issue, shows),
    ];
    let found = text(prompt(Task::Draft, ContentType::Blog, "pump", issues)).await;
    let headings: Vec<&str> = found.lines().filter(|line| line.starts_with("## ")).collect();
    assert_eq!(headings, ["## The pump loses pressure", "## A wrong display"], "{found}");
    let samples = samples().into_iter().filter(|p| p.kind == SourceKind::Issue).collect();
    let found = text(prompt(Task::Draft, ContentType::Blog, "temperature alerts", samples)).await;
    for heading in found.lines().filter(|line| line.starts_with('#')) {
        for bad in ["2025", "manager", "engineer", "Issue", "447", "412", "Developer", "Mechanic"] {
            assert!(!heading.contains(bad), "{heading}");
        }
    }
}

#[tokio::test]
async fn a_question_ends_a_text_only_where_it_reads_well() {
    let ending = async |topic: &str| {
        let found = text(prompt(Task::Draft, ContentType::Social, topic, pumps())).await;
        found.lines().last().unwrap_or_default().to_owned()
    };
    assert_eq!(ending("water pumps for small farms").await, "How do you handle water pumps for small farms?");
    for topic in
        ["farmers ignore water use", "Why do pumps leak?", "der Druck und die Pumpe", "насос Rillo pump"]
    {
        assert!(!ending(topic).await.ends_with('?'), "{topic}");
    }
    let mut asked = prompt(Task::Draft, ContentType::Social, "farmers ignore water use", pumps());
    let rule = DirectionRule::OpenWithQuestion;
    asked.brief.directions.push(Direction { text: String::new(), rule, limit: 0, phrase: String::new() });
    assert!(text(asked).await.starts_with("What would change for you?\n\n"));
}

#[tokio::test]
async fn hashtags_name_things() {
    for topic in [
        "temperature alerts that drivers do not ignore",
        "why drivers ignore good alerts",
        "route planning for small fleets",
        "logging temperatures without mobile coverage",
    ] {
        let mut asked = prompt(Task::Draft, ContentType::Social, topic, relevant(topic, 14));
        asked.brief.draft = text(asked.clone()).await;
        asked.task = Task::Finish;
        let found = object(asked.clone(), json!({"hashtags": {"type": "array"}})).await;
        let tags: Vec<&str> =
            found["hashtags"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(tags.len(), 3, "{topic}: {tags:?}");
        let known = asked.evidence.iter().map(|p| p.text.to_lowercase()).collect::<String>();
        let known: String = known.chars().filter(|c| c.is_alphanumeric()).collect();
        for tag in tags {
            assert!(known.contains(&tag[1..].to_lowercase()), "{topic}: {tag}");
            for bad in ["Ignore", "Good", "Logging", "Complete", "Tell", "Saved"] {
                assert!(!tag.contains(bad), "{topic}: {tag}");
            }
        }
    }
}

#[tokio::test]
async fn a_topic_that_is_only_named_is_not_covered() {
    let body = "The Rillo pump saves 30 percent of the water of a small farm. Farmers read the water use of the Rillo \
        pump on a phone. Operators of the Rillo pump replace the filter of the pump after 900 hours.";
    let named = format!(
        "# Solar sails in orbit\n\n{body} #SolarSails\n\nThe evidence says nothing about this: solar sails in \
         orbit.\n\nHow do you handle solar sails in orbit?\n\n#Solar #Sails #Orbit"
    );
    let (score, notes) = review("solar sails in orbit", pumps(), &named).await;
    assert!(score <= 3.0 && notes.contains("evidence does not cover the topic"), "{score} {notes}");
    let (score, notes) = review("pressure", pumps(), &named).await;
    assert!(score <= 3.0 && notes.contains("draft says nothing about the topic"), "{score} {notes}");
    let (score, notes) = review("small solar sails in orbit", pumps(), &named).await;
    assert!(score < 7.0 && notes.contains("says little about the topic"), "{score} {notes}");
    let (score, notes) = review("water pump for a small farm", pumps(), body).await;
    assert!(score >= 7.0 && !notes.contains("topic"), "{score} {notes}");
}

#[tokio::test]
async fn few_facts_make_a_short_article() {
    let found = text(prompt(Task::Draft, ContentType::Blog, "water pump", pumps())).await;
    assert!(!found.contains("## "), "{found}");
    assert!(found.starts_with("# Water pump\n\n") && found.contains("30 percent"), "{found}");
    let two: Vec<Passage> = relevant("route planner", 40);
    let two = two.into_iter().filter(|p| ["route-planner", "van-box"].contains(&p.document_id.as_str()));
    let found = text(prompt(Task::Draft, ContentType::Blog, "route planner", two.collect())).await;
    let sections = found.matches("\n## ").count();
    assert!(sections >= 4 || !found.contains("In short"), "{found}");
}
