//! Verdicts and what they teach.

use copydesk_proto::learning::v1 as pb;
use copydesk_proto::learning::v1::FeedbackKind;
use tonic::Code;

use super::{archives, outcome, refusal, user, verdict, violated};

#[tokio::test]
async fn a_comment_becomes_lessons_in_one_call() {
    for archive in archives().await {
        let brand = archive.brand("one", &[]).await;
        archive.ended(outcome(1, &brand, &"Every van stays cold all day. ".repeat(20))).await;
        let request = verdict(
            "v1",
            1,
            FeedbackKind::Reject,
            "Too long. Never say “game changer”. Start with a number!",
        );
        let said = archive.say(request.clone()).await.expect("stored");
        let feedback = said.feedback.clone().expect("with the verdict");
        assert_eq!(
            (feedback.brand_id.as_str(), feedback.principal.as_str()),
            (brand.brand_id.as_str(), "test-user")
        );
        assert_eq!(feedback.comment, request.comment);
        let rules: Vec<(i32, u32, &str)> =
            said.lessons.iter().map(|l| (l.rule, l.limit, l.phrase.as_str())).collect();
        let expected = [
            (pb::LessonRule::MaxWords.into(), 90, ""),
            (pb::LessonRule::AvoidPhrase.into(), 0, "game changer"),
            (pb::LessonRule::OpenWithNumber.into(), 0, ""),
        ];
        assert_eq!(rules, expected, "{}: four fifths of 120 words, rounded down to ten", archive.over);
        for lesson in &said.lessons {
            assert_eq!(lesson.origin(), pb::LessonOrigin::Human);
            assert_eq!(
                (lesson.support, lesson.contra, lesson.run_ids.as_slice()),
                (1, 0, [request.run_id.clone()].as_slice())
            );
        }
        assert_eq!(archive.say(request.clone()).await.expect("known"), said, "{}", archive.over);
        let reused = archive.say(pb::RecordFeedbackRequest { comment: "Other.".into(), ..request }).await;
        assert_eq!(refusal(reused), (Code::AlreadyExists, "REQUEST_ID_REUSED".into()), "{}", archive.over);
    }
}

#[tokio::test]
async fn a_wish_for_less_never_allows_more() {
    for archive in archives().await {
        let brand = archive.brand("one", &[]).await;
        archive.ended(outcome(1, &brand, &"Every van stays cold all day. ".repeat(20))).await;
        let mut limits = Vec::new();
        for (id, comment) in [
            ("v1", "At most 60 words."),
            ("v2", "Still too long, make it shorter."),
            ("v3", "At most 100 words."),
        ] {
            let said = archive.say(verdict(id, 1, FeedbackKind::Reject, comment)).await.expect("stored");
            limits.push((said.lessons[0].limit, said.lessons[0].text.clone(), said.lessons[0].support));
        }
        let expected = [(60, 1), (60, 2), (100, 3)]
            .map(|(limit, support)| (limit, format!("Keep the text to at most {limit} words."), support));
        assert_eq!(limits, expected, "{}", archive.over);
    }
}

#[tokio::test]
async fn an_edit_teaches_and_praise_does_not() {
    for archive in archives().await {
        let brand = archive.brand("one", &[]).await;
        let draft =
            "Our revolutionary alarm warns the driver in time. Vans stay cold, day and night. #Cold #Chain";
        archive.ended(outcome(1, &brand, draft)).await;
        let edited = "Our alarm warns the driver in time. Vans stay cold, day and night. #Cold";
        let edit = pb::RecordFeedbackRequest {
            edited_text: edited.into(),
            ..verdict("v1", 1, FeedbackKind::Edit, "")
        };
        let said = archive.say(edit).await.expect("stored");
        let rules: Vec<(i32, u32, &str)> =
            said.lessons.iter().map(|l| (l.rule, l.limit, l.phrase.as_str())).collect();
        let expected = [
            (pb::LessonRule::MaxHashtags.into(), 1, ""),
            (pb::LessonRule::AvoidPhrase.into(), 0, "revolutionary"),
        ];
        assert_eq!(rules, expected, "{}", archive.over);
        let praise =
            archive.say(verdict("v2", 1, FeedbackKind::Approve, "Great, thanks!")).await.expect("stored");
        assert!(praise.lessons.is_empty(), "{}", archive.over);
        let rate = pb::RecordFeedbackRequest { rating: 3, ..verdict("v3", 1, FeedbackKind::Rate, "") };
        assert!(archive.say(rate).await.expect("stored").lessons.is_empty(), "{}", archive.over);
    }
}

