//! The door of rule packs, and what they find as messages.
use std::sync::Arc;

use copydesk_guard::pack::{Hit, Question, Redaction, Scope, Severity};
use copydesk_proto::agent_orchestrator::v1 as pb;
use copydesk_proto::agent_orchestrator::v1::rule_pack_service_server::RulePackService;
use copydesk_rpc::{Caller, Violations};
use tonic::{Request, Response, Status};

use crate::adapters::convert::{span, timestamp};
use crate::app::App;
use crate::app::packs::{Listed, Ready};
use crate::ports::Lists;

const MAX_DOCUMENT: usize = 200_000;
const MAX_LISTS: usize = 50;
const MAX_ITEMS: usize = 1_000;
const MAX_ITEM: usize = 200;

/// The service's handlers.
pub(crate) struct RulePacks {
    app: Arc<App>,
}

impl RulePacks {
    pub(crate) fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

#[tonic::async_trait]
impl RulePackService for RulePacks {
    async fn create_rule_pack(
        &self,
        request: Request<pb::CreateRulePackRequest>,
    ) -> Result<Response<pb::CreateRulePackResponse>, Status> {
        let caller = Caller::of(&request)?;
        let document = request.into_inner().document;
        let mut violations = Violations::new();
        let fits = (1..=MAX_DOCUMENT).contains(&document.len()) && !document.contains('\0');
        let must = format!("must have 1 to {MAX_DOCUMENT} bytes and no U+0000, has {}", document.len());
        violations.check(fits, "document", must);
        violations.finish()?;
        let pack = self.app.create_pack(caller.tenant, document).await?;
        Ok(Response::new(pb::CreateRulePackResponse { pack: Some(pack_message(pack)) }))
    }

    async fn get_rule_pack(
        &self,
        request: Request<pb::GetRulePackRequest>,
    ) -> Result<Response<pb::GetRulePackResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        named(&request.pack_id, &request.version)?;
        let (pack, document) = self.app.get_pack(caller.tenant, &request.pack_id, &request.version).await?;
        Ok(Response::new(pb::GetRulePackResponse { pack: Some(pack_message(pack)), document }))
    }

    async fn list_rule_packs(
        &self,
        request: Request<pb::ListRulePacksRequest>,
    ) -> Result<Response<pb::ListRulePacksResponse>, Status> {
        let caller = Caller::of(&request)?;
        let packs = self.app.list_packs(caller.tenant).await?;
        Ok(Response::new(pb::ListRulePacksResponse { packs: packs.into_iter().map(pack_message).collect() }))
    }

    async fn activate_rule_pack(
        &self,
        request: Request<pb::ActivateRulePackRequest>,
    ) -> Result<Response<pb::ActivateRulePackResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let lists = lists(&request)?;
        let pack = self.app.activate_pack(caller.tenant, &request.pack_id, &request.version, lists).await?;
        Ok(Response::new(pb::ActivateRulePackResponse { pack: Some(pack_message(pack)) }))
    }

    async fn deactivate_rule_pack(
        &self,
        request: Request<pb::DeactivateRulePackRequest>,
    ) -> Result<Response<pb::DeactivateRulePackResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        named(&request.pack_id, "")?;
        self.app.deactivate_pack(caller.tenant, &request.pack_id).await?;
        Ok(Response::new(pb::DeactivateRulePackResponse {}))
    }
}

fn named(id: &str, version: &str) -> Result<(), Status> {
    let mut violations = Violations::new();
    names(id, version, &mut violations);
    Ok(violations.finish()?)
}

fn names(id: &str, version: &str, violations: &mut Violations) {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fits = (1..=64).contains(&id.len()) && id.chars().all(word);
    violations.check(fits, "pack_id", "must be 1 to 64 lower-case letters, digits and hyphens");
    violations.length("version", version, 0, 64);
    violations.check(!version.contains('\0'), "version", "must not contain the character U+0000");
}

