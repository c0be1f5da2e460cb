//! Rule packs: stored as versions, proven before they hold, applied to input and output, and no one else's.
#![allow(clippy::expect_used, reason = "a test that cannot go on must stop")]
use copydesk_proto::agent_orchestrator::v1 as pb;
use copydesk_rpc::{Channel, testing};
use copydesk_types::{Scopes, TenantId};
use pb::rule_pack_service_client::RulePackServiceClient;
use pb::{RuleScope, RuleSeverity};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::support::peers::{GRINDER, REPAIRS};
use crate::support::{BOTH, Mesh, Over, config, spec, start};

const HOUSE: &str = r#"
id = "house"
version = "1"
title = "Words of the house"

[lists.rivals]
items = []
sample = "Contoso"

[[rules]]
id = "no-rivals"
kind = "words"
severity = "block"
scope = ["output"]
message = "names a rival"
terms = ["{rivals}"]

[[rules]]
id = "no-internal-names"
kind = "words"
severity = "redact"
scope = ["input", "output"]
message = "names an internal project"
replacement = "[project]"
terms = ["nightjar"]

[[vectors]]
text = "Better than {rivals}."
scope = "output"
expect = ["no-rivals"]

[[vectors]]
text = "NIGHTJAR is coming."
scope = "input"
expect = ["no-internal-names"]

[[vectors]]
text = "Nothing to see."
scope = "output"
"#;

/// A pack with one question for a judge, of this severity.
fn asks(severity: &str) -> String {
    format!(
        r#"{{"id": "taste", "version": "1", "title": "Taste", "rules": [{{"id": "no-sarcasm", "kind": "judge",
        "severity": "{severity}", "scope": ["output"], "message": "is sarcastic", "question": "Is it sarcastic?"}}],
        "vectors": [{{"text": "Great. Another meeting.", "scope": "output", "expect": ["no-sarcasm"]}}]}}"#
    )
}

impl Mesh {
    fn packs(&self) -> RulePackServiceClient<Channel> {
        RulePackServiceClient::new(self.channel.clone())
    }

    async fn create_pack(&self, document: &str) -> Result<pb::RulePack, Status> {
        let request = pb::CreateRulePackRequest { document: document.into() };
        let answer = self.as_user(self.packs().create_rule_pack(request)).await?;
        Ok(answer.into_inner().pack.expect("a pack"))
    }

    async fn activate(
        &self,
        id: &str,
        version: &str,
        lists: Vec<pb::RuleList>,
    ) -> Result<pb::RulePack, Status> {
        let request = pb::ActivateRulePackRequest { pack_id: id.into(), version: version.into(), lists };
        let answer = self.as_user(self.packs().activate_rule_pack(request)).await?;
        Ok(answer.into_inner().pack.expect("a pack"))
    }

    async fn list_packs(&self) -> Vec<(String, String, bool)> {
        let answer = self.as_user(self.packs().list_rule_packs(pb::ListRulePacksRequest {})).await;
        let packs = answer.expect("packs").into_inner().packs;
        packs.into_iter().map(|pack| (pack.pack_id, pack.version, pack.active)).collect()
    }

    async fn rules(&self, text: &str, packs: &[&str]) -> pb::CheckRulesResponse {
        let pack_ids = packs.iter().map(|id| (*id).to_owned()).collect();
        let request = pb::CheckRulesRequest {
            text: text.into(),
            scope: RuleScope::Output.into(),
            pack_ids,
            ..Default::default()
        };
        self.as_user(self.guard.clone().check_rules(request)).await.expect("checked").into_inner()
    }
}

fn rivals(names: &[&str]) -> Vec<pb::RuleList> {
    vec![pb::RuleList { name: "rivals".into(), items: names.iter().map(|name| (*name).to_owned()).collect() }]
}

