//! Word documents: headings by their styles, lists, tables, footnotes; what was deleted under review is left out.

use super::Parser;
use crate::domain::reading::archive::{Archive, Step, attribute, walk};
use crate::domain::reading::draft::{Draft, line};
use crate::domain::reading::{ReadFailure, ReadLimits, Reading, Signals};
use crate::domain::source::Format;

/// This parser.
pub const ENTRY: Parser =
    Parser { format: Format::Docx, summary: "Word: headings, lists, tables, notes", apart: true, parse };

fn parse(bytes: &[u8], limits: &ReadLimits) -> Result<Reading, ReadFailure> {
    let mut archive = Archive::open(bytes, limits)?;
    let mut draft = Draft::new(limits);
    draft.begin_page()?;
    let document = archive
        .text("word/document.xml")?
        .ok_or_else(|| ReadFailure::unreadable("has no part word/document.xml"))?;
    if let Some(title) = core_title(&mut archive)? {
        draft.title(&title);
    }
    let mut body = Body::default();
    walk(&document, |step| body.step(step, &mut draft))?;
    for notes in ["word/footnotes.xml", "word/endnotes.xml"] {
        if let Some(notes) = archive.text(notes)? {
            let mut body = Body::default();
            walk(&notes, |step| body.step(step, &mut draft))?;
        }
    }
    let signals = Signals { tables: body.written, columns: 1, ..Signals::default() };
    draft.end_page(signals, Vec::new());
    let mut reading = draft.finish();
    reading.pages.iter_mut().for_each(|page| page.path = page.path.without_picture());
    Ok(reading)
}

/// The title in an Office document's properties.
pub(super) fn core_title(archive: &mut Archive<'_>) -> Result<Option<String>, ReadFailure> {
    let Some(core) = archive.text("docProps/core.xml")? else { return Ok(None) };
    let (mut title, mut inside) = (String::new(), false);
    walk(&core, |step| {
        match step {
            Step::Open(name, _) => inside = name == "title",
            Step::Close(_) => inside = false,
            Step::Text(text) if inside => title.push_str(&text),
            Step::Text(_) => {}
        }
        Ok(())
    })?;
    Ok((!title.trim().is_empty()).then_some(title))
}

/// The body while it is walked through.
#[derive(Default)]
struct Body {
    words: String,
    heading: usize,
    /// The level of the item that the paragraph is, from 1; 0 for none.
    item: usize,
    after_item: bool,
    /// Depth of tables; only the outermost is one, what is in its cells is words.
    tables: usize,
    rows: Vec<Vec<String>>,
    /// Depth of what is not text: deleted words, instructions of fields, alternative contents.
    silent: usize,
    /// True between the ends of a run's text.
    text: bool,
    written: usize,
}

/// Elements whose words are not the document's: the second of two alternatives, too.
const SILENT: [&str; 4] = ["del", "instrText", "delText", "Fallback"];

impl Body {
    fn step(&mut self, step: Step, draft: &mut Draft) -> Result<(), ReadFailure> {
        match step {
            Step::Open(name, attributes) => self.open(&name, &attributes),
            Step::Close(name) => return self.close(&name, draft),
            Step::Text(text) if self.text && self.silent == 0 => self.words.push_str(&text),
            Step::Text(_) => {}
        }
        Ok(())
    }

    fn open(&mut self, name: &str, attributes: &[(String, String)]) {
        match name {
            _ if SILENT.contains(&name) => self.silent += 1,
            "t" => self.text = true,
            "tab" => self.words.push(' '),
            "br" | "cr" => self.words.push('\n'),
            "pStyle" => self.style(attribute(attributes, "val").unwrap_or_default()),
            "outlineLvl" => {
                let level = attribute(attributes, "val").and_then(|level| level.parse::<usize>().ok());
                self.heading = level.filter(|level| *level < 9).map_or(self.heading, |level| level + 1);
            }
            "ilvl" => {
                let level = attribute(attributes, "val").and_then(|level| level.parse::<usize>().ok());
                self.item = level.unwrap_or_default().min(8) + 1;
            }
            "numPr" => self.item = self.item.max(1),
            "tbl" => self.tables += 1,
            "tr" if self.tables == 1 => self.rows.push(Vec::new()),
            _ => {}
        }
    }

    /// `Heading1`, `Title`, and their names in other languages as far as they end in a number.
    fn style(&mut self, style: &str) {
        let lower = style.to_ascii_lowercase();
        let digits = lower.trim_start_matches(|c: char| !c.is_ascii_digit());
        let names = ["heading", "berschrift", "titre", "ttulo", "titolo", "kop", "rubrik", "overskrift"];
        if lower == "title" {
            self.heading = 1;
        } else if names.iter().any(|name| lower.contains(name)) {
            self.heading = digits.parse().ok().filter(|level| (1..=9).contains(level)).unwrap_or_default();
        } else if lower.contains("listparagraph") || lower.contains("listbullet") {
            self.item = self.item.max(1);
        }
    }

    fn close(&mut self, name: &str, draft: &mut Draft) -> Result<(), ReadFailure> {
        match name {
            _ if SILENT.contains(&name) => self.silent = self.silent.saturating_sub(1),
            "t" => self.text = false,
            "p" if self.tables > 0 => self.words.push(' '),
            "p" => return self.paragraph(draft),
            "tc" if self.tables == 1 => {
                let words = std::mem::take(&mut self.words);
                if let Some(row) = self.rows.last_mut() {
                    row.push(words);
                }
            }
            "tbl" => {
                self.tables = self.tables.saturating_sub(1);
                if self.tables == 0 {
                    return self.table(draft);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn paragraph(&mut self, draft: &mut Draft) -> Result<(), ReadFailure> {
        let words = std::mem::take(&mut self.words);
        let (heading, item) = (std::mem::take(&mut self.heading), std::mem::take(&mut self.item));
        if words.trim().is_empty() {
            return Ok(());
        }
        let before = std::mem::replace(&mut self.after_item, heading == 0 && item > 0);
        if heading > 0 {
            draft.heading(heading, &words)
        } else if item > 0 {
            let text = format!("{}- {}", "  ".repeat(item - 1), line(&words));
            if before { draft.line(&text) } else { draft.block(&text) }
        } else {
            let lines: Vec<String> = words.split('\n').map(line).filter(|line| !line.is_empty()).collect();
            draft.block(&lines.join("\n"))
        }
    }

    fn table(&mut self, draft: &mut Draft) -> Result<(), ReadFailure> {
        self.words.clear();
        self.after_item = false;
        (self.heading, self.item) = (0, 0);
        let mut rows = std::mem::take(&mut self.rows);
        rows.retain(|row| row.iter().any(|cell| !cell.trim().is_empty()));
        // A table of one column frames its text.
        if rows.iter().all(|row| row.len() < 2) {
            return rows.iter().flatten().try_for_each(|cell| draft.block(&line(cell)));
        }
        self.written += 1;
        let mut table = draft.table();
        rows.iter().try_for_each(|row| table.row(row))
    }
}