#[tokio::test]
async fn lessons_that_were_used_feel_the_verdict() {
    for archive in archives().await {
        let brand = archive.brand("one", &[]).await;
        archive.ended(outcome(1, &brand, "Vans stay cold.")).await;
        let taught = archive
            .say(verdict("v1", 1, FeedbackKind::Regenerate, "Start with a number."))
            .await
            .expect("stored");
        let lesson = taught.lessons[0].clone();
        let used =
            pb::Outcome { lesson_ids: vec![lesson.lesson_id.clone()], ..outcome(2, &brand, "12 vans.") };
        archive.ended(used).await;
        let approved = archive.say(verdict("v2", 2, FeedbackKind::Approve, "")).await.expect("stored");
        assert_eq!((approved.lessons.len(), approved.lessons[0].support), (1, 2), "{}", archive.over);
        let rate =
            |id: &str, rating| pb::RecordFeedbackRequest { rating, ..verdict(id, 2, FeedbackKind::Rate, "") };
        assert_eq!(
            archive.say(rate("v3", 5)).await.expect("stored").lessons[0].support,
            3,
            "{}",
            archive.over
        );
        assert!(archive.say(rate("v4", 2)).await.expect("stored").lessons.is_empty(), "{}", archive.over);
        let list =
            pb::ListLessonsRequest { brand_id: brand.brand_id.clone(), ..pb::ListLessonsRequest::default() };
        let listed = user(archive.lessons().list_lessons(list)).await.expect("listed").into_inner().lessons;
        assert_eq!((listed[0].support, listed[0].contra), (3, 1), "{}", archive.over);
    }
}

#[tokio::test]
async fn a_verdict_needs_a_known_outcome() {
    for archive in archives().await {
        let unknown = archive.say(verdict("v1", 1, FeedbackKind::Approve, "")).await;
        assert_eq!(
            refusal(unknown),
            (Code::FailedPrecondition, "OUTCOME_UNKNOWN".into()),
            "{}",
            archive.over
        );
        let brand = archive.brand("one", &[]).await;
        archive.ended(outcome(1, &brand, "Vans stay cold.")).await;
        archive.say(verdict("v1", 1, FeedbackKind::Approve, "")).await.expect("the request id is still free");
    }
}

#[tokio::test]
async fn a_run_without_a_text_cannot_be_judged() {
    for archive in archives().await {
        let brand = archive.brand("one", &[]).await;
        for (run, state) in [(1, pb::OutcomeState::Failed), (2, pb::OutcomeState::Cancelled)] {
            archive.ended(pb::Outcome { state: state.into(), ..outcome(run, &brand, "") }).await;
            let said = archive.say(verdict("v", run, FeedbackKind::Reject, "Never say 'synergy'.")).await;
            assert_eq!(
                refusal(said),
                (Code::FailedPrecondition, "NOTHING_TO_JUDGE".into()),
                "{}",
                archive.over
            );
        }
        let listed = user(archive.verdicts().list_feedback(pb::ListFeedbackRequest::default())).await;
        assert!(listed.expect("listed").into_inner().feedback.is_empty(), "{}", archive.over);
        let list =
            pb::ListLessonsRequest { brand_id: brand.brand_id.clone(), ..pb::ListLessonsRequest::default() };
        let lessons = user(archive.lessons().list_lessons(list)).await.expect("listed").into_inner().lessons;
        assert!(lessons.is_empty(), "{}", archive.over);
        archive.ended(outcome(3, &brand, "Vans stay cold.")).await;
        archive.say(verdict("v", 3, FeedbackKind::Approve, "")).await.expect("the request id is still free");
    }
}

