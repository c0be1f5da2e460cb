//! Presentations: a page for each slide, with its title as heading, its tables, and its speaker's notes.

use super::Parser;
use super::docx::core_title;
use crate::domain::reading::archive::{Archive, Step, attribute, walk};
use crate::domain::reading::draft::{Draft, line};
use crate::domain::reading::{ReadFailure, ReadLimits, Reading, Signals};
use crate::domain::source::Format;

/// This parser.
pub const ENTRY: Parser =
    Parser { format: Format::Pptx, summary: "PowerPoint: slides, tables, notes", apart: true, parse };

fn parse(bytes: &[u8], limits: &ReadLimits) -> Result<Reading, ReadFailure> {
    let mut archive = Archive::open(bytes, limits)?;
    let mut draft = Draft::new(limits);
    if let Some(title) = core_title(&mut archive)? {
        draft.title(&title);
    }
    let slides = slides(&mut archive)?;
    if slides.is_empty() {
        return Err(ReadFailure::unreadable("has no slides"));
    }
    for path in slides {
        draft.begin_page()?;
        let mut slide = Slide::default();
        if let Some(xml) = archive.text(&path)? {
            walk(&xml, |step| slide.step(step, &mut draft))?;
        }
        let file = path.rsplit('/').next().unwrap_or_default().to_owned();
        let links = relations(&mut archive, &format!("ppt/slides/_rels/{file}.rels"))?;
        let notes = links.iter().find(|(_, target)| target.contains("notesSlide"));
        if let Some((_, target)) = notes
            && let Some(xml) = archive.text(&resolved("ppt/slides", target))?
        {
            let mut notes = Slide { notes: true, ..Slide::default() };
            walk(&xml, |step| notes.step(step, &mut draft))?;
        }
        let (pictures, tables) = (slide.pictures, slide.written);
        draft.end_page(Signals { pictures, tables, columns: 1, ..Signals::default() }, Vec::new());
    }
    let mut reading = draft.finish();
    reading.pages.iter_mut().for_each(|page| page.path = page.path.without_picture());
    Ok(reading)
}

/// The slides' parts in the order in which they are shown.
fn slides(archive: &mut Archive<'_>) -> Result<Vec<String>, ReadFailure> {
    let links = relations(archive, "ppt/_rels/presentation.xml.rels")?;
    let presentation = archive
        .text("ppt/presentation.xml")?
        .ok_or_else(|| ReadFailure::unreadable("has no part ppt/presentation.xml"))?;
    let mut slides = Vec::new();
    walk(&presentation, |step| {
        if let Step::Open(name, attributes) = step
            && name == "sldId"
        {
            // Two attributes are called `id` without their prefixes; the relation's is the one that is found.
            let found = attributes
                .iter()
                .filter(|(key, _)| key == "id")
                .find_map(|(_, id)| links.iter().find(|(link, _)| link == id));
            slides.extend(found.map(|(_, target)| resolved("ppt", target)));
        }
        Ok(())
    })?;
    Ok(slides)
}

/// Ids and targets of a part's relations; none when it has no such part.
fn relations(archive: &mut Archive<'_>, path: &str) -> Result<Vec<(String, String)>, ReadFailure> {
    let Some(xml) = archive.text(path)? else { return Ok(Vec::new()) };
    let mut links = Vec::new();
    walk(&xml, |step| {
        if let Step::Open(name, attributes) = step
            && name == "Relationship"
            && let (Some(id), Some(target)) = (attribute(&attributes, "Id"), attribute(&attributes, "Target"))
        {
            links.push((id.to_owned(), target.to_owned()));
        }
        Ok(())
    })?;
    Ok(links)
}

fn resolved(folder: &str, target: &str) -> String {
    if let Some(absolute) = target.strip_prefix('/') {
        return absolute.to_owned();
    }
    let mut parts: Vec<&str> = folder.split('/').collect();
    for part in target.split('/') {
        match part {
            ".." => {
                parts.pop();
            }
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[derive(Default)]
struct Slide {
    notes: bool,
    words: String,
    title: bool,
    /// True for a shape of page numbers and dates.
    frame: bool,
    text: bool,
    tables: usize,
    rows: Vec<Vec<String>>,
    pictures: usize,
    written: usize,
    after_item: bool,
}

impl Slide {
    fn step(&mut self, step: Step, draft: &mut Draft) -> Result<(), ReadFailure> {
        match step {
            Step::Open(name, attributes) => self.open(&name, &attributes),
            Step::Close(name) => return self.close(&name, draft),
            Step::Text(text) if self.text && !self.frame => self.words.push_str(&text),
            Step::Text(_) => {}
        }
        Ok(())
    }

    fn open(&mut self, name: &str, attributes: &[(String, String)]) {
        match name {
            "sp" => (self.title, self.frame) = (false, false),
            "ph" => {
                let kind = attribute(attributes, "type").unwrap_or_default();
                self.title = matches!(kind, "title" | "ctrTitle");
                self.frame = matches!(kind, "sldNum" | "dt" | "ftr" | "hdr" | "sldImg");
            }
            "t" => self.text = true,
            "br" => self.words.push('\n'),
            "pic" => self.pictures += 1,
            "tbl" => self.tables += 1,
            "tr" if self.tables == 1 => self.rows.push(Vec::new()),
            _ => {}
        }
    }

    fn close(&mut self, name: &str, draft: &mut Draft) -> Result<(), ReadFailure> {
        match name {
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
                let rows = std::mem::take(&mut self.rows);
                self.written += usize::from(!rows.is_empty());
                self.words.clear();
                self.after_item = false;
                let mut table = draft.table();
                return rows.iter().try_for_each(|row| table.row(row));
            }
            _ => {}
        }
        Ok(())
    }

    fn paragraph(&mut self, draft: &mut Draft) -> Result<(), ReadFailure> {
        let words = line(&std::mem::take(&mut self.words));
        if words.is_empty() {
            return Ok(());
        }
        let item = !self.title && !self.notes;
        let before = std::mem::replace(&mut self.after_item, item);
        match (self.title, item, before) {
            (true, ..) => {
                draft.title(&words);
                draft.heading(2, &words)
            }
            (_, false, _) => draft.block(&words),
            (_, true, true) => draft.line(&format!("- {words}")),
            (_, true, false) => draft.block(&format!("- {words}")),
        }
    }
}
