//! The check of a final text against the passages it was made from.
use copydesk_guard::llm_judge::{Opinion, Question, questions, settle};
use copydesk_guard::{Claim, Indexed, Report, Source, Thresholds, Verdict};
use serde::{Deserialize, Serialize};

use super::compose::Composed;
use super::count;
use super::passage::{Citation, Passage};

/// A text that went through the guard.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// What is left of it.
    pub text: String,
    /// The hook, if it is still there.
    pub hook: String,
    /// Hashtags with `#`.
    pub hashtags: Vec<String>,
    /// One line that sums it up; empty when none held.
    pub caption: String,
    /// Every sentence of the text, in order.
    pub sentences: Vec<CitedSentence>,
    /// The guard's word on the whole.
    pub report: Safety,
}

/// A sentence and where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CitedSentence {
    /// First byte in the text.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
    /// The guard's word.
    pub verdict: Verdict,
    /// Best first.
    pub citations: Vec<Citation>,
    /// Why it is not supported, for example `number_missing: 45 %`.
    pub reasons: Vec<String>,
    /// 0 to 1.
    pub risk: f64,
}

/// The guard's word on a text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Safety {
    /// True when it may be published, as far as its evidence goes.
    pub is_safe: bool,
    /// 0 to 1.
    pub confidence: f64,
    /// Claims that are supported.
    pub supported: u32,
    /// Claims that were checked.
    pub checked: u32,
    /// Sentences, claims or not.
    pub sentences: u32,
    /// What the guard changed.
    pub corrections: Vec<Correction>,
    /// Why it is not safe; empty when it is.
    pub not_safe_reason: String,
    /// Version of the guard.
    pub guard_version: String,
    /// What a judge model did; absent when none was asked.
    #[serde(default)]
    pub judge: Option<JudgeNote>,
}

/// What a judge model did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgeNote {
    /// `<provider>/<model>`; empty when every answer was known, and when there was none.
    pub model: String,
    /// Claims that it was asked about, remembered ones included.
    pub asked: u32,
    /// Answers that were remembered.
    pub remembered: u32,
    /// Answers that did not count.
    pub overruled: u32,
    /// Nano-dollars.
    pub cost_nanos: i64,
    /// Name and version of its prompt.
    pub judge_version: String,
    /// Why there is no answer; empty when there is one.
    pub error: String,
}

/// A change that the guard made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    /// The words before.
    pub before: String,
    /// The words after; empty when they were dropped.
    pub after: String,
    /// Why.
    pub reason: String,
}

/// A final text under examination.
pub struct Examination<'a> {
    composed: &'a Composed,
    caption: &'a str,
    passages: &'a [Passage],
    sources: Vec<Source<'a>>,
    indexed: Indexed<'a>,
    thresholds: Thresholds,
    /// The guard's word on the corrected text, before a judge is heard.
    report: Report,
}

impl<'a> Examination<'a> {
    /// Takes up a text.
    pub fn new(
        composed: &'a Composed,
        caption: &'a str,
        passages: &'a [Passage],
        thresholds: Thresholds,
    ) -> Self {
        let mut sources = sources(passages);
        sources.extend(titles(&composed.text, passages));
        let indexed = Indexed::new(&sources);
        let report = indexed.correct(&composed.text, &thresholds).report;
        Self { composed, caption, passages, sources, indexed, thresholds, report }
    }