#[tokio::test]
async fn a_version_is_stored_proven_and_holds_until_another_does() {
    for over in BOTH {
        let mesh = start(over, config()).await;
        let built_in = mesh.list_packs().await;
        assert!(built_in.iter().all(|(_, _, active)| *active), "{built_in:?}");
        assert!(
            ["marketing", "personal-data", "secrets", "injection"]
                .iter()
                .all(|id| built_in.iter().any(|(known, ..)| known == id))
        );
        let stored = mesh.create_pack(HOUSE).await.expect("stored");
        assert_eq!((stored.pack_id.as_str(), stored.version.as_str(), stored.active), ("house", "1", false));
        assert_eq!(mesh.create_pack(HOUSE).await.expect("the same").content_hash, stored.content_hash);
        let status =
            mesh.create_pack(&HOUSE.replace("names a rival", "other")).await.expect_err("a version is final");
        assert_eq!(status.code(), Code::AlreadyExists);
        assert!(
            mesh.rules("Nightjar beats Globex.", &[]).await.packs.iter().all(|pack| pack.pack_id != "house")
        );
        mesh.activate("house", "1", rivals(&["Globex"])).await.expect("active");
        let found = mesh.rules("Nightjar beats Gl\u{200b}obex.", &["house"]).await;
        let hits: Vec<_> = found.hits.iter().map(|hit| (hit.rule.as_str(), hit.severity())).collect();
        assert_eq!(hits, [("no-internal-names", RuleSeverity::Redact), ("no-rivals", RuleSeverity::Block)]);
        let span = found.hits[1].span.expect("a span");
        assert_eq!((span.start, span.end), (15, 24), "the disguise is in the span");
        assert!(found.blocked && found.packs.len() == 1);
        mesh.create_pack(&HOUSE.replace("version = \"1\"", "version = \"2\"")).await.expect("stored");
        mesh.activate("house", "2", Vec::new()).await.expect("active");
        assert!(!mesh.rules("Nightjar beats Globex.", &["house"]).await.blocked, "its list is empty");
        for _ in 0..2 {
            let off = pb::DeactivateRulePackRequest { pack_id: "house".into() };
            mesh.as_user(mesh.packs().deactivate_rule_pack(off)).await.expect("off, and off again");
        }
        let (id, version, _) = &built_in[0];
        let same = mesh.activate(id, version, Vec::new()).await.expect("named as it is listed");
        assert!(same.built_in && same.active);
        let own: Vec<_> = mesh.list_packs().await.into_iter().filter(|(id, ..)| id == "house").collect();
        assert_eq!(own, [("house".into(), "1".into(), false), ("house".into(), "2".into(), false)]);
        let get = pb::GetRulePackRequest { pack_id: "house".into(), version: "1".into() };
        let got = mesh.as_user(mesh.packs().get_rule_pack(get)).await.expect("a pack").into_inner();
        assert_eq!(got.document, HOUSE);
    }
}

