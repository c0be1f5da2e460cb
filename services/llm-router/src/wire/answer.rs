//! Answers, as the contract has them.
use copydesk_proto::llm_router::v1 as pb;
use copydesk_proto::types::v1 as types;

use super::analyses::results;
use super::json;
use super::routing::{decision, tier};
use crate::domain::{Answer, Attempt, Completion, StopReason, ToolCall, Usage, split};

/// An answer as the contract has it.
///
/// `analyses` are the names of the analyses that were asked for; the answer is taken apart by them.
pub fn answer(answer: Answer, analyses: &[String]) -> pb::GenerateResponse {
    let parts = answer.structured.as_ref().filter(|_| !analyses.is_empty());
    let parts = parts.map(|whole| split(whole, analyses)).unwrap_or_default();
    pb::GenerateResponse {
        text: answer.text,
        structured: answer.structured.map(json::to_struct),
        completion: Some(completion(answer.completion)),
        tool_calls: answer.tool_calls.into_iter().map(tool_call).collect(),
        reasoning: answer.reasoning,
        analyses: results(parts),
    }
}

/// A tool call as the contract has it.
pub fn tool_call(call: ToolCall) -> pb::ToolCall {
    pb::ToolCall { id: call.id, name: call.name, arguments: Some(json::to_struct(call.arguments)) }
}

/// How an answer came to be, as the contract has it.
pub fn completion(completion: Completion) -> pb::Completion {
    let stop_reason = match completion.stop_reason {
        StopReason::Unspecified => pb::StopReason::Unspecified,
        StopReason::End => pb::StopReason::End,
        StopReason::Length => pb::StopReason::Length,
        StopReason::Refusal => pb::StopReason::Refusal,
        StopReason::ToolCalls => pb::StopReason::ToolCalls,
    };
    pb::Completion {
        model: completion.model,
        provider: completion.provider,
        stop_reason: stop_reason.into(),
        usage: Some(usage(completion.usage)),
        cost_nanos: completion.cost.0,
        price_version: completion.price_version,
        attempts: completion.attempts.into_iter().map(attempt).collect(),
        degraded: completion.degraded_reason.is_some(),
        degraded_reason: completion.degraded_reason.unwrap_or_default(),
        latency_us: completion.latency_us,
        replayed: completion.replayed,
        tier: tier(completion.tier).into(),
        decision: completion.decision.map(decision),
        cached: completion.cached,
        overhead_us: completion.overhead_us,
        queued_us: completion.queued_us,
        first_token_us: completion.first_token_us,
        budget_warnings: completion.budget_warnings,
    }
}

fn attempt(attempt: Attempt) -> pb::Attempt {
    pb::Attempt {
        model: attempt.model,
        outcome: attempt.outcome.as_str().to_owned(),
        latency_us: attempt.latency_us,
        cost_nanos: attempt.cost.0,
        usage: Some(usage(attempt.usage)),
        upstream_status: attempt.upstream_status.into(),
        tier: tier(attempt.tier).into(),
        started_us: attempt.started_us,
        hedge: attempt.hedge,
    }
}

pub(super) fn usage(usage: Usage) -> types::TokenUsage {
    types::TokenUsage {
        input_tokens: usage.input,
        cached_input_tokens: usage.cached_input,
        output_tokens: usage.output,
        estimated: usage.estimated,
    }
}