    /// What a judge is to be asked, with so many sources a claim at most.
    pub fn questions(&self, most: usize) -> Vec<Question<'_>> {
        questions(&self.report, &self.sources, most)
    }

    /// What the questions' sources point into.
    pub fn sources(&self) -> &[Source<'a>] {
        &self.sources
    }

    /// Corrects what the passages do not bear out, drops what the judge flags and reports on what is left.
    pub fn close(self, opinions: &[(String, Opinion)], judge: Option<JudgeNote>) -> Checked {
        let Self { composed, caption, passages, sources, indexed, thresholds, report } = self;
        let overruled = settle(report, opinions, &sources, &thresholds).overruled.len();
        let judge = judge.map(|note| JudgeNote { overruled: count(overruled), ..note });
        let corrected = indexed.correct_by(&composed.text, &thresholds, opinions);
        let report = corrected.report;
        let sentences: Vec<CitedSentence> =
            report.claims.iter().map(|claim| cited(claim, passages)).collect();
        // Headings that are a document's title hold, but there are no words of a document to cite for them.
        let is_title = |(claim, cited): &(&Claim, &CitedSentence)| claim.verdict != cited.verdict;
        let as_titles = report.claims.iter().zip(&sentences).filter(is_title).count();
        let corrections = corrected.corrections.into_iter();
        let corrections =
            corrections.map(|c| Correction { before: c.before, after: c.after, reason: c.reason }).collect();
        let kept = corrected.text.starts_with(&composed.hook);
        Checked {
            hook: if kept { composed.hook.clone() } else { String::new() },
            hashtags: composed.hashtags.clone(),
            caption: safe_caption(caption, &indexed, &sentences, &corrected.text, &thresholds),
            sentences,
            report: Safety {
                is_safe: report.is_safe,
                confidence: report.confidence.clamp(0.0, 1.0),
                supported: count(report.supported.saturating_sub(as_titles)),
                checked: count(report.checked.saturating_sub(as_titles)),
                sentences: count(report.sentences),
                corrections,
                not_safe_reason: report.not_safe_reason.unwrap_or_default(),
                guard_version: report.guard_version,
                judge,
            },
            text: corrected.text,
        }
    }
}

/// What the guard held against a text, as notes for the writer.
pub fn objections(report: &Safety) -> Vec<String> {
    let note = |c: &Correction| {
        format!("The evidence does not bear out \"{}\" ({}). Leave it out.", c.before, c.reason)
    };
    let mut notes: Vec<String> = report.corrections.iter().map(note).collect();
    if notes.is_empty() && !report.is_safe {
        notes.push(format!(
            "The text was refused: {}. Keep to the words of the evidence.",
            report.not_safe_reason
        ));
    }
    notes
}

/// Passages as sources.
pub fn sources(passages: &[Passage]) -> Vec<Source<'_>> {
    passages.iter().map(|p| Source { id: &p.passage_id, text: &p.text }).collect()
}

/// The titles of documents that stand as headings in the text: a heading may carry a title that its passage lacks.
fn titles<'a>(text: &str, passages: &'a [Passage]) -> Vec<Source<'a>> {
    let headings: Vec<&str> =
        text.lines().filter(|l| l.starts_with('#')).map(|l| l.trim_start_matches('#').trim()).collect();
    let stands = |p: &&Passage| !p.title.is_empty() && headings.contains(&p.title.trim());
    passages.iter().filter(stands).map(|p| Source { id: &p.document_id, text: &p.title }).collect()
}

/// A claim with its citations. One that rests on a title alone is a heading: nothing to cite, nothing to check.
fn cited(claim: &Claim, passages: &[Passage]) -> CitedSentence {
    let citations = claim.evidence.iter();
    let citations: Vec<Citation> =
        citations.filter_map(|e| passages.get(e.source_index)?.cite(e.span.start, e.span.end)).collect();
    let title = claim.verdict == Verdict::Supported && citations.is_empty();
    let reasons = if claim.verdict == Verdict::Supported { &[][..] } else { &claim.reasons };
    CitedSentence {
        start: claim.span.start as u64,
        end: claim.span.end as u64,
        verdict: if title { Verdict::NotCheckable } else { claim.verdict },
        citations,
        reasons: reasons.iter().map(|r| format!("{}: {}", r.kind.name(), r.detail)).collect(),
        risk: if title { 0.0 } else { claim.risk.clamp(0.0, 1.0) },
    }
}

