//! PDF: pages one by one, each arranged by where its text stands; pictures that fill a page are kept for a model.
//!
//! The library that decodes fonts and pages panics and loops on hostile input: this parser runs apart, and a page that
//! ends in a panic is a broken page, not a broken document.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pdf_extract::{Document, MediaBox, OutputDev, OutputError, Transform, output_doc_page};

use super::Parser;
use crate::domain::reading::draft::Draft;
use crate::domain::reading::layout::{Block, Run, arrange};
use crate::domain::reading::pictures::{PagePictures, page_pictures};
use crate::domain::reading::{Path, Picture, ReadFailure, ReadLimits, Reading, Signals, sniff};
use crate::domain::source::Format;

/// This parser.
pub const ENTRY: Parser =
    Parser { format: Format::Pdf, summary: "PDF: text by place, tables, columns, scans", apart: true, parse };

fn parse(bytes: &[u8], limits: &ReadLimits) -> Result<Reading, ReadFailure> {
    let mut document =
        Document::load_mem(bytes).map_err(|_| ReadFailure::unreadable("is not a whole PDF"))?;
    // Many files are locked against printing only: the empty password opens them.
    if document.is_encrypted() && document.decrypt("").is_err() {
        return Err(sniff::locked());
    }
    let pages = document.get_pages();
    if pages.len() > limits.pages as usize {
        return Err(ReadFailure::too_many_pages(limits.pages));
    }
    if pages.is_empty() {
        return Err(ReadFailure::unreadable("has no pages"));
    }
    let mut draft = Draft::new(limits);
    if let Some(title) = title(&document) {
        draft.title(&title);
    }
    for (number, id) in pages {
        draft.begin_page()?;
        let mut collected = Collected::default();
        let run = AssertUnwindSafe(|| output_doc_page(&document, &mut collected, number));
        let broken = !matches!(catch_unwind(run), Ok(Ok(())));
        let pictures = catch_unwind(AssertUnwindSafe(|| page_pictures(&document, id))).unwrap_or_default();
        write_page(&mut draft, collected, broken, pictures)?;
    }
    Ok(draft.finish())
}

fn write_page(
    draft: &mut Draft,
    collected: Collected,
    broken: bool,
    pictures: PagePictures,
) -> Result<(), ReadFailure> {
    let arranged = arrange(collected.runs);
    let mut tables = 0;
    for block in &arranged.blocks {
        match block {
            Block::Heading(text) => draft.heading(2, text)?,
            Block::Paragraph(text) => draft.block(text)?,
            Block::Table(rows) => {
                tables += 1;
                let mut table = draft.table();
                rows.iter().try_for_each(|row| table.row(row))?;
            }
        }
    }
    let signals = Signals {
        broken: broken && arranged.blocks.is_empty(),
        tables,
        columns: arranged.columns,
        pictures: pictures.count,
        covered: pictures.covered,
        unmapped_fonts: pictures.unmapped_fonts,
        ..Signals::default()
    };
    let page = draft.end_page(signals, Vec::new());
    let (number, path) = (page.number, page.path);
    if let (Path::Ocr, Some((media_type, bytes))) = (path, pictures.largest) {
        draft.picture(Picture { page: number, media_type: media_type.to_owned(), bytes });
    }
    Ok(())
}

fn title(document: &Document) -> Option<String> {
    let info = document.trailer.get(b"Info").ok()?;
    let (_, info) = document.dereference(info).ok()?;
    let (_, title) = document.dereference(info.as_dict().ok()?.get(b"Title").ok()?).ok()?;
    let bytes = title.as_str().ok()?;
    let text = match bytes {
        [0xfe, 0xff, rest @ ..] => {
            let units = rest.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair));
            char::decode_utf16(units).collect::<Result<String, _>>().ok()?
        }
        _ => String::from_utf8_lossy(bytes).into_owned(),
    };
    // Programs write the name of a file there.
    let named = [".doc", ".docx", ".indd", ".tex", ".pdf", ".qxd"];
    (!named.iter().any(|end| text.to_ascii_lowercase().ends_with(end))).then_some(text)
}

/// The runs of a page, as the library tells of its characters.
#[derive(Default)]
struct Collected {
    runs: Vec<Run>,
    top: f64,
}

/// A wider gap, in letter heights, begins another run.
const GAP: f64 = 1.2;
/// A wider gap, in letter heights, is a blank.
const BLANK: f64 = 0.15;
/// Characters of one page that are kept: a page of millions is no page.
const CHARACTERS: usize = 4_000_000;

impl Collected {
    fn add(&mut self, left: f64, y: f64, width: f64, size: f64, text: &str) {
        if self.runs.len() >= CHARACTERS {
            return;
        }
        let right = left + width;
        if let Some(run) = self.runs.last_mut() {
            let (gap, height) = (left - run.right, size.max(run.size));
            if (y - run.y).abs() < height * 0.3 && gap > -height * 0.5 && gap < height * GAP {
                if gap > height * BLANK && !run.text.ends_with(char::is_whitespace) {
                    run.text.push(' ');
                }
                run.text.push_str(text);
                run.right = right.max(run.right);
                return;
            }
        }
        if !text.trim().is_empty() {
            self.runs.push(Run { left, right, y, size, text: text.to_owned() });
        }
    }
}

impl OutputDev for Collected {
    fn begin_page(
        &mut self,
        _: u32,
        media_box: &MediaBox,
        _: Option<(f64, f64, f64, f64)>,
    ) -> Result<(), OutputError> {
        self.top = media_box.ury;
        Ok(())
    }

    fn end_page(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn output_character(
        &mut self,
        place: &Transform,
        width: f64,
        _: f64,
        font_size: f64,
        text: &str,
    ) -> Result<(), OutputError> {
        // The letter's height is the side of the square that the transformed unit square is as large as.
        let size = font_size * (place.m11 * place.m22 - place.m12 * place.m21).abs().sqrt();
        self.add(place.m31, self.top - place.m32, width * size, size, text);
        Ok(())
    }

    fn begin_word(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn end_word(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn end_line(&mut self) -> Result<(), OutputError> {
        Ok(())
    }
}