#[tokio::test]
async fn a_pack_that_does_not_prove_itself_never_holds() {
    let mesh = start(Over::Process, config()).await;
    let status = mesh.create_pack("id = 7\n[[rules]]\nkind = \"magic\"").await.expect_err("no pack");
    assert_eq!(status.code(), Code::InvalidArgument);
    let faults = status.get_error_details().bad_request().map_or(0, |bad| bad.field_violations.len());
    assert!(faults >= 1, "{status:?}");
    let wrong = HOUSE.replace("Nothing to see.", "Nightjar again.");
    mesh.create_pack(&wrong).await.expect("it can be read");
    let status = mesh.activate("house", "1", Vec::new()).await.expect_err("a vector fails");
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("vectors[2]"), "{}", status.message());
    assert!(!mesh.list_packs().await.contains(&("house".into(), "1".into(), true)));
    let status = mesh.activate("house", "9", Vec::new()).await.expect_err("there is none");
    assert_eq!(status.code(), Code::NotFound);
    let good = HOUSE.replace("version = \"1\"", "version = \"2\"");
    mesh.create_pack(&good).await.expect("stored");
    let other = vec![pb::RuleList { name: "friends".into(), items: vec!["x".into()] }];
    let status = mesh.activate("house", "2", other).await.expect_err("no such list");
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn personal_data_and_secrets_are_taken_out_and_found_in_disguise() {
    let mesh = start(Over::Loopback, config()).await;
    let text = "Write to ada@example.com or pay to DE89 3704 0044 0532 0130 00.";
    let request =
        pb::SanitizeRequest { text: text.into(), scope: RuleScope::Input.into(), pack_ids: Vec::new() };
    let clean = mesh.as_user(mesh.guard.clone().sanitize(request)).await.expect("cleaned").into_inner();
    assert!(!clean.text.contains("ada@") && !clean.text.contains("3704"), "{}", clean.text);
    assert!(!clean.blocked && clean.redactions.len() == 2, "{clean:?}");
    for redaction in &clean.redactions {
        let span = redaction.span.expect("a span");
        assert!(text.is_char_boundary(span.start as usize) && text.is_char_boundary(span.end as usize));
    }
    assert!(clean.hits.iter().any(|hit| hit.entity == "email"), "{:?}", clean.hits);
    let refused = pb::SanitizeRequest { text: String::new(), scope: 0, pack_ids: vec!["x".into(); 101] };
    let status = mesh.as_user(mesh.guard.clone().sanitize(refused)).await.expect_err("refused");
    let details = status.get_error_details();
    let fields: Vec<_> =
        details.bad_request().expect("fields").field_violations.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(fields, ["text", "scope", "pack_ids"]);
    let unknown = pb::SanitizeRequest {
        text: "x".into(),
        scope: RuleScope::Input.into(),
        pack_ids: vec!["none".into()],
    };
    let status = mesh.as_user(mesh.guard.clone().sanitize(unknown)).await.expect_err("no such pack");
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_blocking_question_that_nobody_answers_blocks() {
    let mesh = start(Over::Process, config()).await;
    mesh.create_pack(&asks("block")).await.expect("stored");
    mesh.activate("taste", "1", Vec::new()).await.expect("active");
    mesh.script.answer(true, "Great.");
    let found = mesh.rules("Great. Another meeting.", &["taste"]).await;
    assert!(found.blocked && found.hits[0].judged && found.unanswered.is_empty(), "{found:?}");
    mesh.script.answer(false, "");
    let found = mesh.rules("Great! Another meeting.", &["taste"]).await;
    assert!(!found.blocked && found.hits.is_empty() && found.unanswered.is_empty(), "{found:?}");
    mesh.script.answer(true, "words that nobody wrote");
    let found = mesh.rules("Great? Another meeting.", &["taste"]).await;
    assert!(found.blocked && found.hits.is_empty() && found.unanswered.len() == 1, "{found:?}");
    assert_eq!(found.judge.expect("asked").overruled, 1);
    mesh.script.fail("", [Status::failed_precondition("no model")]);
    let found = mesh.rules("Great; another meeting.", &["taste"]).await;
    assert!(found.blocked && !found.unanswered[0].reason.is_empty(), "{found:?}");
}

#[tokio::test]
async fn a_run_keeps_to_the_tenants_packs() {
    let mesh = start(Over::Process, config()).await;
    mesh.create_pack(HOUSE).await.expect("stored");
    mesh.activate("house", "1", rivals(&["Kettle Works"])).await.expect("active");
    let mut wish = spec();
    wish.topic = "the grinder of nightjar".into();
    let run = mesh.create(wish).await;
    assert_eq!(
        run.spec.expect("a spec").topic,
        "the grinder of [project]",
        "input is cleaned before it is stored"
    );
    mesh.script.write("draft.1", &format!("{GRINDER}\n\n{REPAIRS}"));
    let run = mesh.finish(&run.run_id).await;
    assert_eq!(run.state(), pb::RunState::Failed);
    let error = run.error.expect("why");
    assert_eq!((error.reason.as_str(), error.step.as_str()), ("NOT_SAFE", "rules"));
    assert!(error.message.contains("no-rivals"), "{}", error.message);
    let mut odd = spec();
    odd.topic = "Alerts that drivers do not ignore".into();
    mesh.try_create("odd", Some(odd)).await.expect("what is only a guess refuses nobody");
    let strict = HOUSE.replace("\"house\"", "\"strict\"").replace("\"redact\"", "\"block\"");
    let strict = strict.replace("replacement = \"[project]\"\n", "");
    mesh.create_pack(&strict).await.expect("stored");
    mesh.activate("strict", "1", Vec::new()).await.expect("active");
    let mut secret = spec();
    secret.topic = "the date of Nightjar".into();
    let status = mesh.try_create("secret", Some(secret)).await.expect_err("refused");
    let details = status.get_error_details();
    assert_eq!(details.bad_request().expect("fields").field_violations[0].field, "spec.topic");
}

#[tokio::test]
async fn packs_are_their_tenants_own() {
    let mesh = start(Over::Process, config()).await;
    mesh.create_pack(HOUSE).await.expect("stored");
    mesh.activate("house", "1", rivals(&["Globex"])).await.expect("active");
    let stranger = TenantId::from_u128(99);
    let list = testing::as_caller(stranger, Scopes::all(), async {
        mesh.packs().list_rule_packs(pb::ListRulePacksRequest {}).await
    });
    assert!(list.await.expect("packs").into_inner().packs.iter().all(|pack| pack.built_in));
    let get = testing::as_caller(stranger, Scopes::all(), async {
        mesh.packs()
            .get_rule_pack(pb::GetRulePackRequest { pack_id: "house".into(), version: "1".into() })
            .await
    });
    assert_eq!(get.await.expect_err("not theirs").code(), Code::NotFound);
}
