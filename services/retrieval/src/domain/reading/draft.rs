//! Writes the text of a document while it is read, page by page, within its limits.

use super::{Page, Picture, ReadFailure, ReadLimits, Reading, Signals, router};

/// Rows after which a long table begins anew with its header, so that a passage of it says what its columns are.
const ROWS: usize = 25;
/// Longest header that is repeated, in bytes.
const HEADER: usize = 1024;

/// A text that is being written.
pub struct Draft {
    limits: ReadLimits,
    reading: Reading,
    page_start: usize,
}

impl Draft {
    /// An empty Markdown text.
    pub fn new(limits: &ReadLimits) -> Self {
        let reading = Reading { markdown: true, ..Reading::default() };
        Self { limits: *limits, reading, page_start: 0 }
    }

    /// Names the document, if nothing has done so.
    pub fn title(&mut self, title: &str) {
        let title = line(title);
        if self.reading.title.is_none() && !title.is_empty() {
            self.reading.title = Some(title.chars().take(500).collect());
        }
    }

    /// Adds a block, an empty line apart from the one before.
    ///
    /// # Errors
    /// `TOO_LARGE` when the text grows over its limit.
    pub fn block(&mut self, block: &str) -> Result<(), ReadFailure> {
        let block = block.trim_end();
        if block.trim().is_empty() {
            return Ok(());
        }
        let text = &mut self.reading.text;
        if text.len() > self.page_start && !text.ends_with("\n\n") {
            text.push_str("\n\n");
        }
        text.push_str(block);
        self.check()
    }

    /// Adds a heading of level 1 to 6.
    ///
    /// # Errors
    /// As [`block`](Self::block).
    pub fn heading(&mut self, level: usize, text: &str) -> Result<(), ReadFailure> {
        let text = line(text);
        if text.is_empty() {
            Ok(())
        } else {
            self.block(&format!("{} {text}", "#".repeat(level.clamp(1, 6))))
        }
    }

    /// Adds a line right after the one before: an item of a list, a row of a table.
    ///
    /// # Errors
    /// As [`block`](Self::block).
    pub fn line(&mut self, text: &str) -> Result<(), ReadFailure> {
        if self.reading.text.len() > self.page_start {
            self.reading.text.push('\n');
        }
        self.reading.text.push_str(text);
        self.check()
    }

    fn check(&self) -> Result<(), ReadFailure> {
        let most = self.limits.unpacked_bytes;
        if self.reading.text.len() as u64 > most { Err(ReadFailure::too_large(most)) } else { Ok(()) }
    }

    /// Begins a page. Text of no page belongs to the next that ends.
    ///
    /// # Errors
    /// `TOO_MANY_PAGES` when there are as many as may be.
    pub fn begin_page(&mut self) -> Result<(), ReadFailure> {
        if self.reading.pages.len() >= self.limits.pages as usize {
            return Err(ReadFailure::too_many_pages(self.limits.pages));
        }
        if !self.reading.text.is_empty() {
            self.reading.text.push_str("\n\n");
        }
        self.page_start = self.reading.text.len();
        Ok(())
    }

    /// Ends a page: what was measured on it, beside its characters, and what else is to be said of it.
    pub fn end_page(&mut self, signals: Signals, mut notes: Vec<String>) -> &Page {
        let span = self.page_start..self.reading.text.len();
        let (characters, unmapped) = router::characters(&self.reading.text[span.clone()]);
        let (complexity, path, reasons) = Signals { characters, unmapped, ..signals }.judge();
        notes.extend(reasons);
        let number = self.reading.pages.len() as u32 + 1;
        let at = self.reading.pages.len();
        self.reading.pages.push(Page { number, span, complexity, reasons: notes, path });
        &self.reading.pages[at]
    }

    /// Keeps a picture of a page.
    pub fn picture(&mut self, picture: Picture) {
        self.reading.pictures.push(picture);
    }

    /// Begins a table.
    pub fn table(&mut self) -> Table<'_> {
        Table { draft: self, header: String::new(), rows: 0 }
    }

    /// The whole.
    pub fn finish(self) -> Reading {
        self.reading
    }
}

/// A table that is being written, row by row; the first row is its header.
pub struct Table<'a> {
    draft: &'a mut Draft,
    header: String,
    rows: usize,
}

impl Table<'_> {
    /// Adds a row.
    ///
    /// # Errors
    /// As [`Draft::block`].
    pub fn row<S: AsRef<str>>(&mut self, cells: &[S]) -> Result<(), ReadFailure> {
        let mut row = String::from("|");
        for text in cells {
            row.push(' ');
            row.push_str(&cell(text.as_ref()));
            row.push_str(" |");
        }
        if self.rows == 0 {
            self.header = format!("{row}\n|{}", "---|".repeat(cells.len()));
            self.draft.block(&self.header)?;
        } else {
            if self.rows > 1 && (self.rows - 1).is_multiple_of(ROWS) && self.header.len() <= HEADER {
                self.draft.block(&self.header)?;
            }
            self.draft.line(&row)?;
        }
        self.rows += 1;
        Ok(())
    }
}

/// A text on one line with single spaces.
pub fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split(|c: char| c.is_whitespace() || c == '\0').filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// A text as a cell of a table.
fn cell(text: &str) -> String {
    let text = line(text);
    if text.contains('|') { text.replace('|', "\\|") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(pages: u32, unpacked_bytes: u64) -> ReadLimits {
        ReadLimits { pages, unpacked_bytes, ..ReadLimits::default() }
    }

    #[test]
    fn blocks_lines_tables_and_pages() {
        let mut draft = Draft::new(&limits(2, 1000));
        draft.begin_page().unwrap();
        draft.title(" A\n title ");
        draft.heading(2, "Vans\nand more").unwrap();
        draft.block("- one").unwrap();
        draft.line("- two").unwrap();
        assert_eq!(draft.end_page(Signals::default(), vec!["a note".into()]).reasons[0], "a note");
        draft.begin_page().unwrap();
        let mut table = draft.table();
        table.row(&["a", "b"]).unwrap();
        table.row(&["1|2", "3\n4"]).unwrap();
        draft.end_page(Signals::default(), Vec::new());
        assert_eq!(draft.begin_page().unwrap_err().reason, "TOO_MANY_PAGES");
        let reading = draft.finish();
        let pages: Vec<&str> = reading.pages.iter().map(|page| &reading.text[page.span.clone()]).collect();
        assert_eq!(pages, ["## Vans and more\n\n- one\n- two", "| a | b |\n|---|---|\n| 1\\|2 | 3 4 |"]);
        assert_eq!(reading.title.as_deref(), Some("A title"));
    }

    #[test]
    fn long_tables_repeat_their_header_and_end_at_the_limit() {
        let mut draft = Draft::new(&limits(1, 1000));
        let mut table = draft.table();
        for row in 0..60 {
            table.row(&[row.to_string()]).unwrap();
        }
        assert_eq!(draft.reading.text.matches("| 0 |\n|---|").count(), 3);
        let mut table = draft.table();
        let failed = (0..200).find_map(|_| table.row(&["more", "words"]).err());
        assert_eq!(failed.unwrap().reason, "TOO_LARGE");
    }
}
