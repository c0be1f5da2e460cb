//! What the demo prints at its end: for people, or as one JSON document with the same facts.
use copydesk_proto::agent_orchestrator::v1::{Run, RunResult, Step};
use copydesk_proto::types::v1::{Citation, SourceKind};
use copydesk_types::NanoDollars;
use serde_json::{Value, json};

use super::Story;
use super::tree::{Node, lines};
use crate::show::{self, count};

/// The report for people.
pub(super) fn text(story: &Story, tree: &[Node]) -> String {
    let mut out = format!(
        "\n{}: “{}”, from {} ({} kB, {})\n",
        story.brand,
        story.topic,
        count(story.documents, "document"),
        story.bytes / 1_000,
        count(story.chunks, "chunk")
    );
    piece(&mut out, "LinkedIn post", &story.post);
    piece(&mut out, "Blog article", &story.article);
    out.push_str(&format!("\n── What the feedback changed {}\n\n", "─".repeat(50)));
    out.push_str(&format!("  said of the post: “{}”\n", story.comment));
    for lesson in &story.lessons {
        out.push_str(&format!("  learned {}: {}\n", lesson.lesson_id, lesson.text));
    }
    let (before, after) = (words(&story.post), words(&story.second));
    let heeded = applied(&story.second);
    out.push_str(&format!("  the next post heeded {heeded}: {} became {after}\n\n", count(before, "word")));
    if let Some(result) = &story.second.result {
        text_and_safety(&mut out, result);
    }
    out.push_str(&format!("\n── The post's request, span by span {}\n\n", "─".repeat(43)));
    for line in lines(tree, true) {
        out.push_str(&format!("  {line}\n"));
    }
    out.push_str(&format!("\n── Timings {}\n\n", "─".repeat(68)));
    for (name, time) in &story.timings {
        out.push_str(&format!("  {name:<26} {:>7.0} ms\n", time.as_secs_f64() * 1e3));
    }
    out
}

fn piece(out: &mut String, title: &str, run: &Run) {
    let Some(result) = &run.result else { return };
    out.push_str(&format!("\n── {title} {}\n\n", "─".repeat(76usize.saturating_sub(title.len()))));
    text_and_safety(out, result);
    let degraded =
        if result.degraded { format!("; degraded: {}", result.degraded_reason) } else { String::new() };
    out.push_str(&format!(
        "\n  {} {:.1} of 10 · search {} · written by {}{degraded}\n",
        if by_rules(result) { "Review (by rules)" } else { "Review" },
        result.score,
        result.search_mode,
        result.models.join(", "),
    ));
    for revision in &result.revisions {
        for note in &revision.notes {
            out.push_str(&format!("    of {}: {}\n", revision.step, show::one_line(note)));
        }
    }
    out.push_str(&format!("\n  Steps of {}\n{}", run.run_id, show::steps(run)));
}

fn text_and_safety(out: &mut String, result: &RunResult) {
    out.push_str(&show::cited_text(result));
    if let Some(report) = &result.safety {
        out.push_str(&format!("\n  Safety\n{}", show::safety(report)));
    }
}

/// Whether no model took part: then the offline writer's rules gave the score.
fn by_rules(result: &RunResult) -> bool {
    !result.models.is_empty() && result.models.iter().all(|model| model.starts_with("offline/"))
}

/// The words of a run's text, without its hashtags.
pub(super) fn words(run: &Run) -> usize {
    run.result
        .as_ref()
        .map(|r| r.text.split_whitespace().filter(|w| !w.starts_with('#')).count())
        .unwrap_or_default()
}

fn applied(run: &Run) -> String {
    let lessons = run.result.iter().flat_map(|r| &r.lessons);
    let named: Vec<_> = lessons.map(|l| format!("{} (“{}”)", l.lesson_id, l.text)).collect();
    if named.is_empty() { "no lesson".to_owned() } else { named.join(" and ") }
}