/// A caption is shown without citations, so it must hold; else the first supported sentence stands in for it.
fn safe_caption(
    caption: &str,
    sources: &Indexed<'_>,
    sentences: &[CitedSentence],
    text: &str,
    thresholds: &Thresholds,
) -> String {
    let caption = caption.trim();
    let holds = |c: &Claim| matches!(c.verdict, Verdict::Supported | Verdict::NotCheckable);
    if !caption.is_empty() && sources.check(caption, thresholds).claims.iter().all(holds) {
        return caption.to_owned();
    }
    let supported = sentences.iter().find(|s| s.verdict == Verdict::Supported);
    let words =
        supported.and_then(|s| text.get(usize::try_from(s.start).ok()?..usize::try_from(s.end).ok()?));
    words.map(|w| w.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::passage::Span;
    use super::*;

    fn passage() -> Passage {
        let text = "Kettle Works roasts every Tuesday. The grinder holds 250 grams of beans.";
        Passage {
            passage_id: "psg_1".into(),
            document_id: "doc_1".into(),
            span: Span { start: 40, end: 40 + text.len() as u64 },
            text: text.into(),
            ..Passage::default()
        }
    }

    fn examine(composed: &Composed, caption: &str, passages: &[Passage]) -> Checked {
        Examination::new(composed, caption, passages, Thresholds::default()).close(&[], None)
    }

    fn examined(text: &str, hook: &str, caption: &str) -> Checked {
        let composed = Composed { text: text.into(), hook: hook.into(), hashtags: vec!["#tea".into()] };
        examine(&composed, caption, &[passage()])
    }

    #[test]
    fn every_sentence_is_cited_with_the_documents_own_words() {
        let checked =
            examined("Kettle Works roasts every Tuesday.\n\nThe grinder holds 250 grams of beans.", "", "");
        assert!(checked.report.is_safe, "{:?}", checked.report);
        assert_eq!(checked.sentences.len(), 2);
        for sentence in &checked.sentences {
            assert_eq!(sentence.verdict, Verdict::Supported);
            let citation = &sentence.citations[0];
            let (start, end) = ((citation.span.start - 40) as usize, (citation.span.end - 40) as usize);
            assert_eq!(passage().text[start..end], citation.quote);
        }
        assert_eq!(
            checked.caption, "Kettle Works roasts every Tuesday.",
            "an empty caption is filled from the text"
        );
    }

    #[test]
    fn a_false_number_does_not_survive() {
        let checked = examined(
            "The grinder holds 900 grams of beans. Kettle Works roasts every Tuesday.",
            "",
            "It holds 900 grams.",
        );
        assert!(!checked.text.contains("900"), "{}", checked.text);
        assert_eq!(checked.report.corrections.len(), 1);
        assert!(!checked.caption.contains("900"), "{}", checked.caption);
        assert_eq!(objections(&checked.report).len(), 1);
    }

    #[test]
    fn a_dropped_hook_is_not_claimed() {
        let hook = "Zanzibar Corp made 81 million dollars.";
        let checked = examined(&format!("{hook}\n\nKettle Works roasts every Tuesday."), hook, "");
        assert_eq!(checked.hook, "");
        assert!(!checked.text.contains("Zanzibar"), "{}", checked.text);
    }

    #[test]
    fn a_documents_title_may_stand_as_a_heading() {
        let titled = Passage { title: "Issue 412: the hopper".into(), ..passage() };
        let text = "# Coffee\n\n## Issue 412: the hopper\n\nKettle Works roasts every Tuesday.";
        let composed = Composed { text: text.into(), ..Composed::default() };
        let checked = examine(&composed, "", &[titled]);
        assert_eq!(
            (checked.text.as_str(), checked.report.corrections.len()),
            (text, 0),
            "{:?}",
            checked.report
        );
        assert_eq!((checked.report.supported, checked.report.checked), (1, 1));
        let cited = checked.sentences.iter().filter(|s| !s.citations.is_empty()).count();
        assert_eq!(cited, 1, "{:?}", checked.sentences);
        let invented = Composed { text: text.replace("412", "413"), ..Composed::default() };
        assert!(!examine(&invented, "", &[passage()]).text.contains("413"), "a number that no title has");
    }

    #[test]
    fn without_evidence_nothing_is_safe() {
        let composed = Composed { text: "Kettle Works roasts every Tuesday.".into(), ..Composed::default() };
        let checked = examine(&composed, "", &[]);
        assert!(!checked.report.is_safe);
        assert!(!objections(&checked.report).is_empty());
    }
}
