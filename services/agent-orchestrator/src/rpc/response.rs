//! From domain values to responses.
use copydesk_guard::Verdict;
use copydesk_proto::agent_orchestrator::v1 as pb;
use pb::watch_run_response::Event as PbEvent;

use crate::adapters::convert::{citation, content_type, span, timestamp, usage};
use crate::app::watch_run::Notice;
use crate::domain::output::RuleViolation;
use crate::domain::result::{Revision, RunResult};
use crate::domain::run::{Event, Recorded, Run, RunError, RunState, Step, StepState};
use crate::domain::safety::{CitedSentence, Safety};
use crate::domain::spec::RunSpec;

pub(super) fn run(run: Run, steps: Vec<Step>) -> pb::Run {
    pb::Run {
        run_id: run.run_id.to_string(),
        spec: Some(spec(run.spec, run.deadline_ms)),
        state: state(run.state).into(),
        definition_version: run.definition,
        error: run.error.map(error),
        result: run.result.map(result),
        steps: steps.into_iter().map(step).collect(),
        cost_nanos: run.spent_nanos,
        usage: Some(usage(run.usage)),
        last_seq: run.last_seq,
        trace_id: run.trace_id,
        create_time: Some(timestamp(run.created_ms)),
        start_time: run.started_ms.map(timestamp),
        finish_time: run.finished_ms.map(timestamp),
    }
}

fn spec(spec: RunSpec, deadline_ms: i64) -> pb::RunSpec {
    pb::RunSpec {
        brand_id: spec.brand_id.to_string(),
        workflow: spec.workflow,
        topic: spec.topic,
        content_type: content_type(spec.content_type).into(),
        voice: spec.voice,
        tone: spec.tone,
        style: spec.style,
        audience: spec.audience,
        language: spec.language,
        budget_nanos: spec.budget_nanos,
        deadline: Some(timestamp(deadline_ms)),
        knowledge_base_ids: spec.knowledge_base_ids.iter().map(ToString::to_string).collect(),
        with_web: spec.with_web,
    }
}

fn state(state: RunState) -> pb::RunState {
    match state {
        RunState::Queued => pb::RunState::Queued,
        RunState::Running => pb::RunState::Running,
        RunState::Succeeded => pb::RunState::Succeeded,
        RunState::Failed => pb::RunState::Failed,
        RunState::Cancelled => pb::RunState::Cancelled,
    }
}

fn error(error: RunError) -> pb::RunError {
    pb::RunError { reason: error.reason, message: error.message, step: error.step }
}

fn step(step: Step) -> pb::Step {
    let state = match step.state {
        StepState::Ready => pb::StepState::Ready,
        StepState::Running => pb::StepState::Running,
        StepState::Done => pb::StepState::Done,
        StepState::Failed => pb::StepState::Failed,
        StepState::Cancelled => pb::StepState::Cancelled,
    };
    pb::Step {
        key: step.key.to_string(),
        agent: step.key.agent().to_owned(),
        state: state.into(),
        attempts: step.attempts,
        start_time: step.started_ms.map(timestamp),
        finish_time: step.finished_ms.map(timestamp),
        cost_nanos: step.cost_nanos,
        summary: step.summary,
    }
}

fn result(result: RunResult) -> pb::RunResult {
    let lesson =
        |l: crate::domain::result::AppliedLesson| pb::AppliedLesson { lesson_id: l.lesson_id, text: l.text };
    pb::RunResult {
        text: result.text,
        title: result.title,
        hook: result.hook,
        hashtags: result.hashtags,
        caption: result.caption,
        score: result.score,
        sentences: result.sentences.into_iter().map(sentence).collect(),
        safety: Some(safety(result.safety, result.violations)),
        revisions: result.revisions.into_iter().map(revision).collect(),
        lessons: result.lessons.into_iter().map(lesson).collect(),
        degraded: result.made_by.degraded.is_some(),
        degraded_reason: result.made_by.degraded.unwrap_or_default(),
        search_mode: result.search_mode,
        models: result.made_by.models,
    }
}

