//! What is asked, and what follows from it and from the settings before anything is looked at.

use copydesk_guard::text::terms;
use copydesk_types::KnowledgeBaseId;

use crate::app::Desk;
use crate::config;
use crate::domain::fusion::Fusion;
use crate::domain::lens::Lens;
use crate::domain::quota::Quota;
use crate::domain::records::KnowledgeBase;
use crate::domain::source::{ContentType, KnowledgeBaseKind, SourceKind};
use crate::domain::upload::{Fault, Refusal};
use crate::domain::weights::{SearchWeights, Weights};
use crate::error::Error;

/// Which legs take part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// All, when they can.
    #[default]
    Any,
    /// Words alone.
    Lexical,
    /// All; without the dense leg the answer is degraded.
    Hybrid,
}

/// A second look by a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondLook {
    /// The model; empty: the router's first one.
    pub model: String,
    /// How many of the best it sees; never fewer than are wanted.
    pub candidates: usize,
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Query {
    /// Where to search; at least one.
    pub knowledge_bases: Vec<KnowledgeBaseId>,
    /// The question.
    pub text: String,
    /// Passages wanted; absent: by content type.
    pub top_k: Option<u32>,
    /// What will be written.
    pub content_type: ContentType,
    /// What it may see.
    pub lens: Lens,
    /// Which legs take part.
    pub mode: Mode,
    /// How they become one list.
    pub fusion: Fusion,
    /// What kinds of sources count.
    pub weights: Vec<(SourceKind, f64)>,
    /// Weights that the operator has named.
    pub intent: Option<String>,
    /// How many passages of kinds it wants.
    pub quotas: Vec<Quota>,
    /// How much relevance counts beside difference, 0 to 1; absent: difference does not.
    pub mmr: Option<f64>,
    /// A second look.
    pub second_look: Option<SecondLook>,
    /// Whether an answer from before will not do.
    pub skip_cache: bool,
}

impl Query {
    /// A plain question to these knowledge bases.
    pub fn new(knowledge_bases: Vec<KnowledgeBaseId>, text: impl Into<String>) -> Self {
        Self {
            knowledge_bases,
            text: text.into(),
            top_k: None,
            content_type: ContentType::Blog,
            lens: Lens::all(),
            mode: Mode::Any,
            fusion: Fusion::default(),
            weights: Vec::new(),
            intent: None,
            quotas: Vec::new(),
            mmr: None,
            second_look: None,
            skip_cache: false,
        }
    }
}

/// A query as it will be done.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub text: String,
    pub words: Vec<String>,
    pub wanted: usize,
    pub lens: Lens,
    pub mode: Mode,
    pub fusion: Fusion,
    /// What kinds count in every knowledge base, the strongest last.
    pub weights: Vec<(SourceKind, f64)>,
    pub quotas: Vec<Quota>,
    pub mmr: Option<f64>,
    pub second_look: Option<SecondLook>,
}

impl Plan {
    /// What counts in each of these knowledge bases.
    pub(super) fn weights(&self, bases: &[KnowledgeBase]) -> SearchWeights {
        let of = |base: &KnowledgeBase| by_default(base).with(self.weights.iter().copied());
        SearchWeights::new(bases.iter().map(of).collect())
    }
}

/// What counts in a knowledge base when nobody says anything.
fn by_default(base: &KnowledgeBase) -> Weights {
    match base.kind {
        KnowledgeBaseKind::General => Weights::neutral(),
        KnowledgeBaseKind::CodeRepository => Weights::code_repository(),
    }
}

impl Desk {
    /// # Errors
    /// `Refused` for an intent that is not configured and for quotas that are more than what is wanted.
    pub(super) fn plan(&self, query: &Query) -> Result<Plan, Error> {
        let wanted = query.top_k.unwrap_or_else(|| self.config.default_top_k(query.content_type)) as usize;
        let mut faults = Vec::new();
        let mut weights = Vec::new();
        if let Some(name) = &query.intent {
            match self.config.intents.get(name) {
                Some(intent) => weights = config::weights(intent),
                None => faults.push(Fault {
                    field: "intent".into(),
                    description: "is not configured: the operator names intents in `retrieval.intents`"
                        .into(),
                }),
            }
        }
        let owed: usize = query.quotas.iter().map(|quota| quota.at_least).sum();
        if owed > wanted {
            let description = format!("ask for {owed} passages at least, and {wanted} are wanted");
            faults.push(Fault { field: "source_quotas".into(), description });
        }
        if !faults.is_empty() {
            return Err(Refusal(faults).into());
        }
        weights.extend(query.weights.iter().copied());
        Ok(Plan {
            text: query.text.clone(),
            words: terms(&query.text),
            wanted,
            lens: query.lens.clone(),
            mode: query.mode,
            fusion: query.fusion,
            weights,
            quotas: query.quotas.clone(),
            mmr: query.mmr,
            second_look: query.second_look.clone(),
        })
    }
}
