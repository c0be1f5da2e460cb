//! Lessons.

use copydesk_learning::adapters::database::DatabaseStore;
use copydesk_learning::domain::feedback::{Effect, FeedbackKind};
use copydesk_learning::domain::learning::Learning;
use copydesk_learning::domain::lesson::{Lesson, Proposal, Rule};
use copydesk_learning::domain::outcome::ContentType;
use copydesk_learning::ports::{Store, Stored};
use copydesk_types::{BrandId, LessonId};

use super::{after, feedback, first, learning, request, stores, tenant};

const BRAND: BrandId = BrandId::from_u128(1);

async fn say(store: &DatabaseStore, id: u128, learning: &Learning) -> Vec<Lesson> {
    let verdict = feedback(id, 1, FeedbackKind::Regenerate);
    let key = request(&id.to_string(), "x");
    match store.record_feedback(tenant(1), &verdict, &key, learning).await {
        Ok(Stored::New((_, lessons))) => lessons,
        other => panic!("a new verdict is stored: {other:?}"),
    }
}

#[tokio::test]
async fn lessons_survive_the_round_trip_and_merge() {
    for (name, store) in stores().await {
        let asked = vec![
            Proposal::of(Rule::AvoidPhrase("game changer".into())),
            Proposal::of(Rule::MaxHashtags(3)),
            Proposal::words("Name the customer."),
        ];
        let told = say(&store, 10, &learning(10, 1, asked, Effect::Neutral, vec![])).await;
        let mut listed = store.lessons(tenant(1), BRAND, &first(9)).await.expect(name);
        listed.reverse();
        assert_eq!(listed, told, "{name}");
        let newer = vec![Proposal::of(Rule::MaxHashtags(1)), Proposal::words("The customer: name it!")];
        let merged = say(&store, 20, &learning(20, 2, newer, Effect::Neutral, vec![])).await;
        assert_eq!([merged[0].id, merged[1].id], [told[1].id, told[2].id], "{name}");
        assert_eq!((merged[0].support, &merged[0].asks.rule), (2, &Some(Rule::MaxHashtags(1))), "{name}");
        assert_eq!(merged[0].sources.len(), 2, "{name}");
        let stored = store.lessons(tenant(1), BRAND, &first(9)).await.expect(name);
        assert_eq!(stored.len(), 3, "{name}");
        assert!(stored.contains(&merged[0]) && stored.contains(&merged[1]), "{name}");
    }
}

#[tokio::test]
async fn effects_reach_the_used_lessons_of_the_tenant_only() {
    for (name, store) in stores().await {
        let asked = vec![Proposal::of(Rule::OpenWithNumber)];
        let told = say(&store, 10, &learning(10, 1, asked.clone(), Effect::Neutral, vec![])).await;
        let used = vec![told[0].id, LessonId::from_u128(999)];
        let up = say(&store, 20, &learning(20, 2, vec![], Effect::Support, used.clone())).await;
        assert_eq!((up.len(), up[0].support), (1, 2), "{name}");
        let down = say(&store, 30, &learning(30, 3, vec![], Effect::Contra, used.clone())).await;
        assert!(down.is_empty(), "{name}: a lesson that was contradicted was not strengthened");
        let foreign = learning(40, 3, vec![], Effect::Contra, used);
        let verdict = feedback(40, 1, FeedbackKind::Reject);
        store.record_feedback(tenant(2), &verdict, &request("f", "x"), &foreign).await.expect(name);
        let stored = store.lessons(tenant(1), BRAND, &first(9)).await.expect(name);
        assert_eq!((stored[0].support, stored[0].contra), (2, 1), "{name}");
        assert!(store.lessons(tenant(2), BRAND, &first(9)).await.expect(name).is_empty(), "{name}");
    }
}

#[tokio::test]
async fn standing_lessons_are_those_for_the_content_type() {
    for (name, store) in stores().await {
        let mut blog = learning(10, 1, vec![Proposal::of(Rule::MaxWords(900))], Effect::Neutral, vec![]);
        blog.content_type = Some(ContentType::Blog);
        let mut everywhere =
            learning(20, 1, vec![Proposal::of(Rule::MaxHashtags(2))], Effect::Neutral, vec![]);
        everywhere.content_type = None;
        let social = learning(30, 1, vec![Proposal::of(Rule::MaxWords(90))], Effect::Neutral, vec![]);
        for (id, learning) in [(10, blog), (20, everywhere), (30, social)] {
            say(&store, id, &learning).await;
        }
        let standing = |most| store.standing_lessons(tenant(1), BRAND, ContentType::Social, most);
        let ids = |lessons: &[Lesson]| lessons.iter().map(|l| l.id.as_u128()).collect::<Vec<_>>();
        assert_eq!(ids(&standing(9).await.expect(name)), [30, 20], "{name}");
        assert_eq!(ids(&standing(1).await.expect(name)), [30], "{name}");
        for (id, run) in [(41, 4), (42, 5)] {
            let used = vec![LessonId::from_u128(30)];
            say(&store, id, &learning(id, run, vec![], Effect::Contra, used)).await;
        }
        assert_eq!(ids(&standing(9).await.expect(name)), [20], "{name}: refuted");
        let stranger = store.standing_lessons(tenant(2), BRAND, ContentType::Social, 9).await.expect(name);
        assert!(stranger.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn lists_are_paged() {
    for (name, store) in stores().await {
        for id in [10, 20, 30] {
            let asked = vec![Proposal::words(&format!("Word number {id}."))];
            say(&store, id, &learning(id, 1, asked, Effect::Neutral, vec![])).await;
        }
        let all = store.lessons(tenant(1), BRAND, &first(9)).await.expect(name);
        assert_eq!(all.iter().map(|l| l.id.as_u128()).collect::<Vec<_>>(), [30, 20, 10], "{name}");
        let rest =
            store.lessons(tenant(1), BRAND, &after(9, all[0].created_ms, all[0].id)).await.expect(name);
        assert_eq!(rest, all[1..], "{name}");
        let other = store.lessons(tenant(1), BrandId::from_u128(2), &first(9)).await.expect(name);
        assert!(other.is_empty(), "{name}");
    }
}
