//! Hearing a judge model about the claims that the guard is uncertain of: what is remembered, what is asked, in one call,
//! and what came of it. Who calls the model is the caller's affair: a run remembers its calls by itself.

use copydesk_guard::Source;
use copydesk_guard::llm_judge::{Opinion, Question};
use copydesk_store::StoreError;
use copydesk_types::TenantId;

use super::App;
use crate::agents::judge;
use crate::domain::count;
use crate::domain::safety::JudgeNote;
use crate::ports::{ModelCall, ModelReply};

/// How long a judge's answer is remembered, in milliseconds: thirty days.
const REMEMBERED_MS: i64 = 30 * 24 * 3_600 * 1_000;

/// Why an answer is of no use.
pub(super) const BAD_FORM: &str = "the model's answer does not have the form asked for";

/// What is to be heard.
pub(crate) struct Docket {
    tenant: TenantId,
    known: Vec<(String, Opinion)>,
    /// Claims that nothing is known of, with the hashes of their questions.
    open: Vec<(String, String)>,
    asked: usize,
    /// The call that asks about all of them; `None` when everything is known.
    pub(crate) call: Option<ModelCall>,
}

impl Docket {
    /// A key under which a call outside of runs is made once only.
    pub(crate) fn request_id(&self) -> String {
        let mut hash = blake3::Hasher::new();
        self.open.iter().for_each(|(_, question)| {
            hash.update(question.as_bytes());
        });
        format!("judge/{}", &hash.finalize().to_hex()[..32])
    }
}

/// What came of it.
pub(crate) struct Hearing {
    /// By the claims' words.
    pub(crate) opinions: Vec<(String, Opinion)>,
    pub(crate) note: JudgeNote,
}

impl App {
    /// Looks up what is known of the questions, and prepares the call for the rest.
    pub(crate) async fn docket(
        &self,
        tenant: TenantId,
        mut questions: Vec<Question<'_>>,
        sources: &[Source<'_>],
    ) -> Result<Docket, StoreError> {
        questions.truncate(judge::MOST_CLAIMS);
        let asked = questions.len();
        let hashes: Vec<String> = questions.iter().map(|question| hash(question, sources)).collect();
        let mut remembered = self.ports.guard.opinions(tenant, &hashes).await?;
        let (mut known, mut open, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
        for (question, hash) in questions.into_iter().zip(hashes) {
            let text = question.text.to_owned();
            match remembered.remove(&hash) {
                Some(opinion) => known.push((text, opinion)),
                None => {
                    open.push((text, hash));
                    unknown.push(question);
                }
            }
        }
        let call = (!unknown.is_empty()).then(|| judge::judge(&unknown, sources));
        Ok(Docket { tenant, known, open, asked, call })
    }

    /// Puts the model's answer to what was known; `Err` is why there is none.
    pub(crate) async fn heard(
        &self,
        docket: Docket,
        reply: Option<Result<ModelReply, String>>,
    ) -> Result<Hearing, StoreError> {
        let remembered = docket.known.len();
        let mut hearing = Hearing {
            opinions: docket.known,
            note: JudgeNote {
                asked: count(docket.asked),
                remembered: count(remembered),
                judge_version: judge::AGENT.version.to_owned(),
                ..JudgeNote::default()
            },
        };
        let reply = match reply {
            None => return Ok(hearing),
            Some(Err(why)) => {
                hearing.note.error = why;
                return Ok(hearing);
            }
            Some(Ok(reply)) => reply,
        };
        hearing.note.cost_nanos = reply.cost_nanos;
        match opinions(reply, docket.open.len()) {
            Err(why) => hearing.note.error = why.to_owned(),
            Ok((model, opinions)) => {
                hearing.note.model = model;
                let given = docket.open.into_iter().zip(opinions);
                let given: Vec<_> = given.filter_map(|((text, hash), o)| Some((text, hash, o?))).collect();
                let now = self.now();
                let rows: Vec<_> = given.iter().map(|(_, hash, o)| (hash.clone(), o.clone())).collect();
                let forget = now.saturating_sub(REMEMBERED_MS);
                self.ports.guard.remember_opinions(docket.tenant, &rows, now, forget).await?;
                hearing.opinions.extend(given.into_iter().map(|(text, _, opinion)| (text, opinion)));
            }
        }
        Ok(hearing)
    }
}

/// A judge's answer with the name of its model. The offline writer composes; it does not judge.
pub(super) fn answer(reply: ModelReply) -> Result<(String, serde_json::Value), &'static str> {
    if reply.degraded.is_some() {
        return Err("no model that can judge is configured");
    }
    let answer = reply.structured.filter(|_| !reply.refused).ok_or("the model gave no answer")?;
    Ok((reply.model, answer))
}

/// The opinions in a reply with the name of their model.
fn opinions(reply: ModelReply, questions: usize) -> Result<(String, Vec<Option<Opinion>>), &'static str> {
    let (model, answer) = answer(reply)?;
    let opinions = judge::opinions(answer, questions).ok_or(BAD_FORM)?;
    Ok((model, opinions))
}

/// What an answer is remembered by: the judge's version, the claim and what it is shown of the sources.
fn hash(question: &Question<'_>, sources: &[Source<'_>]) -> String {
    let mut hash = blake3::Hasher::new();
    let mut part = |text: &str| {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    part(judge::AGENT.version);
    part(question.text);
    for source in question.sources.iter().filter_map(|place| sources.get(*place)) {
        part(judge::head(source.text));
    }
    hash.finalize().to_hex()[..32].to_owned()
}
