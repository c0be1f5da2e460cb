//! One call for every public method, made of the ids of one tenant.
use copydesk_proto::agent_orchestrator::v1 as orchestrator;
use copydesk_proto::gateway::v1 as gateway;
use copydesk_proto::learning::v1 as learning;
use copydesk_proto::llm_router::v1 as llm;
use copydesk_proto::retrieval::v1 as retrieval;
use copydesk_testkit::client::Client;
use copydesk_types::{
    BrandId, DocumentId, IngestionId, KeyId, KnowledgeBaseId, LessonId, PassageId, RunId, SnapshotId,
};
use serde_json::{Value, json};

use super::{brand, document, finished, ingest, knowledge_base, outcome, post, request_id, upload};

/// The ids of what a tenant has. It has at least two of everything, so that lists have a second page.
pub struct Things {
    pub knowledge_base: String,
    pub document: String,
    pub passage: String,
    pub ingestion: String,
    pub snapshot: String,
    pub brand: String,
    pub run: String,
    pub lesson: String,
    pub key: String,
}

impl Things {
    /// What tells that a text is about them: their ids, and the mark in all their texts.
    pub fn words<'a>(&'a self, mark: &'a str) -> [&'a str; 10] {
        let Self { knowledge_base, document, passage, ingestion, snapshot, brand, run, lesson, key } = self;
        [mark, knowledge_base, document, passage, ingestion, snapshot, brand, run, lesson, key]
    }
}

/// Ids that nobody has.
pub fn nobody() -> Things {
    Things {
        knowledge_base: KnowledgeBaseId::from_u128(7).to_string(),
        document: DocumentId::from_u128(7).to_string(),
        passage: PassageId::from_u128(7).to_string(),
        ingestion: IngestionId::from_u128(7).to_string(),
        snapshot: SnapshotId::from_u128(7).to_string(),
        brand: BrandId::from_u128(7).to_string(),
        run: RunId::from_u128(7).to_string(),
        lesson: LessonId::from_u128(7).to_string(),
        key: KeyId::from_u128(7).to_string(),
    }
}

