//! An article: a title of the topic, an introduction, a section for each document or theme, and an end.
use std::collections::BTreeMap;

use copydesk_guard::text;

use super::evidence::Sentence;
use super::rank::{Scored, pick};
use super::rules::{Opening, Rules, count};
use super::{Desk, answer, headings, phrasing, short, tally};

/// The most words of an article, and how many it aims at.
const MOST: usize = 880;
const AIM: usize = 700;

/// How many sections at most, and how many words make one worth a heading.
const SECTIONS: usize = 5;
const SECTION_WORDS: usize = 110;

/// From how many sections on an article has an end of its own, and how many sentences on average make headings useful.
const ENDED: usize = 3;
const HEADED: usize = 2;

/// From how many sentences on a paragraph is closed where its source closes one, and where it ends at the latest.
const PARAGRAPH: std::ops::RangeInclusive<usize> = 2..=5;

/// The heading of the end.
const ENDING: &str = "In short";

struct Section<'a> {
    heading: String,
    sentences: Vec<&'a Sentence>,
}

/// Writes an article.
pub(super) fn write(desk: &Desk<'_>) -> String {
    let rules = &desk.rules;
    let ranked = desk.ranked();
    let title = Some(phrasing::title(&desk.query)).filter(|title| rules.allow(title));
    let limit = rules.words(MOST);
    let mut room = limit.saturating_sub(title.as_deref().map_or(0, count));
    let asks_first = rules.opening == Some(Opening::Question);
    let questions = if asks_first {
        phrasing::opening(&desk.query)
    } else {
        phrasing::closing(&desk.query).into_iter().collect()
    };
    let question = questions.into_iter().filter(|q| rules.allow(q)).find(|q| count(q) * 4 <= room);
    room -= question.as_deref().map_or(0, count);
    let Some(hook) = hook(&ranked, rules, room) else {
        return answer::nothing(&desk.query);
    };

    let plan = choose(&ranked, hook, room.min(AIM));
    let mut used = plan.iter().map(|s| s.sentence.words).sum::<usize>();
    let Plan { intro, body, end } = split(&plan, &desk.query);
    let mut parts: Vec<String> = title.map(|title| format!("# {title}")).into_iter().collect();
    let (before, after) = if asks_first { (question, None) } else { (None, question) };
    parts.extend(before);
    parts.push(short::join(&intro));
    parts.extend(sections(&body, desk, room, &mut used));
    if let Some(end) = end {
        parts.extend(headline(ENDING, rules, room, &mut used));
        parts.push(end.text.clone());
    }
    parts.extend(after);
    parts.join("\n\n")
}

fn hook<'a>(ranked: &[Scored<'a>], rules: &Rules, room: usize) -> Option<Scored<'a>> {
    let named: Vec<Scored<'a>> = ranked.iter().copied().filter(|s| short::named(s.sentence)).collect();
    short::hook(&named, rules, room).or_else(|| short::hook(ranked, rules, room))
}

/// The sentences of the article: the hook first, then the best of the best themes.
fn choose<'a>(ranked: &[Scored<'a>], hook: Scored<'a>, room: usize) -> Vec<Scored<'a>> {
    let themes = themes(ranked);
    let wanted = (room / SECTION_WORDS).clamp(1, SECTIONS);
    let share = room / wanted.min(themes.len().max(1));
    let mut chosen = vec![hook];
    let mut words = hook.sentence.words;
    let mut per_theme: BTreeMap<Theme, usize> = BTreeMap::new();
    let kept: Vec<Theme> = themes.into_iter().take(wanted).collect();
    pick(ranked, &mut chosen, |candidate, _| {
        let theme = theme(ranked, candidate.sentence);
        let held = per_theme.entry(theme.clone()).or_default();
        let size = candidate.sentence.words;
        let fits = kept.contains(&theme) && words + size <= room && *held + size <= share + SECTION_WORDS / 4;
        if fits {
            words += size;
            *held += size;
        }
        fits
    });
    chosen
}

/// A document; or, where all is from one or two documents, a heading of one.
type Theme = (String, Option<String>);

