//! Writes the content of a page of HTML as Markdown, tag by tag, without a tree: nesting costs a name on a stack.
//!
//! What frames the content (navigation, footers, forms, cookie banners) is left out; emphasis and addresses of links
//! are, too, for they say nothing to a search.

use std::collections::HashMap;

use html5gum::{DefaultEmitter, StartTag, Token, Tokenizer};

use super::ReadFailure;
use super::draft::{Draft, line};

/// Which part of the page is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// What stands in elements of this name.
    Inside(&'static str),
}

/// What a page holds, apart from its text.
#[derive(Debug, Default)]
pub struct Seen {
    /// How many tables were written.
    pub tables: usize,
    /// How many pictures it shows.
    pub pictures: usize,
    /// True when there is an element `main`.
    pub main: bool,
    /// True when there is an element `article`.
    pub article: bool,
}

/// Elements that are never content.
const NEVER: [&str; 22] = [
    "script", "style", "noscript", "template", "svg", "math", "iframe", "object", "canvas", "nav", "footer",
    "aside", "form", "button", "select", "dialog", "menu", "head", "video", "audio", "map", "textarea",
];
/// Elements without an end.
const VOID: [&str; 14] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track",
    "wbr",
];
/// Elements that begin and end a block.
const BLOCKS: [&str; 34] = [
    "address",
    "article",
    "blockquote",
    "body",
    "caption",
    "center",
    "dd",
    "details",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hgroup",
    "li",
    "main",
    "ol",
    "p",
    "pre",
    "section",
    "summary",
    "table",
    "tbody",
    "thead",
    "tr",
    "ul",
];
/// Words in a class or id that name a frame of the content.
const FRAMES: [&str; 14] = [
    "cookie",
    "cookies",
    "consent",
    "sidebar",
    "breadcrumb",
    "breadcrumbs",
    "navbar",
    "navigation",
    "menu",
    "newsletter",
    "social",
    "share",
    "advert",
    "popup",
];
/// A longer cell is no cell: the table only lays out the page.
const CELL: usize = 800;

/// Writes a part of a page.
///
/// # Errors
/// `TOO_LARGE` when the text grows over its limit.
pub fn write(html: &str, part: Part, draft: &mut Draft) -> Result<Seen, ReadFailure> {
    let mut emitter = DefaultEmitter::<()>::default();
    emitter.naively_switch_states(true);
    let mut writer = Writer::new(draft, part);
    for token in Tokenizer::new_with_emitter(html, emitter) {
        match token {
            Ok(Token::StartTag(tag)) => writer.open(&tag)?,
            Ok(Token::EndTag(tag)) => writer.close(&lossy(&tag.name))?,
            Ok(Token::String(text)) => writer.text(&lossy(&text)),
            _ => {}
        }
    }
    writer.flush()?;
    writer.end_table()?;
    Ok(writer.seen)
}

/// An open element.
struct Open {
    name: String,
    /// True when it and what is in it are left out.
    skipped: bool,
    /// True when it begins the part that is written.
    root: bool,
}

struct Writer<'a> {
    draft: &'a mut Draft,
    part: Part,
    seen: Seen,
    open: Vec<Open>,
    /// How many elements of each name are open: an end without a beginning must not search the stack.
    counts: HashMap<String, usize>,
    skipped: usize,
    roots: usize,
    words: String,
    heading: usize,
    /// Open lists: the number of the next item, or none for bullets.
    lists: Vec<Option<usize>>,
    /// The mark of the item whose first words are awaited.
    mark: Option<String>,
    /// True when the block before was an item.
    after_item: bool,
    preformatted: usize,
    quoted: usize,
    tables: usize,
    rows: Vec<Vec<String>>,
    titled: bool,
}

impl<'a> Writer<'a> {
    fn new(draft: &'a mut Draft, part: Part) -> Self {
        Self {
            draft,
            part,
            seen: Seen::default(),
            open: Vec::new(),
            counts: HashMap::new(),
            skipped: 0,
            roots: usize::from(part == Part::Whole),
            words: String::new(),
            heading: 0,
            lists: Vec::new(),
            mark: None,
            after_item: false,
            preformatted: 0,
            quoted: 0,
            tables: 0,
            rows: Vec::new(),
            titled: false,
        }
    }