#[tokio::test]
async fn each_kind_has_its_field_rules() {
    for archive in archives().await {
        let brand = archive.brand("one", &[]).await;
        archive.ended(outcome(1, &brand, "Vans stay cold.")).await;
        let base = |kind: FeedbackKind| verdict("v", 1, kind, "");
        let with = |kind, rating, comment: &str, edited: &str| pb::RecordFeedbackRequest {
            rating,
            comment: comment.into(),
            edited_text: edited.into(),
            ..base(kind)
        };
        let long = "x".repeat(4_001);
        let longer = "x".repeat(100_001);
        for (request, expected) in [
            (with(FeedbackKind::Approve, 3, "", "text"), vec!["edited_text", "rating"]),
            (with(FeedbackKind::Edit, 0, "", " "), vec!["edited_text"]),
            (with(FeedbackKind::Edit, 0, &long, &longer), vec!["comment", "edited_text"]),
            (with(FeedbackKind::Reject, 0, " ", ""), vec!["comment"]),
            (with(FeedbackKind::Reject, 1, "", "x"), vec!["comment", "edited_text", "rating"]),
            (with(FeedbackKind::Regenerate, 1, "", ""), vec!["rating"]),
            (with(FeedbackKind::Rate, 0, "", ""), vec!["rating"]),
            (with(FeedbackKind::Rate, 6, "a\0b", "x"), vec!["comment", "edited_text", "rating"]),
            (with(FeedbackKind::Unspecified, 6, "", ""), vec!["kind", "rating"]),
        ] {
            assert_eq!(
                violated(archive.say(request.clone()).await),
                expected,
                "{} {request:?}",
                archive.over
            );
        }
        let all = pb::RecordFeedbackRequest {
            kind: 42,
            run_id: "x".into(),
            ..pb::RecordFeedbackRequest::default()
        };
        assert_eq!(violated(archive.say(all).await), ["kind", "request_id", "run_id"], "{}", archive.over);
        let listed = user(archive.verdicts().list_feedback(pb::ListFeedbackRequest::default())).await;
        assert!(
            listed.expect("listed").into_inner().feedback.is_empty(),
            "{}: nothing was stored",
            archive.over
        );
    }
}

#[tokio::test]
async fn verdicts_are_listed_by_brand_and_run() {
    for archive in archives().await {
        let (one, two) = (archive.brand("one", &[]).await, archive.brand("two", &[]).await);
        archive.ended(outcome(1, &one, "Vans stay cold.")).await;
        archive.ended(outcome(2, &two, "Vans stay cold.")).await;
        for (id, run) in [("a", 1), ("b", 2), ("c", 1), ("d", 1)] {
            archive.say(verdict(id, run, FeedbackKind::Approve, id)).await.expect("stored");
        }
        let comments = |answer: Result<tonic::Response<pb::ListFeedbackResponse>, tonic::Status>| {
            let page = answer.expect("listed").into_inner();
            (page.feedback.into_iter().map(|f| f.comment).collect::<Vec<_>>(), page.next_page_token)
        };
        let request =
            pb::ListFeedbackRequest { brand_id: one.brand_id.clone(), page_size: 2, ..Default::default() };
        let (first, token) = comments(user(archive.verdicts().list_feedback(request.clone())).await);
        assert_eq!(first, ["d", "c"], "{}", archive.over);
        let rest = pb::ListFeedbackRequest { page_token: token.clone(), ..request.clone() };
        assert_eq!(
            comments(user(archive.verdicts().list_feedback(rest)).await),
            (vec!["a".into()], String::new())
        );
        let other = pb::ListFeedbackRequest { page_token: token, brand_id: two.brand_id, ..request };
        let other = violated(user(archive.verdicts().list_feedback(other)).await);
        assert_eq!(other, ["page_token"], "{}: a token belongs to its filter", archive.over);
        let by_run = pb::ListFeedbackRequest { run_id: outcome(2, &one, "").run_id, ..Default::default() };
        assert_eq!(
            comments(user(archive.verdicts().list_feedback(by_run)).await).0,
            ["b"],
            "{}",
            archive.over
        );
        let bad = pb::ListFeedbackRequest { brand_id: "x".into(), run_id: "y".into(), ..Default::default() };
        assert_eq!(violated(user(archive.verdicts().list_feedback(bad)).await), ["brand_id", "run_id"]);
    }
}