fn theme(ranked: &[Scored<'_>], sentence: &Sentence) -> Theme {
    let first = ranked.first().map(|s| s.sentence.document.as_str());
    let second = ranked.iter().map(|s| s.sentence.document.as_str()).find(|d| Some(*d) != first);
    let many = ranked
        .iter()
        .any(|s| Some(s.sentence.document.as_str()) != first && Some(s.sentence.document.as_str()) != second);
    (sentence.document.clone(), if many { None } else { presentable(sentence) })
}

fn presentable(sentence: &Sentence) -> Option<String> {
    sentence.heading.as_deref().and_then(|heading| headings::of_passage(heading, sentence.kind))
}

/// The themes, the richest first; equals in the order of their best sentence.
fn themes(ranked: &[Scored<'_>]) -> Vec<Theme> {
    let mut found: Vec<(Theme, Vec<f64>)> = Vec::new();
    for scored in ranked {
        let theme = theme(ranked, scored.sentence);
        match found.iter_mut().find(|(t, _)| *t == theme) {
            Some((_, scores)) => scores.push(scored.score),
            None => found.push((theme, vec![scored.score])),
        }
    }
    // A theme of one good sentence makes no section; five good ones count, more do not.
    let worth = |scores: &[f64]| scores.iter().take(5).sum::<f64>();
    found.sort_by(|a, b| worth(&b.1).total_cmp(&worth(&a.1)));
    found.into_iter().map(|(theme, _)| theme).collect()
}

/// Which sentence goes where.
struct Plan<'a> {
    intro: Vec<&'a Sentence>,
    body: Vec<Scored<'a>>,
    end: Option<&'a Sentence>,
}

/// The introduction: the hook and the strongest sentence after it. The end: the next that can stand there. Both only
/// where enough is left, and an end only after sections.
fn split<'a>(plan: &[Scored<'a>], query: &str) -> Plan<'a> {
    let mut intro: Vec<&Sentence> = plan.first().map(|s| s.sentence).into_iter().collect();
    let mut body: Vec<Scored<'a>> = plan.iter().skip(1).copied().collect();
    let mut end = None;
    if body.len() > 4
        && let Some(at) = body.iter().position(|s| short::named(s.sentence))
    {
        intro.push(body.remove(at).sentence);
    }
    let sections = group(&body, query).len();
    if body.len() > 8 && sections >= ENDED && body.len() > sections * HEADED {
        let strong = |s: &Scored<'_>| !s.sentence.numbers.is_empty() && short::named(s.sentence);
        end = body.iter().position(strong).map(|at| body.remove(at).sentence);
    }
    Plan { intro, body, end }
}

/// The sections as Markdown blocks, with headings where there is enough under them and room for them.
fn sections(body: &[Scored<'_>], desk: &Desk<'_>, room: usize, used: &mut usize) -> Vec<String> {
    let sections = group(body, &desk.query);
    let headed = sections.len() > 1 && body.len() >= sections.len() * HEADED;
    let mut parts = Vec::new();
    for section in &sections {
        if headed {
            parts.extend(headline(&section.heading, &desk.rules, room, used));
        }
        parts.extend(paragraphs(&section.sentences).iter().map(|p| short::join(p)));
    }
    parts
}

/// A heading, if there is room for it and no rule against it.
fn headline(heading: &str, rules: &Rules, room: usize, used: &mut usize) -> Option<String> {
    let size = count(heading);
    let fits = !heading.is_empty() && rules.allow(heading) && *used + size <= room;
    *used += if fits { size } else { 0 };
    fits.then(|| format!("## {heading}"))
}

fn grouped<'a>(body: &[Scored<'a>]) -> Vec<(Theme, Vec<&'a Sentence>)> {
    let mut themes: Vec<(Theme, Vec<&'a Sentence>)> = Vec::new();
    for scored in body {
        let theme = theme(body, scored.sentence);
        match themes.iter_mut().find(|(t, _)| *t == theme) {
            Some((_, held)) => held.push(scored.sentence),
            None => themes.push((theme, vec![scored.sentence])),
        }
    }
    themes
}

/// The sections, each heading once.
fn group<'a>(body: &[Scored<'a>], query: &str) -> Vec<Section<'a>> {
    let mut themes = grouped(body);
    // A lone sentence is no section: it goes to the end.
    let largest = themes.iter().map(|(_, held)| held.len()).max().unwrap_or(0);
    themes.sort_by_key(|(_, held)| held.len() == 1 && largest > 1);
    let mut sections: Vec<Section<'a>> = Vec::new();
    for (_, mut sentences) in themes {
        sentences.sort_by_key(|s| s.position);
        let heading = heading(&sentences, query);
        match sections.iter_mut().find(|section| section.heading == heading) {
            Some(section) => section.sentences.extend(sentences),
            None => sections.push(Section { heading, sentences }),
        }
    }
    sections
}

/// The heading that all sentences stand under in their document, else the document's title, else a word of the topic.
fn heading(sentences: &[&Sentence], query: &str) -> String {
    let Some(first) = sentences.first() else { return String::new() };
    let shared = presentable(first).filter(|h| sentences.iter().all(|s| presentable(s).as_ref() == Some(h)));
    let title = shared.or_else(|| headings::of_title(&first.title));
    let asked = text::terms(query);
    let topic = || {
        let words = tally::words(sentences.iter().map(|s| s.text.as_str()));
        words.into_iter().find(|word| asked.contains(&word.stems)).map(|word| phrasing::title(&word.surface))
    };
    title.or_else(topic).unwrap_or_default()
}

fn paragraphs<'a>(sentences: &[&'a Sentence]) -> Vec<Vec<&'a Sentence>> {
    let mut found: Vec<Vec<&'a Sentence>> = Vec::new();
    for sentence in sentences {
        match found.last_mut() {
            Some(open) if stays(open, sentence) => open.push(sentence),
            _ => found.push(vec![sentence]),
        }
    }
    found
}

fn stays(open: &[&Sentence], next: &Sentence) -> bool {
    let same = open.last().is_some_and(|last| last.paragraph == next.paragraph);
    open.len() < *PARAGRAPH.end() && (same || open.len() < *PARAGRAPH.start())
}