fn sentence(sentence: CitedSentence) -> pb::SentenceCitation {
    pb::SentenceCitation {
        span: Some(span(sentence.start, sentence.end)),
        verdict: verdict(sentence.verdict).into(),
        citations: sentence.citations.into_iter().map(citation).collect(),
        reasons: sentence.reasons,
        risk: sentence.risk,
    }
}

pub(super) fn verdict(verdict: Verdict) -> pb::Verdict {
    match verdict {
        Verdict::Supported => pb::Verdict::Supported,
        Verdict::Contradicted => pb::Verdict::Contradicted,
        Verdict::Unsupported => pb::Verdict::Unsupported,
        Verdict::Uncertain => pb::Verdict::Uncertain,
        Verdict::NotCheckable => pb::Verdict::NotCheckable,
    }
}

fn safety(safety: Safety, violations: Vec<RuleViolation>) -> pb::SafetyReport {
    let correction = |c: crate::domain::safety::Correction| pb::Correction {
        before: c.before,
        after: c.after,
        reason: c.reason,
    };
    let violation = |v: RuleViolation| pb::RuleViolation {
        rule: v.rule,
        blocking: v.blocking,
        span: Some(span(v.start, v.end)),
        message: v.message,
    };
    let judge = safety.judge.unwrap_or_default();
    pb::SafetyReport {
        is_safe: safety.is_safe,
        confidence: safety.confidence,
        supported: safety.supported,
        checked: safety.checked,
        sentences: safety.sentences,
        corrections: safety.corrections.into_iter().map(correction).collect(),
        violations: violations.into_iter().map(violation).collect(),
        not_safe_reason: safety.not_safe_reason,
        guard_version: safety.guard_version,
        judge_model: judge.model,
        judged: judge.asked,
        judge_error: judge.error,
    }
}

fn revision(revision: Revision) -> pb::Revision {
    pb::Revision {
        step: revision.step.to_string(),
        text: revision.text,
        score: revision.score,
        notes: revision.notes,
        chosen: revision.chosen,
    }
}

pub(super) fn notice(notice: Notice) -> pb::WatchRunResponse {
    match notice {
        Notice::Event(recorded) => event(recorded),
        Notice::Delta { seq, at_ms, step, attempt, offset, text } => {
            let delta = pb::DraftDelta { step: step.to_string(), attempt, offset, text };
            watched(seq, at_ms, PbEvent::DraftDelta(delta))
        }
        Notice::Heartbeat { seq, at_ms } => watched(seq, at_ms, PbEvent::Heartbeat(pb::Heartbeat {})),
    }
}

fn event(recorded: Recorded) -> pb::WatchRunResponse {
    let event = match recorded.event {
        Event::StateChanged { state: to, error: why } => {
            PbEvent::StateChanged(pb::RunStateChanged { state: state(to).into(), error: why.map(error) })
        }
        Event::StepStarted { step, attempt } => PbEvent::StepStarted(pb::StepStarted {
            step: step.to_string(),
            agent: step.agent().to_owned(),
            attempt,
        }),
        Event::StepFinished { step, summary, cost_nanos, duration_ms } => {
            PbEvent::StepFinished(pb::StepFinished {
                step: step.to_string(),
                agent: step.agent().to_owned(),
                summary,
                cost_nanos,
                duration_ms,
            })
        }
        Event::StepFailed { step, attempt, reason, will_retry } => PbEvent::StepFailed(pb::StepFailed {
            step: step.to_string(),
            agent: step.agent().to_owned(),
            attempt,
            reason,
            will_retry,
        }),
    };
    watched(recorded.seq, recorded.at_ms, event)
}

fn watched(seq: u64, at_ms: i64, event: PbEvent) -> pb::WatchRunResponse {
    pb::WatchRunResponse { seq, time: Some(timestamp(at_ms)), event: Some(event) }
}
