//! Scores chunks by what their postings give, window after window of slots.
//!
//! Most postings are not looked at. Once enough good chunks are known, a chunk that holds only terms whose best postings
//! together do not reach them is no candidate (MaxScore, H. Turtle and J. Flood, 1995, here by windows of slots with the
//! bounds of each block of postings, S. Ding and T. Suel, 2011). What is found is what scoring every chunk would find, to
//! the last bit, where what postings give are multiples of one number and sums stay exact.

use super::index::{Bits, Cursor, Posting, Postings, Reach, ones};
use super::top::Top;

/// What a posting gives to the score of its chunk.
pub(super) trait Worth {
    /// For a term of this weight in the question; 0 or more, grows with the posting's count and does not grow with its
    /// length.
    fn part(&self, weight: f64, count: u16, length: u16) -> f64;
}

/// Slots that are scored side by side: their scores stay in the fastest memory.
pub(super) const WINDOW: usize = 2048;

/// A term's postings, as they are gone through.
struct List<'a> {
    cursor: Cursor<'a>,
    weight: f64,
    /// More than any posting in the window gives; 0 when there is none.
    bound: f64,
}

impl<'a> List<'a> {
    fn new(cursor: Cursor<'a>, weight: f64) -> Self {
        Self { cursor, weight, bound: 0.0 }
    }

    /// Looks at the window that ends here.
    fn look<W: Worth>(&mut self, end: u32, worth: &W) {
        let best = |(count, length)| worth.part(self.weight, count, length);
        let reach = self.cursor.reach_below(end);
        self.bound = reach.iter().flat_map(Reach::best).map(best).fold(0.0, f64::max);
    }

    fn part<W: Worth>(&self, posting: &Posting, worth: &W) -> f64 {
        worth.part(self.weight, posting.count, posting.length)
    }
}

/// A way through one index. All lists are gone through side by side, a window of slots at a time.
pub(super) struct Scan<'a, W> {
    lists: Vec<List<'a>>,
    visible: &'a Bits,
    worth: &'a W,
}

/// Scores of a window's slots, and which of them have one.
struct Window {
    start: usize,
    scores: [f64; WINDOW],
    touched: [u64; WINDOW / 64],
}

impl<'a, W: Worth> Scan<'a, W> {
    /// A way through these lists, each with what it counts in the question, along the visible slots.
    pub(super) fn new(
        lists: impl Iterator<Item = (&'a Postings, f64)>,
        visible: &'a Bits,
        worth: &'a W,
    ) -> Self {
        Self {
            lists: lists.map(|(postings, weight)| List::new(postings.start(), weight)).collect(),
            visible,
            worth,
        }
    }

    /// Tells the scores of visible chunks in order of slot: of each that holds a term and belongs into the list.
    pub(super) fn run(mut self, top: &mut Top, mut found: impl FnMut(&mut Top, u32, f64)) {
        let mut window = Window { start: 0, scores: [0.0; WINDOW], touched: [0; WINDOW / 64] };
        while let Some(next) = self.lists.iter().filter_map(|list| list.cursor.next_slot()).min() {
            window.start = next as usize / WINDOW * WINDOW;
            let end = (window.start + WINDOW) as u32;
            if self.visible.any_in(window.start / 64..(window.start + WINDOW) / 64) {
                self.window(&mut window, end, top, &mut found);
            }
            self.lists.iter_mut().for_each(|list| list.cursor.pass(end));
        }
    }

    fn window(
        &mut self,
        window: &mut Window,
        end: u32,
        top: &mut Top,
        found: &mut impl FnMut(&mut Top, u32, f64),
    ) {
        self.lists.iter_mut().for_each(|list| list.look(end, self.worth));
        self.lists.sort_unstable_by(|left, right| left.bound.total_cmp(&right.bound));
        // Chunks that hold only terms of the first lists do not reach what is there already.
        let (mut fillers, mut rest) = (0, 0.0);
        if let Some(floor) = top.floor() {
            while let Some(list) = self.lists.get(fillers)
                && rest + list.bound < floor
            {
                (fillers, rest) = (fillers + 1, rest + list.bound);
            }
        }
        if fillers > 0 && rest > 0.0 {
            top.left_some_out();
        }
        let (fillers, makers) = self.lists.split_at_mut(fillers);
        for list in makers.iter_mut().filter(|list| list.bound > 0.0) {
            window.add(list, end, self.visible, self.worth);
        }
        window.take(|top_slot, score| {
            if let Some(score) = filled(fillers, top_slot, score, rest, top.floor(), self.worth) {
                found(top, top_slot, score);
            } else {
                top.left_some_out();
            }
        });
    }
}

/// A chunk's score with what the other lists give, those that may give most first; `None` as soon as it cannot reach the
/// floor.
fn filled<W: Worth>(
    fillers: &mut [List<'_>],
    slot: u32,
    score: f64,
    rest: f64,
    floor: Option<f64>,
    worth: &W,
) -> Option<f64> {
    let (mut score, mut rest) = (score, rest);
    let reaches = |score: f64| floor.is_none_or(|floor| score >= floor);
    for list in fillers.iter_mut().rev().filter(|list| list.bound > 0.0) {
        if !reaches(score + rest) {
            return None;
        }
        rest -= list.bound;
        if let Some(posting) = list.cursor.find(slot) {
            score += list.part(posting, worth);
        }
    }
    reaches(score).then_some(score)
}

impl Window {
    fn add<W: Worth>(&mut self, list: &mut List<'_>, end: u32, visible: &Bits, worth: &W) {
        while let Some(piece) = list.cursor.piece_below(end) {
            for posting in piece.iter().filter(|posting| visible.contains(posting.slot)) {
                let at = (posting.slot as usize - self.start) % WINDOW;
                self.touched[at / 64] |= 1 << (at % 64);
                self.scores[at] += worth.part(list.weight, posting.count, posting.length);
            }
        }
    }

    /// Gives what has a score and forgets it.
    fn take(&mut self, mut each: impl FnMut(u32, f64)) {
        for (run, word) in self.touched.iter_mut().enumerate() {
            for bit in ones(std::mem::take(word)) {
                let at = run * 64 + bit as usize;
                each((self.start + at) as u32, std::mem::take(&mut self.scores[at]));
            }
        }
    }
}