/// The same facts for programs.
pub(super) fn json(story: &Story, tree: &[Node]) -> Value {
    let lessons = story.lessons.iter();
    json!({
        "brand": story.brand,
        "topic": story.topic,
        "ingested": { "documents": story.documents, "bytes": story.bytes, "chunks": story.chunks },
        "post": run_json(&story.post),
        "article": run_json(&story.article),
        "feedback": {
            "comment": story.comment,
            "lessons": lessons.map(|l| json!({ "lesson_id": l.lesson_id, "text": l.text })).collect::<Vec<_>>(),
        },
        "second_post": run_json(&story.second),
        "span_tree": tree.iter().map(node_json).collect::<Vec<_>>(),
        "timings_ms": story.timings.iter().map(|(name, time)| ((*name).to_owned(), json!(time.as_millis() as u64))).collect::<serde_json::Map<_, _>>(),
    })
}

/// A run as one JSON value.
pub(crate) fn run_json(run: &Run) -> Value {
    let result = run.result.clone().unwrap_or_default();
    let safety = result.safety.clone().unwrap_or_default();
    let usage = run.usage.unwrap_or_default();
    json!({
        "run_id": run.run_id,
        "state": run.state().as_str_name(),
        "error": run.error.as_ref().map(|e| json!({ "reason": e.reason, "message": e.message, "step": e.step })),
        "definition_version": run.definition_version,
        "title": result.title,
        "text": result.text,
        "hook": result.hook,
        "hashtags": result.hashtags,
        "caption": result.caption,
        "score": result.score,
        "sentences": result.sentences.iter().map(|s| json!({
            "text": s.span.as_ref().and_then(|span| result.text.get(span.start as usize..span.end as usize)),
            "verdict": s.verdict().as_str_name(),
            "risk": s.risk,
            "reasons": s.reasons,
            "citations": s.citations.iter().map(citation_json).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "safety": {
            "is_safe": safety.is_safe,
            "confidence": safety.confidence,
            "supported": safety.supported,
            "checked": safety.checked,
            "sentences": safety.sentences,
            "corrections": safety.corrections.iter().map(|c| json!({ "before": c.before, "after": c.after, "reason": c.reason })).collect::<Vec<_>>(),
            "violations": safety.violations.iter().map(|v| json!({ "rule": v.rule, "blocking": v.blocking, "message": v.message })).collect::<Vec<_>>(),
            "not_safe_reason": safety.not_safe_reason,
            "guard_version": safety.guard_version,
        },
        "revisions": result.revisions.iter().map(|r| json!({ "step": r.step, "score": r.score, "notes": r.notes, "text": r.text })).collect::<Vec<_>>(),
        "lessons": result.lessons.iter().map(|l| json!({ "lesson_id": l.lesson_id, "text": l.text })).collect::<Vec<_>>(),
        "models": result.models,
        "search_mode": result.search_mode,
        "degraded": result.degraded,
        "degraded_reason": result.degraded_reason,
        "cost_nanos": run.cost_nanos,
        "cost": NanoDollars(run.cost_nanos).to_string(),
        "usage": { "input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens, "estimated": usage.estimated },
        "steps": run.steps.iter().map(step_json).collect::<Vec<_>>(),
        "duration_ms": show::between_ms(run.create_time.as_ref(), run.finish_time.as_ref()),
        "trace_id": run.trace_id,
    })
}

fn citation_json(c: &Citation) -> Value {
    json!({
        "document_id": c.document_id,
        "document_version": c.document_version,
        "passage_id": c.passage_id,
        "title": c.title,
        "source_kind": SourceKind::try_from(c.source_kind).unwrap_or_default().as_str_name(),
        "start": c.span.as_ref().map(|s| s.start),
        "end": c.span.as_ref().map(|s| s.end),
        "quote": c.quote,
    })
}

fn step_json(step: &Step) -> Value {
    json!({
        "key": step.key,
        "agent": step.agent,
        "state": step.state().as_str_name(),
        "attempts": step.attempts,
        "duration_ms": show::between_ms(step.start_time.as_ref(), step.finish_time.as_ref()),
        "cost_nanos": step.cost_nanos,
        "summary": step.summary,
    })
}

fn node_json(node: &Node) -> Value {
    json!({
        "name": node.name,
        "kind": node.kind,
        "count": node.count,
        "duration_us": node.duration.as_micros() as u64,
        "children": node.children.iter().map(node_json).collect::<Vec<_>>(),
    })
}