fn lists(request: &pb::ActivateRulePackRequest) -> Result<Lists, Status> {
    let mut violations = Violations::new();
    names(&request.pack_id, &request.version, &mut violations);
    let many = format!("must have at most {MAX_LISTS} entries, has {}", request.lists.len());
    violations.check(request.lists.len() <= MAX_LISTS, "lists", many);
    let mut lists = Lists::new();
    for (at, list) in request.lists.iter().enumerate().take(MAX_LISTS) {
        violations.length(&format!("lists[{at}].name"), &list.name, 1, 64);
        let field = format!("lists[{at}].items");
        let many = format!("must have at most {MAX_ITEMS} entries, has {}", list.items.len());
        violations.check(list.items.len() <= MAX_ITEMS, &field, many);
        let fits = |item: &String| (1..=MAX_ITEM).contains(&item.len()) && !item.contains('\0');
        let each = format!("each must have 1 to {MAX_ITEM} bytes and no U+0000");
        violations.check(list.items.iter().all(fits), &field, each);
        let first = lists.insert(list.name.clone(), list.items.clone()).is_none();
        violations.check(first, format!("lists[{at}].name"), "is another list's too");
    }
    violations.finish()?;
    Ok(lists)
}

fn pack_message(pack: Listed) -> pb::RulePack {
    pb::RulePack {
        pack_id: pack.id,
        version: pack.version,
        title: pack.title,
        content_hash: pack.hash,
        active: pack.is_active,
        built_in: pack.is_built_in,
        create_time: pack.created_ms.map(timestamp),
        lists: pack.lists.into_iter().map(|(name, items)| pb::RuleList { name, items }).collect(),
    }
}

/// A scope, which must be named.
pub(super) fn scope(number: i32, violations: &mut Violations) -> Scope {
    match pb::RuleScope::try_from(number) {
        Ok(pb::RuleScope::Input) => Scope::Input,
        Ok(pb::RuleScope::Source) => Scope::Source,
        Ok(pb::RuleScope::Output) => Scope::Output,
        Ok(pb::RuleScope::Unspecified) | Err(_) => {
            violations.push("scope", "must be one of INPUT, SOURCE, OUTPUT");
            Scope::Output
        }
    }
}

fn severity(severity: Severity) -> pb::RuleSeverity {
    match severity {
        Severity::Warn => pb::RuleSeverity::Warn,
        Severity::Redact => pb::RuleSeverity::Redact,
        Severity::Block => pb::RuleSeverity::Block,
    }
}

pub(super) fn hit_message(hit: Hit, judged: bool) -> pb::RuleHit {
    pb::RuleHit {
        pack_id: hit.pack,
        pack_version: hit.version,
        rule: hit.rule,
        severity: severity(hit.severity).into(),
        span: Some(span(hit.span.start as u64, hit.span.end as u64)),
        message: hit.message,
        entity: hit.entity.map(|entity| entity.name().to_owned()).unwrap_or_default(),
        judged,
    }
}

pub(super) fn unanswered_message(question: Question, reason: String) -> pb::UnansweredRule {
    pb::UnansweredRule {
        pack_id: question.pack,
        rule: question.rule,
        severity: severity(question.severity).into(),
        question: question.question,
        reason,
    }
}

pub(super) fn redaction_message(redaction: Redaction) -> pb::RuleRedaction {
    pb::RuleRedaction {
        span: Some(span(redaction.span.start as u64, redaction.span.end as u64)),
        pack_id: redaction.pack,
        rule: redaction.rule,
        replacement: redaction.replacement,
    }
}

pub(super) fn applied(packs: &[Ready]) -> Vec<pb::AppliedPack> {
    let applied = |pack: &Ready| pb::AppliedPack {
        pack_id: pack.id().to_owned(),
        version: pack.version().to_owned(),
        content_hash: pack.content_hash().to_owned(),
    };
    packs.iter().map(applied).collect()
}