/// Makes two of everything for the tenant of this client, the mark in every text.
pub async fn things(client: &Client, mark: &str) -> Things {
    let text = |n: u32| {
        format!(
            "# {mark} alerts {n}\n\n{mark} sends temperature alerts that drivers do not ignore. In 2025 {mark} counted \
             {n} temperature alerts per shift. Drivers of {mark} answered {n} of 100 temperature alerts within five \
             minutes. {mark} recommends a limit of five alerts per driver and shift.\n"
        )
    };
    let mut made = Vec::new();
    for n in [23, 31] {
        let base = knowledge_base(client, &format!("{mark} {n}")).await;
        let documents = vec![document("a.md", &text(n)), document("b.md", &text(n + 1))];
        ingest(client, &base, documents).await;
        let brand = brand(client, &format!("{mark} {n}"), vec![base.clone()]).await.brand_id;
        let run = super::create_run(client, post(&brand)).await.run_id;
        finished(client, &run).await;
        outcome(client, &run).await;
        made.push((base, brand, run));
    }
    let (knowledge_base, brand, run) = made.remove(0);
    let mut lesson = String::new();
    for comment in ["Open with a question.", "At most 90 words."] {
        let request = learning::RecordFeedbackRequest {
            request_id: request_id(),
            run_id: run.clone(),
            kind: learning::FeedbackKind::Regenerate.into(),
            comment: format!("{comment} {mark} deserves better."),
            ..Default::default()
        };
        let stored = client.feedback().record_feedback(request).await.expect("feedback").into_inner();
        lesson = stored.lessons.first().expect("a lesson").lesson_id.clone();
    }
    let list =
        retrieval::ListDocumentsRequest { knowledge_base_id: knowledge_base.clone(), ..Default::default() };
    let listed = client.knowledge().list_documents(list).await.expect("documents").into_inner().documents;
    let search = retrieval::SearchRequest {
        knowledge_base_ids: vec![knowledge_base.clone()],
        query: "temperature alerts".to_owned(),
        ..Default::default()
    };
    let hits = client.search().search(search).await.expect("hits").into_inner().hits;
    let upload = upload(
        &knowledge_base,
        &request_id(),
        vec![document("c.md", &text(40)), document("d.md", &text(41))],
    );
    let ingestion = client.ingestion().ingest(tokio_stream::iter(upload)).await.expect("stored").into_inner();
    let ingestion = ingestion.ingestion.expect("an ingestion").ingestion_id;
    super::ingested(client, &ingestion).await;
    let mut snapshot = String::new();
    for _ in 0..2 {
        let request = retrieval::CreateSnapshotRequest { knowledge_base_id: knowledge_base.clone() };
        let made = client.snapshots().create_snapshot(request).await.expect("a snapshot").into_inner();
        snapshot = made.snapshot.expect("a snapshot").snapshot_id;
    }
    for period in [llm::BudgetPeriod::Day, llm::BudgetPeriod::Total] {
        let (subject_kind, subject) = (llm::BudgetSubjectKind::Run.into(), run.clone());
        let key = llm::BudgetKey { subject_kind, subject, period: period.into() };
        let (key, limit_nanos) = (Some(key), Some(1_000_000_000));
        let request = llm::SetBudgetRequest { key, limit_nanos, ..Default::default() };
        client.usage().set_budget(request).await.expect("a budget");
    }
    let request = orchestrator::CreateRulePackRequest { document: rule_pack("theirs") };
    client.rule_packs().create_rule_pack(request).await.expect("a pack");
    let request =
        gateway::CreateKeyRequest { name: format!("{mark} second"), scopes: vec!["runs:read".to_owned()] };
    let key = client.keys().create_key(request).await.expect("a key").into_inner().key.expect("a key").key_id;
    Things {
        document: listed.first().expect("a document").document_id.clone(),
        passage: hits.first().and_then(|hit| hit.passage.clone()).expect("a passage").passage_id,
        knowledge_base,
        ingestion,
        snapshot,
        brand,
        run,
        lesson,
        key,
    }
}

