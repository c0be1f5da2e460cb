//! Results as text for people.
use copydesk_proto::agent_orchestrator::v1::{Run, RunResult, RunState, SafetyReport, Verdict};
use copydesk_proto::types::v1::Citation;
use copydesk_types::NanoDollars;

/// The width of a line where nobody knows better.
const WIDTH: usize = 100;

/// A number with its noun: `1 document`, `0 documents`.
pub(crate) fn count(number: impl TryInto<u64>, noun: &str) -> String {
    match number.try_into() {
        Ok(1) => format!("1 {noun}"),
        Ok(number) => format!("{number} {noun}s"),
        Err(_) => format!("many {noun}s"),
    }
}

/// How a run that did not succeed stands, in plain words.
pub(crate) fn ending(run: &Run) -> String {
    let error = run.error.clone().unwrap_or_default();
    let words = format!("{} {}", error.reason, error.message);
    match run.state() {
        RunState::Failed => format!("failed: {}", words.trim()),
        RunState::Cancelled if words.trim().is_empty() => "cancelled".to_owned(),
        RunState::Cancelled => format!("cancelled: {}", words.trim()),
        RunState::Queued => "queued".to_owned(),
        RunState::Running => "still at work".to_owned(),
        RunState::Succeeded => "done".to_owned(),
        RunState::Unspecified => "in a state that this program does not know".to_owned(),
    }
}

/// The text with a number at the end of every sentence that has a source, and the sources below it.
pub(crate) fn cited_text(result: &RunResult) -> String {
    let mut sources: Vec<&Citation> = Vec::new();
    let (mut text, mut at) = (String::new(), 0usize);
    for sentence in &result.sentences {
        let Some(span) = &sentence.span else { continue };
        let end = span.end as usize;
        let Some(words) = result.text.get(at..end) else { continue };
        text.push_str(words);
        at = end;
        let mut numbers = Vec::new();
        for citation in &sentence.citations {
            let known =
                sources.iter().position(|s| s.document_id == citation.document_id && s.span == citation.span);
            numbers.push(known.unwrap_or_else(|| {
                sources.push(citation);
                sources.len() - 1
            }));
        }
        for number in numbers {
            text.push_str(&format!(" [{}]", number + 1));
        }
        if sentence.verdict() == Verdict::Uncertain {
            text.push_str(" [?]");
        }
    }
    text.push_str(result.text.get(at..).unwrap_or_default());
    let mut out = wrap(&text, "  ");
    out.push_str("\n\n  Sources\n");
    for (i, source) in sources.iter().enumerate() {
        let span = source.span.as_ref().map(|s| format!("{}–{}", s.start, s.end)).unwrap_or_default();
        out.push_str(&format!("  [{}] {}, bytes {span}\n", i + 1, source.title));
        out.push_str(&format!("{}\n", wrap(&format!("“{}”", one_line(&source.quote)), "      ")));
    }
    out
}

/// The safety report in a few lines.
pub(crate) fn safety(report: &SafetyReport) -> String {
    let verdict = if report.is_safe { "safe" } else { "NOT SAFE" };
    let mut out = format!(
        "  {verdict}, confidence {:.2}: {} of {} supported, {} read, {}, {} broken ({})\n",
        report.confidence,
        report.supported,
        count(report.checked, "claim"),
        count(report.sentences, "sentence"),
        count(report.corrections.len(), "correction"),
        count(report.violations.len(), "rule"),
        report.guard_version,
    );
    for c in &report.corrections {
        let after = if c.after.is_empty() {
            "dropped".to_owned()
        } else {
            format!("→ “{}”", one_line(&c.after))
        };
        out.push_str(&format!("    corrected: “{}” {after} ({})\n", one_line(&c.before), c.reason));
    }
    for v in &report.violations {
        out.push_str(&format!("    {}: {}\n", v.rule, v.message));
    }
    if !report.not_safe_reason.is_empty() {
        out.push_str(&format!("    why: {}\n", report.not_safe_reason));
    }
    out
}

