//! A text in the making: its sentences as pieces that may change, and the whole put together again.

use std::ops::Range;

use crate::report::Correction;
use crate::text::{is_line_break, sentences};

pub(super) struct Draft<'t> {
    original: &'t str,
    pieces: Vec<Piece>,
}

struct Piece {
    /// Bytes in the original.
    span: Range<usize>,
    /// What stands there now and why, once changed; empty when dropped.
    change: Option<(String, String)>,
}

impl Piece {
    fn is_dropped(&self) -> bool {
        self.change.as_ref().is_some_and(|(now, _)| now.is_empty())
    }
}

/// The draft as text.
pub(super) struct Rendered {
    pub(super) text: String,
    /// Where each piece stands in it; empty when dropped.
    places: Vec<Range<usize>>,
}

impl<'t> Draft<'t> {
    pub(super) fn new(original: &'t str) -> Self {
        let pieces =
            sentences(original).into_iter().map(|sentence| Piece { span: sentence.span, change: None });
        Self { original, pieces: pieces.collect() }
    }

    /// Puts `now` in the place of a piece, or drops it when `now` is empty.
    pub(super) fn change(&mut self, piece: usize, now: String, reason: String) {
        if let Some(piece) = self.pieces.get_mut(piece) {
            piece.change = Some((now, reason));
        }
    }

    pub(super) fn drop_overlapping(&mut self, rendered: &Rendered, span: &Range<usize>, reason: &str) {
        for (piece, place) in self.pieces.iter_mut().zip(&rendered.places) {
            let overlaps = place.start < span.end && span.start < place.end;
            if overlaps && !piece.is_dropped() {
                piece.change = Some((String::new(), reason.to_owned()));
            }
        }
    }

    pub(super) fn drop_all(&mut self, reason: &str) {
        for piece in self.pieces.iter_mut().filter(|piece| !piece.is_dropped()) {
            piece.change = Some((String::new(), reason.to_owned()));
        }
    }

    pub(super) fn is_changed(&self) -> bool {
        self.pieces.iter().any(|piece| piece.change.is_some())
    }

    /// How many pieces are not dropped.
    pub(super) fn left(&self) -> usize {
        self.pieces.iter().filter(|piece| !piece.is_dropped()).count()
    }

    pub(super) fn corrections(&self) -> Vec<Correction> {
        let changed =
            self.pieces.iter().filter_map(|piece| piece.change.as_ref().map(|change| (piece, change)));
        changed
            .map(|(piece, (after, reason))| Correction {
                span: piece.span.clone(),
                before: self.original[piece.span.clone()].to_owned(),
                after: after.clone(),
                reason: reason.clone(),
            })
            .collect()
    }

    pub(super) fn render(&self) -> Rendered {
        let mut rendered = Rendered { text: String::new(), places: Vec::with_capacity(self.pieces.len()) };
        if self.left() == 0 && !self.pieces.is_empty() {
            rendered.places.resize(self.pieces.len(), 0..0);
            return rendered;
        }
        let mut pieces = self.pieces.as_slice();
        let mut seam = false;
        let mut start = 0;
        for line in self.original.split_inclusive(is_line_break) {
            let whole = start..start + line.len();
            start = whole.end;
            let (here, later) = pieces.split_at(pieces.partition_point(|piece| piece.span.start < whole.end));
            pieces = later;
            if !here.is_empty() && here.iter().all(Piece::is_dropped) {
                rendered.places.extend(here.iter().map(|_| rendered.text.len()..rendered.text.len()));
                seam = true;
            } else if !(seam && line.trim().is_empty() && ends_blank(&rendered.text)) {
                self.render_line(whole, here, &mut rendered);
                seam = seam && line.trim().is_empty();
            }
        }
        if self.pieces.iter().any(Piece::is_dropped) {
            rendered.text.truncate(rendered.text.trim_end().len());
        }
        rendered
    }

    fn render_line(&self, line: Range<usize>, here: &[Piece], rendered: &mut Rendered) {
        let mut at = line.start;
        for piece in here {
            let text = &mut rendered.text;
            text.push_str(&self.original[at..piece.span.start]);
            at = piece.span.end;
            let from = text.len();
            match &piece.change {
                None => text.push_str(&self.original[piece.span.clone()]),
                Some((now, _)) if !now.is_empty() => text.push_str(now),
                Some(_) => at += blank_width(&self.original[at..line.end]),
            }
            rendered.places.push(from..rendered.text.len());
        }
        if here.last().is_some_and(Piece::is_dropped) {
            rendered.text.truncate(rendered.text.trim_end().len());
        }
        rendered.text.push_str(&self.original[at..line.end]);
    }
}

fn ends_blank(text: &str) -> bool {
    text.is_empty() || text.ends_with("\n\n")
}

/// Blanks at the start, line breaks not among them.
fn blank_width(rest: &str) -> usize {
    rest.len() - rest.trim_start_matches(|c: char| c.is_whitespace() && !is_line_break(c)).len()
}