/// What a stranger must get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// NOT_FOUND.
    NotFound,
    /// A refusal with this reason, where the contract names another than NOT_FOUND.
    Reason(&'static str),
    /// An answer whose list of this name is empty.
    Empty(&'static str),
    /// An answer whose list of this name holds a NOT_FOUND in every place.
    Errors(&'static str),
    /// An answer about their own.
    Own,
    /// PERMISSION_DENIED: for the operator of the installation.
    Denied,
}

/// A call of one method, in JSON, and what a stranger gets for it.
pub struct Case {
    pub messages: Vec<Value>,
    pub expect: Expect,
}

/// The call of a method with somebody's ids; `None` when nobody has written one yet.
pub fn case(method: &str, of: &Things) -> Option<Case> {
    let method = method.strip_prefix("copydesk.")?;
    let (message, expect) = gateway_case(method, of)
        .or_else(|| llm_case(method, of))
        .or_else(|| retrieval_case(method, of))
        .or_else(|| learning_case(method, of))
        .or_else(|| run_case(method, of))?;
    let messages = match message {
        Value::Array(messages) => messages,
        message => vec![message],
    };
    Some(Case { messages, expect })
}

fn gateway_case(method: &str, of: &Things) -> Option<(Value, Expect)> {
    Some(match method.strip_prefix("gateway.v1.")? {
        "TenantService/CreateTenant" => (json!({ "name": "A tenant of a tenant" }), Expect::Denied),
        "TenantService/ListTenants" => (json!({}), Expect::Denied),
        "TenantService/GetTenant" => (json!({}), Expect::Own),
        "KeyService/CreateKey" => (json!({ "name": "mine", "scopes": ["runs:read"] }), Expect::Own),
        // Their own keys are listed, and no other.
        "KeyService/ListKeys" => (json!({}), Expect::Own),
        "KeyService/RevokeKey" => (json!({ "keyId": of.key }), Expect::NotFound),
        _ => return None,
    })
}

fn llm_case(method: &str, of: &Things) -> Option<(Value, Expect)> {
    let call = json!({
        "requestId": "a-call-of-mine",
        "attribution": { "runId": of.run, "step": "draft.1", "agent": "writer" },
        "messages": [{ "role": "ROLE_USER", "text": "Say what you know." }],
    });
    let budget = json!({
        "subjectKind": "BUDGET_SUBJECT_KIND_RUN", "subject": of.run, "period": "BUDGET_PERIOD_TOTAL",
    });
    Some(match method.strip_prefix("llm_router.v1.")? {
        "LlmService/Generate" => (call, Expect::Own),
        "LlmService/StreamGenerate" => (json!({ "request": call }), Expect::Own),
        // The house has the offline writer only.
        "LlmService/Embed" => (json!({ "inputs": ["mine"] }), Expect::Reason("NO_CAPABLE_MODEL")),
        "LlmService/Rerank" => {
            (json!({ "query": "mine", "documents": ["mine"] }), Expect::Reason("NO_CAPABLE_MODEL"))
        }
        "LlmService/CountTokens" => (json!({ "messages": call["messages"] }), Expect::Own),
        "RoutingService/ExplainRoute" => (json!({ "request": call }), Expect::Own),
        "RoutingService/ListModels" => (json!({}), Expect::Own),
        "RoutingService/ListProviders" => (json!({}), Expect::Denied),
        "UsageService/GetCostBreakdown" => (json!({ "groupBy": ["COST_DIMENSION_MODEL"] }), Expect::Own),
        "UsageService/GetBudget" => (json!({ "key": budget }), Expect::NotFound),
        "UsageService/ListBudgets" => (json!({}), Expect::Empty("budgets")),
        // A stranger may limit what they spend in the name of another's run: their own budget.
        "UsageService/SetBudget" => (json!({ "key": budget, "limitNanos": "5" }), Expect::Own),
        // It shows the stranger's own call, made in the name of another's run, and not the owner's.
        "UsageService/ListUsage" => (json!({ "runId": of.run }), Expect::Own),
        _ => return None,
    })
}

fn retrieval_case(method: &str, of: &Things) -> Option<(Value, Expect)> {
    let base = json!({ "knowledgeBaseId": of.knowledge_base });
    let document = json!({ "documentId": of.document, "withText": true });
    let ingestion = json!({ "ingestionId": of.ingestion });
    Some(match method.strip_prefix("retrieval.v1.")? {
        "KnowledgeService/CreateKnowledgeBase" => {
            (json!({ "requestId": "kb-of-mine", "name": "Mine" }), Expect::Own)
        }
        "KnowledgeService/GetKnowledgeBase" => (base, Expect::NotFound),
        "KnowledgeService/ListKnowledgeBases" => (json!({}), Expect::Own),
        "KnowledgeService/DeleteKnowledgeBase" => (base, Expect::NotFound),
        "KnowledgeService/ReembedKnowledgeBase" => {
            let ask = json!({ "requestId": "r", "knowledgeBaseId": of.knowledge_base, "embedder": "none" });
            (ask, Expect::NotFound)
        }
        "KnowledgeService/CancelReembedding" => (base, Expect::NotFound),
        "KnowledgeService/ListEmbedders" => (json!({}), Expect::Empty("embedders")),
        "KnowledgeService/GetDocument" => (document, Expect::NotFound),
        "KnowledgeService/ListDocuments" => (base, Expect::NotFound),
        "KnowledgeService/GetQuota" => (json!({}), Expect::Own),
        "KnowledgeService/DeleteDocument" => (json!({ "documentId": of.document }), Expect::NotFound),
        "KnowledgeService/DownloadOriginal" => (json!({ "documentId": of.document }), Expect::NotFound),
        "SnapshotService/CreateSnapshot" => (base, Expect::NotFound),
        "SnapshotService/ListSnapshots" => (json!({}), Expect::Empty("snapshots")),
        "SnapshotService/DownloadSnapshot" => (json!({ "snapshotId": of.snapshot }), Expect::NotFound),
        "SnapshotService/RestoreSnapshot" => {
            (json!([{ "start": { "requestId": "back", "snapshotId": of.snapshot } }]), Expect::NotFound)
        }
        "SnapshotService/DeleteSnapshot" => (json!({ "snapshotId": of.snapshot }), Expect::NotFound),
        "IngestionService/Ingest" => {
            let start = json!({ "start": { "requestId": "up", "knowledgeBaseId": of.knowledge_base } });
            let document = json!({ "document": { "key": "a.md", "format": "DOCUMENT_FORMAT_MARKDOWN" } });
            (json!([start, document, { "content": "b3Zlcg==" }]), Expect::NotFound)
        }
        "IngestionService/IngestSource" => {
            let start = json!({
                "requestId": "fetch", "knowledgeBaseId": of.knowledge_base,
                "webPages": { "urls": ["http://127.0.0.1/"] },
            });
            (json!([{ "start": start }]), Expect::NotFound)
        }
        // The house has no provider, and this machine is not let through.
        "WebService/SearchWeb" => (json!({ "query": "alerts" }), Expect::Reason("WEB_SEARCH_NOT_CONFIGURED")),
        "WebService/FetchPage" => {
            (json!({ "url": "http://127.0.0.1/" }), Expect::Reason("WEB_ADDRESS_FORBIDDEN"))
        }
        "IngestionService/GetIngestion" => (ingestion, Expect::NotFound),
        "IngestionService/WatchIngestion" => (ingestion, Expect::NotFound),
        "IngestionService/CancelIngestion" => (ingestion, Expect::NotFound),
        "IngestionService/RetryIngestion" => {
            (json!({ "requestId": "again", "ingestionId": of.ingestion }), Expect::NotFound)
        }
        "IngestionService/ListIngestions" => (json!({}), Expect::Own),
        "IngestionService/ListIngestionDocuments" => (ingestion, Expect::NotFound),
        "SearchService/Search" => (
            json!({ "knowledgeBaseIds": [of.knowledge_base], "query": "temperature alerts", "skipCache": true }),
            Expect::NotFound,
        ),
        "SearchService/BatchSearch" => {
            let ids = [&of.knowledge_base];
            let search = json!({ "knowledgeBaseIds": ids, "query": "temperature alerts", "skipCache": true });
            (json!({ "searches": [search] }), Expect::Errors("results"))
        }
        "SearchService/ExplainSearch" => {
            let search = json!({ "knowledgeBaseIds": [of.knowledge_base], "query": "temperature alerts" });
            (json!({ "search": search, "passageId": of.passage }), Expect::NotFound)
        }
        "SearchService/GetPassage" => (json!({ "passageId": of.passage }), Expect::NotFound),
        _ => return None,
    })
}

fn learning_case(method: &str, of: &Things) -> Option<(Value, Expect)> {
    let brand = json!({ "brandId": of.brand });
    Some(match method.strip_prefix("learning.v1.")? {
        "BrandService/CreateBrand" => {
            (json!({ "requestId": "brand-of-mine", "brand": { "name": "Mine" } }), Expect::Own)
        }
        "BrandService/GetBrand" => (brand, Expect::NotFound),
        "BrandService/ListBrands" => (json!({}), Expect::Own),
        "BrandService/UpdateBrand" => {
            let brand = json!({ "brandId": of.brand, "name": "Taken over" });
            (json!({ "brand": brand, "updateMask": "name" }), Expect::NotFound)
        }
        "BrandService/GetBrandMetrics" => (brand, Expect::NotFound),
        "FeedbackService/RecordFeedback" => {
            let verdict = json!({ "requestId": "verdict", "runId": of.run, "kind": "FEEDBACK_KIND_APPROVE" });
            (verdict, Expect::Reason("OUTCOME_UNKNOWN"))
        }
        "FeedbackService/ListFeedback" => {
            (json!({ "brandId": of.brand, "runId": of.run }), Expect::Empty("feedback"))
        }
        "LessonService/FindLessons" => (
            json!({ "brandId": of.brand, "contentType": "CONTENT_TYPE_SOCIAL", "topic": "alerts" }),
            Expect::NotFound,
        ),
        "LessonService/ListLessons" => (brand, Expect::NotFound),
        "OutcomeService/GetOutcome" => (json!({ "runId": of.run }), Expect::NotFound),
        _ => return None,
    })
}

fn run_case(method: &str, of: &Things) -> Option<(Value, Expect)> {
    let run = json!({ "runId": of.run });
    Some(match method.strip_prefix("agent_orchestrator.v1.")? {
        "RunService/CreateRun" => {
            let spec = json!({
                "brandId": of.brand, "workflow": "content", "topic": "alerts", "contentType": "CONTENT_TYPE_SOCIAL",
                "knowledgeBaseIds": [of.knowledge_base],
            });
            (json!({ "requestId": "run-of-mine", "spec": spec }), Expect::NotFound)
        }
        "RunService/GetRun" => (run, Expect::NotFound),
        "RunService/ListRuns" => (json!({}), Expect::Empty("runs")),
        "RunService/WatchRun" => (run, Expect::NotFound),
        "RunService/CancelRun" => (run, Expect::NotFound),
        "GuardService/CheckGrounding" => {
            let source = json!({ "id": "mine", "text": "Alerts are sent." });
            (json!({ "text": "Alerts are sent.", "sources": [source] }), Expect::Own)
        }
        "GuardService/GetGuardPolicy" => (json!({}), Expect::Own),
        "GuardService/SetGuardPolicy" => {
            (json!({ "policy": { "mode": "GUARD_MODE_DETERMINISTIC" } }), Expect::Own)
        }
        "GuardService/RecordVerdicts" => {
            let verdict = json!({
                "claim": "Alerts are sent.", "guardVerdict": "VERDICT_SUPPORTED", "humanVerdict": "VERDICT_SUPPORTED",
            });
            (json!({ "requestId": "verdicts-of-mine", "verdicts": [verdict] }), Expect::Own)
        }
        "GuardService/GetCalibration" => (json!({}), Expect::Own),
        "GuardService/CheckRules" => {
            (json!({ "text": "Alerts.", "scope": "RULE_SCOPE_OUTPUT" }), Expect::Own)
        }
        "GuardService/Sanitize" => (json!({ "text": "Alerts.", "scope": "RULE_SCOPE_INPUT" }), Expect::Own),
        "RulePackService/CreateRulePack" => (json!({ "document": rule_pack("mine") }), Expect::Own),
        // What comes with the product is everybody's.
        "RulePackService/ListRulePacks" => (json!({}), Expect::Own),
        "RulePackService/GetRulePack" => (json!({ "packId": "theirs", "version": "1" }), Expect::NotFound),
        "RulePackService/ActivateRulePack" => {
            (json!({ "packId": "theirs", "version": "1" }), Expect::NotFound)
        }
        "RulePackService/DeactivateRulePack" => (json!({ "packId": "theirs" }), Expect::NotFound),
        _ => return None,
    })
}

/// A rule pack of this name with one rule.
fn rule_pack(id: &str) -> String {
    let rule = json!({
        "id": "no-loops", "kind": "words", "severity": "warn", "scope": ["output"], "message": "says loop",
        "terms": ["loop"],
    });
    let vector = json!({ "text": "A loop.", "scope": "output", "expect": ["no-loops"] });
    json!({ "id": id, "version": "1", "title": "Mine", "rules": [rule], "vectors": [vector] }).to_string()
}