    fn open(&mut self, tag: &StartTag<()>) -> Result<(), ReadFailure> {
        let name = lossy(&tag.name);
        self.seen.main |= name == "main";
        self.seen.article |= name == "article";
        if VOID.contains(&name.as_str()) {
            return self.void(&name, tag);
        }
        // An item, a cell or a paragraph that was not ended ends where the next of its kind begins.
        if matches!(name.as_str(), "p" | "li" | "td" | "th" | "tr" | "option" | "dt" | "dd")
            && self.open.last().is_some_and(|open| open.name == name)
        {
            self.close(&name)?;
        }
        if name == "tr" && self.open.last().is_some_and(|open| matches!(open.name.as_str(), "td" | "th")) {
            self.close("tr")?;
        }
        let skipped = NEVER.contains(&name.as_str()) || frames(tag);
        let root = self.part == Part::Inside("main") && name == "main"
            || self.part == Part::Inside("article") && name == "article";
        if !skipped && self.writes() {
            self.begin(&name)?;
        }
        self.skipped += usize::from(skipped);
        self.roots += usize::from(root);
        self.titled = name == "title";
        *self.counts.entry(name.clone()).or_default() += 1;
        self.open.push(Open { name, skipped, root });
        Ok(())
    }

    fn void(&mut self, name: &str, tag: &StartTag<()>) -> Result<(), ReadFailure> {
        if !self.writes() {
            return Ok(());
        }
        match name {
            "br" => self.words.push('\n'),
            "hr" => self.flush()?,
            "img" => {
                self.seen.pictures += 1;
                let alt = tag.attributes.get(b"alt".as_slice()).map(|alt| lossy(alt)).unwrap_or_default();
                self.words.push_str(&alt);
            }
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, name: &str) -> Result<(), ReadFailure> {
        self.titled = false;
        if self.counts.get(name).copied().unwrap_or_default() == 0 {
            return Ok(());
        }
        while let Some(open) = self.open.pop() {
            if let Some(count) = self.counts.get_mut(&open.name) {
                *count -= 1;
            }
            if self.writes() {
                self.end(&open.name)?;
            }
            self.skipped -= usize::from(open.skipped);
            self.roots -= usize::from(open.root);
            if open.name == name {
                break;
            }
        }
        Ok(())
    }

    fn writes(&self) -> bool {
        self.skipped == 0 && self.roots > 0
    }

    fn begin(&mut self, name: &str) -> Result<(), ReadFailure> {
        if BLOCKS.contains(&name) {
            self.part_block()?;
        }
        match name {
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => self.heading = usize::from(name.as_bytes()[1] - b'0'),
            "ul" => self.lists.push(None),
            "ol" => self.lists.push(Some(1)),
            "li" => self.begin_item(),
            "pre" => self.preformatted += 1,
            "blockquote" => self.quoted += 1,
            "table" => self.tables += 1,
            "tr" if self.tables == 1 => self.rows.push(Vec::new()),
            "td" | "th" if self.tables == 1 => self.words.clear(),
            _ => {}
        }
        Ok(())
    }

    /// Ends the block before; inside a table there are no blocks, only words apart.
    fn part_block(&mut self) -> Result<(), ReadFailure> {
        if self.tables == 0 {
            return self.flush();
        }
        self.words.push(' ');
        Ok(())
    }

    fn begin_item(&mut self) {
        let indent = "  ".repeat(self.lists.len().saturating_sub(1).min(8));
        self.mark = Some(match self.lists.last_mut() {
            Some(Some(number)) => {
                *number += 1;
                format!("{indent}{}. ", *number - 1)
            }
            _ => format!("{indent}- "),
        });
    }

    fn end(&mut self, name: &str) -> Result<(), ReadFailure> {
        match name {
            "td" | "th" if self.tables == 1 => {
                let words = std::mem::take(&mut self.words);
                if let Some(row) = self.rows.last_mut() {
                    row.push(words);
                }
                return Ok(());
            }
            "table" => {
                self.tables = self.tables.saturating_sub(1);
                return if self.tables == 0 { self.end_table() } else { Ok(()) };
            }
            _ if BLOCKS.contains(&name) => self.part_block()?,
            _ => {}
        }
        match name {
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => self.heading = 0,
            "ul" | "ol" => {
                self.lists.pop();
            }
            "pre" => self.preformatted = self.preformatted.saturating_sub(1),
            "blockquote" => self.quoted = self.quoted.saturating_sub(1),
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        if self.titled {
            self.draft.title(text);
        } else if self.writes() && self.preformatted > 0 {
            self.words.push_str(text);
        } else if self.writes() {
            // A line end in the source is a blank; only `br` is a line end.
            self.words.extend(text.chars().map(|c| if matches!(c, '\n' | '\r') { ' ' } else { c }));
        }
    }

    /// Writes the words that have come together as a block.
    fn flush(&mut self) -> Result<(), ReadFailure> {
        if self.words.trim().is_empty() {
            self.words.clear();
            return Ok(());
        }
        let words = std::mem::take(&mut self.words);
        let item = self.mark.take();
        let before = std::mem::replace(&mut self.after_item, item.is_some());
        if self.heading > 0 {
            self.draft.heading(self.heading, &words)
        } else if self.preformatted > 0 {
            let code = words.trim_matches('\n').replace("```", "~~~");
            self.draft.block(&format!("```\n{code}\n```"))
        } else if let Some(mark) = item {
            let text = format!("{mark}{}", line(&words));
            if before { self.draft.line(&text) } else { self.draft.block(&text) }
        } else {
            let prefix = if self.quoted > 0 { "> " } else { "" };
            let lines = words.split('\n').map(line).filter(|line| !line.is_empty());
            let lines: Vec<String> = lines.map(|line| format!("{prefix}{line}")).collect();
            self.draft.block(&lines.join("\n"))
        }
    }

    /// Writes the rows that have come together: as a table, or as text when they only lay out the page.
    fn end_table(&mut self) -> Result<(), ReadFailure> {
        self.words.clear();
        self.after_item = false;
        let mut rows = std::mem::take(&mut self.rows);
        rows.retain(|row| row.iter().any(|cell| !cell.trim().is_empty()));
        let wide = rows.iter().map(Vec::len).max().unwrap_or_default();
        if wide < 2 || rows.iter().flatten().any(|cell| cell.len() > CELL) {
            return rows.iter().flatten().try_for_each(|cell| self.draft.block(&line(cell)));
        }
        self.seen.tables += 1;
        let mut table = self.draft.table();
        rows.iter().try_for_each(|row| table.row(row))
    }
}

/// Whether an element's attributes say that it frames the content.
fn frames(tag: &StartTag<()>) -> bool {
    let value = |name: &str| tag.attributes.get(name.as_bytes()).map(|value| lossy(value));
    let role = value("role").unwrap_or_default();
    if matches!(
        role.as_str(),
        "navigation" | "banner" | "contentinfo" | "complementary" | "search" | "dialog"
    ) || value("hidden").is_some()
        || value("aria-hidden").as_deref() == Some("true")
    {
        return true;
    }
    if !matches!(&tag.name[..], b"div" | b"section" | b"ul" | b"ol" | b"p" | b"span" | b"header") {
        return false;
    }
    [value("class"), value("id")].into_iter().flatten().any(|names| {
        let mut words = names.split(|c: char| !c.is_ascii_alphanumeric()).take(32);
        words.any(|word| FRAMES.contains(&word.to_ascii_lowercase().as_str()))
    })
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reading::ReadLimits;

    fn markdown(html: &str, part: Part) -> String {
        let mut draft = Draft::new(&ReadLimits::default());
        write(html, part, &mut draft).unwrap();
        draft.finish().text
    }

    #[test]
    fn blocks_lists_tables_and_code() {
        let html = "<h1>Cold <em>vans</em></h1><p>One\n two<br>three &amp; four</p>\
            <ul><li>a<li><p>b</p><ol><li>deep</li></ol></ul>\
            <table><tr><th>Van<th>Price<tr><td>Small<td>1|00</table><pre>let x;\n  y</pre>\
            <blockquote>said</blockquote>tail <img alt='a van'>";
        let expected = "# Cold vans\n\nOne two\nthree & four\n\n- a\n- b\n  1. deep\n\n\
            | Van | Price |\n|---|---|\n| Small | 1\\|00 |\n\n```\nlet x;\n  y\n```\n\n> said\n\ntail a van";
        assert_eq!(markdown(html, Part::Whole), expected);
    }

    #[test]
    fn what_frames_the_content_is_left_out() {
        let html = "<head><title>T</title><style>p{}</style></head><nav>menu</nav>\
            <div class='cookie-banner'>accept <p>all</p></div><p>text</p><script>if (a < b) {}</script>\
            <div hidden>no</div><footer>imprint</footer></nope><p>more";
        assert_eq!(markdown(html, Part::Whole), "text\n\nmore");
        let html = "<p>before</p><main><p>inside</p></main><p>after</p>";
        assert_eq!(markdown(html, Part::Inside("main")), "inside");
    }

    #[test]
    fn any_depth_is_read() {
        let html = format!("{}words{}", "<div>".repeat(200_000), "</div></p></b>".repeat(200_000));
        assert_eq!(markdown(&html, Part::Whole), "words");
        let tables = format!("{}words", "<table><tr><td>".repeat(50_000));
        assert!(markdown(&tables, Part::Whole).len() <= 5);
    }
}