/// Who did what, how long it took, what it cost.
pub(crate) fn steps(run: &Run) -> String {
    let mut out = String::new();
    for step in &run.steps {
        let ms = between_ms(step.start_time.as_ref(), step.finish_time.as_ref());
        out.push_str(&format!("  {:<12} {:<16} {ms:>6} ms  {}\n", step.agent, step.key, step.summary));
    }
    let total = between_ms(run.create_time.as_ref(), run.finish_time.as_ref());
    let usage = run.usage.unwrap_or_default();
    out.push_str(&format!(
        "  {:<12} {:<16} {total:>6} ms  {}, {} in, {} out{}\n",
        "total",
        "",
        NanoDollars(run.cost_nanos),
        count(usage.input_tokens, "token"),
        usage.output_tokens,
        if usage.estimated { " (counted by us)" } else { "" },
    ));
    out
}

/// Milliseconds from one time to another; 0 when either is missing.
pub(crate) fn between_ms(from: Option<&prost_types::Timestamp>, to: Option<&prost_types::Timestamp>) -> i64 {
    match (from, to) {
        (Some(a), Some(b)) => (b.seconds - a.seconds) * 1_000 + i64::from(b.nanos - a.nanos) / 1_000_000,
        _ => 0,
    }
}

pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Breaks lines at blanks; the text's own line breaks stay.
pub(crate) fn wrap(text: &str, indent: &str) -> String {
    wrap_to(crate::out::width().unwrap_or(WIDTH), text, indent)
}

fn wrap_to(width: usize, text: &str, indent: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut current = String::new();
        for word in line.split(' ') {
            let room = width.saturating_sub(indent.chars().count());
            if !current.is_empty() && current.chars().count() + 1 + word.chars().count() > room {
                lines.push(format!("{indent}{current}"));
                current.clear();
            }
            if !current.is_empty() {
                current.push(' ');
            }
            current.push_str(word);
        }
        lines.push(if current.is_empty() { String::new() } else { format!("{indent}{current}") });
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use copydesk_proto::agent_orchestrator::v1::{RunError, SentenceCitation};
    use copydesk_proto::types::v1::Span;

    #[test]
    fn numbers_agree_with_their_nouns() {
        assert_eq!([0, 1, 2].map(|n| count(n, "rule")), ["0 rules", "1 rule", "2 rules"]);
        let said =
            safety(&SafetyReport { is_safe: true, supported: 1, checked: 1, ..SafetyReport::default() });
        assert!(said.contains("1 of 1 claim supported, 0 sentences read, 0 corrections"), "{said}");
    }

    #[test]
    fn lines_are_as_wide_as_wanted() {
        let text = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen";
        for width in [20, 60] {
            let wrapped = wrap_to(width, text, "    ");
            assert!(wrapped.lines().all(|line| line.starts_with("    ") && line.len() <= width), "{wrapped}");
            assert_eq!(one_line(&wrapped), text);
        }
    }

    #[test]
    fn a_failed_run_says_so_in_plain_words() {
        let error = RunError {
            reason: "NOT_SAFE".to_owned(),
            message: "a claim has no source".to_owned(),
            ..RunError::default()
        };
        let run = Run { state: RunState::Failed.into(), error: Some(error), ..Run::default() };
        assert_eq!(ending(&run), "failed: NOT_SAFE a claim has no source");
        let run = Run { state: RunState::Cancelled.into(), ..Run::default() };
        assert_eq!(ending(&run), "cancelled");
    }

    #[test]
    fn every_source_has_one_number() {
        let citation = Citation {
            title: "Guide".to_owned(),
            quote: "A is 1.".to_owned(),
            span: Some(Span { start: 0, end: 7 }),
            ..Citation::default()
        };
        let sentence = |start, end| SentenceCitation {
            span: Some(Span { start, end }),
            verdict: Verdict::Supported.into(),
            citations: vec![citation.clone()],
            ..SentenceCitation::default()
        };
        let result = RunResult {
            text: "A is 1.\n\nA is one.".to_owned(),
            sentences: vec![sentence(0, 7), sentence(9, 18)],
            ..RunResult::default()
        };
        let shown = cited_text(&result);
        assert!(shown.contains("A is 1. [1]\n\n  A is one. [1]"), "{shown}");
        assert_eq!(shown.matches("Guide").count(), 1);
    }
}
