//! The sources of one check, taken apart once: sentences, words as numbers, postings, quantities.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::ops::Range;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;

use crate::facts::{
    Entity, Quantity, entities, has_opposite, is_negation, may_begin_quantity, quantities, quantities_among,
};
use crate::lexicon::{Key, Lexicon, Postings};
use crate::order::{Opening, Valued};
use crate::report::{Evidence, Source};
use crate::sketch::{Sketch, kin, pair, triple};
use crate::text::{Word, WordReader, Words, is_stop_word, sentences, stem, with_stem, with_stem_key, words};

/// Position of a source sentence in [`Index::passages`].
pub(crate) type PassageId = u32;

/// One sentence of a source.
#[derive(Debug)]
pub(crate) struct Passage {
    pub(crate) source: usize,
    /// Bytes in the source's text.
    pub(crate) span: Range<usize>,
    /// Its words in order, as numbers of [`Index::form`].
    pub(crate) forms: Vec<u32>,
    /// Its numbers; spans count from the start of the sentence.
    pub(crate) quantities: Vec<Quantity>,
    /// How many different content words and numbers it has.
    pub(crate) breadth: usize,
}

#[derive(Debug)]
pub(crate) struct Index<'a> {
    sources: Vec<Source<'a>>,
    pub(crate) passages: Vec<Passage>,
    /// Lower-cased words.
    forms: Lexicon,
    /// What is known of each form.
    traits: Vec<Traits>,
    /// Stems of the words; the keys of the quantities are counted with them, as the sketch of neighbours goes by the numbers.
    stems: Lexicon,
    /// Passages by stem, ascending.
    postings: Postings,
    /// What passages begin with; ascending.
    openings: Vec<Opening>,
    /// Quantities that match by their value, ascending, with their passages.
    by_value: Vec<Valued>,
    /// Passages with another kind of quantity, ascending.
    by_kind: Vec<PassageId>,
    /// Words of all passages.
    length: usize,
    has_negation: bool,
    /// Neighbouring stems of a passage, two and three.
    neighbours: Sketch,
    /// First letters of long stems.
    kin: Sketch,
}

/// What is known of a form wherever it stands.
#[derive(Debug, Clone, Copy)]
struct Traits {
    stem: u32,
    may_begin_quantity: bool,
}

/// What the passages are read with, one after the other.
#[derive(Debug, Default)]
struct Desk {
    reader: WordReader,
    /// Stem and passage that has it, by passage.
    held: Vec<(u32, PassageId)>,
    /// How many passages there were when a stem, or a key of a quantity, was last met.
    met: Vec<u32>,
    keys: HashTable<Said>,
    hasher: RandomState,
    /// Positions of the passage's words that may begin a quantity.
    beginnings: Vec<usize>,
}

/// What quantities share that say the same, by the first of them.
#[derive(Debug)]
struct Said {
    hash: u64,
    /// Counted with the stems.
    number: u32,
    passage: PassageId,
    /// Position in the passage's quantities.
    at: usize,
}

impl Desk {
    /// Whether this stem or key is new to this passage.
    fn meets(&mut self, number: u32, passage: PassageId) -> bool {
        let (at, now) = (number as usize, passage + 1);
        match self.met.get_mut(at) {
            Some(before) => std::mem::replace(before, now) != now,
            None => {
                self.met.resize(at, 0);
                self.met.push(now);
                true
            }
        }
    }
}

impl<'a> Index<'a> {
    pub(crate) fn build(sources: &[Source<'a>]) -> Self {
        let bytes: usize = sources.iter().map(|source| source.text.len()).sum();
        // Texts repeat their words: the longer they are the more.
        let room = (bytes / 24).min(1 << 14);
        let mut index = Self {
            sources: sources.to_vec(),
            passages: Vec::with_capacity((bytes / 96).min(1 << 14)),
            forms: Lexicon::with_room(room),
            traits: Vec::with_capacity(room),
            stems: Lexicon::with_room(room),
            postings: Postings::default(),
            openings: Vec::new(),
            by_value: Vec::new(),
            by_kind: Vec::new(),
            length: 0,
            has_negation: false,
            neighbours: Sketch::for_entries(sources.iter().map(|source| source.text.len() / 3).sum()),
            kin: Sketch::for_entries(sources.iter().map(|source| source.text.len() / 24).sum()),
        };
        let mut desk = Desk { held: Vec::with_capacity((bytes / 7).min(1 << 18)), ..Desk::default() };
        for (at, source) in sources.iter().enumerate() {
            for sentence in sentences(source.text) {
                index.add(at, source.text, sentence.span, &mut desk);
            }
        }
        index.postings = Postings::of(&desk.held, index.stems.len());
        index.openings.sort_unstable();
        index.by_value.sort_unstable();
        index
    }

    fn add(&mut self, source: usize, text: &str, span: Range<usize>, desk: &mut Desk) {
        let Some(id) = PassageId::try_from(self.passages.len()).ok().filter(|id| *id < PassageId::MAX) else {
            return;
        };
        let raw = &text[span.clone()];
        desk.reader.read(raw);
        let forms = self.file(id, desk);
        let quantities = quantities_among(raw, &desk.reader, desk.beginnings.iter().copied());
        self.openings.extend(forms.first().map(|first| Opening::new(*first, forms.get(1).copied(), id)));
        self.length += forms.len();
        self.passages.push(Passage { source, span, forms, quantities, breadth: 0 });
        self.passages[id as usize].breadth = self.breadth(id, desk);
    }

    /// Files a passage under the stems of its words and notes which are neighbours and which may begin a quantity; its forms.
    fn file(&mut self, id: PassageId, desk: &mut Desk) -> Vec<u32> {
        let forms: Vec<u32> = (0..desk.reader.count()).map(|at| self.intern(&desk.reader, at)).collect();
        desk.beginnings.clear();
        let (mut first, mut second) = (0, 0);
        for (at, form) in forms.iter().enumerate() {
            let Traits { stem, may_begin_quantity } = self.traits[*form as usize];
            if may_begin_quantity {
                desk.beginnings.push(at);
            }
            if desk.meets(stem, id) {
                desk.held.push((stem, id));
            }
            if at > 0 {
                self.neighbours.insert(pair(second, stem));
            }
            if at > 1 {
                self.neighbours.insert(triple(first, second, stem));
            }
            (first, second) = (second, stem);
        }
        forms
    }

    /// Files a passage that is there under its quantities; how many different stems and quantities it has.
    fn breadth(&mut self, id: PassageId, desk: &mut Desk) -> usize {
        let mut breadth = desk.held.iter().rev().take_while(|(_, holder)| *holder == id).count();
        for at in 0..self.passages[id as usize].quantities.len() {
            self.hold(id, at);
            let number = self.key(id, at, desk);
            breadth += usize::from(desk.meets(number, id));
        }
        breadth
    }

    /// The number of what this quantity of a passage says.
    fn key(&mut self, passage: PassageId, at: usize, desk: &mut Desk) -> u32 {
        let identity = self.passages[passage as usize].quantities[at].identity();
        let hash = desk.hasher.hash_one(identity);
        let same = |key: &Said| {
            key.hash == hash && self.passages[key.passage as usize].quantities[key.at].identity() == identity
        };
        match desk.keys.entry(hash, same, |key| key.hash) {
            Slot::Occupied(slot) => slot.get().number,
            Slot::Vacant(slot) => {
                let number = self.stems.skip();
                slot.insert(Said { hash, number, passage, at });
                number
            }
        }
    }

    /// Files a quantity under what it can be found by.
    fn hold(&mut self, id: PassageId, at: usize) {
        let quantity = &self.passages[id as usize].quantities[at];
        if quantity.goes_by_value() {
            self.by_value.push(Valued::new(quantity.value, id));
        } else if self.by_kind.last() != Some(&id) {
            self.by_kind.push(id);
        }
    }

    /// The number of a word that was read.
    #[inline]
    fn intern(&mut self, reader: &WordReader, at: usize) -> u32 {
        let packed = reader.packed(at);
        let known = if packed == 0 { None } else { self.forms.find_packed(packed) };
        known.unwrap_or_else(|| self.intern_key(Key::of(reader.lower(at))))
    }

    #[inline(never)]
    fn intern_key(&mut self, lower: Key<'_>) -> u32 {
        let (form, is_new) = self.forms.intern(lower);
        if is_new {
            self.learn(lower);
        }
        form
    }

    /// Notes what is known of a new form.
    fn learn(&mut self, lower: Key<'_>) {
        let stem = with_stem_key(lower, |stem| self.intern_stem(stem));
        self.traits.push(Traits { stem, may_begin_quantity: may_begin_quantity(lower.word()) });
        self.has_negation |= is_negation(lower.word());
    }

    fn intern_stem(&mut self, stem: Key<'_>) -> u32 {
        let (id, is_new) = self.stems.intern(stem);
        if let Some(family) = kin(stem.word()).filter(|_| is_new) {
            self.kin.insert(family);
        }
        id
    }

    pub(crate) fn sources(&self) -> &[Source<'a>] {
        &self.sources
    }

    /// The number of a lower-cased word's stem, when a source has it.
    pub(crate) fn stem_id(&self, lower: &str) -> Option<u32> {
        match self.forms.find(lower) {
            Some(form) => Some(self.traits[form as usize].stem),
            None => with_stem(lower, |stem| self.stems.find(stem)),
        }
    }

    /// Whether this is the number of that stem.
    pub(crate) fn is_stem(&self, id: u32, stem: &str) -> bool {
        self.stems.find(stem) == Some(id)
    }

    /// The stems of a passage's words, in order.
    pub(crate) fn stems_of(&self, passage: &Passage) -> impl Iterator<Item = u32> {
        passage.forms.iter().map(|form| self.traits[*form as usize].stem)
    }

    /// Whether some passage has these stems as neighbours. About one in a hundred is wrongly thought to be there.
    pub(crate) fn has_pair(&self, first: u32, second: u32) -> bool {
        self.neighbours.has(pair(first, second))
    }

    /// Whether some passage has these stems in a row; as exact as [`Self::has_pair`].
    pub(crate) fn has_triple(&self, first: u32, second: u32, third: u32) -> bool {
        self.neighbours.has(triple(first, second, third))
    }

    /// Whether a source has a word that begins like this one, which is likely to be another form of it.
    pub(crate) fn has_kin(&self, stem: &str) -> bool {
        kin(stem).is_some_and(|family| self.kin.has(family))
    }

    /// Whether any source denies anything.
    pub(crate) fn has_negation(&self) -> bool {
        self.has_negation
    }

    /// Words of all passages.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// The number of a lower-cased word, when a source has it.
    pub(crate) fn form(&self, lower: &str) -> Option<u32> {
        self.forms.find(lower)
    }

    /// The lower-cased words of a passage.
    pub(crate) fn lowers(&self, passage: &Passage) -> impl Iterator<Item = &str> {
        passage.forms.iter().map(|form| self.forms.word(*form))
    }

    /// The passages that have a word with this stem, ascending.
    pub(crate) fn with_stem(&self, stem: &str) -> &[PassageId] {
        self.stems.find(stem).map_or(&[], |id| self.postings.of_stem(id))
    }

    /// The passages that have a quantity which says the same, ascending.
    pub(crate) fn with_quantity(&self, wanted: &Quantity) -> Vec<PassageId> {
        let holds =
            |id: &PassageId| self.passage(*id).quantities.iter().any(|quantity| wanted.matches(quantity));
        let Some(values) = wanted.near_values() else {
            return (0..).take(self.passages.len()).filter(holds).collect();
        };
        let from = self.by_value.partition_point(|valued| valued.value() < values.start);
        let near = self.by_value[from..].iter().take_while(|valued| valued.value() <= values.end);
        let mut found: Vec<PassageId> =
            near.map(|valued| valued.passage()).chain(self.by_kind.iter().copied()).collect();
        found.sort_unstable();
        found.dedup();
        found.retain(holds);
        found
    }

    /// The passages that begin as these forms do, ascending: with the first two of them, or with the first and no more.
    pub(crate) fn opening_with(&self, forms: &[u32]) -> Vec<PassageId> {
        let Some(first) = forms.first() else { return Vec::new() };
        let with = |second: Option<u32>| {
            let (least, last) =
                (Opening::new(*first, second, 0), Opening::new(*first, second, PassageId::MAX));
            let from = self.openings.partition_point(|opening| *opening < least);
            let count = self.openings[from..].partition_point(|opening| *opening <= last);
            self.openings[from..from + count].iter().map(|opening| opening.passage())
        };
        let mut found: Vec<PassageId> = with(None).collect();
        if let Some(second) = forms.get(1) {
            found.extend(with(Some(*second)));
            found.sort_unstable();
        }
        found
    }

    /// How telling a word is that `holders` passages have: rare words weigh more.
    pub(crate) fn weight(&self, holders: usize) -> f64 {
        (1.0 + (self.passages.len() as f64 + 1.0) / (holders as f64 + 0.5)).ln()
    }

    pub(crate) fn passage(&self, id: PassageId) -> &Passage {
        &self.passages[id as usize]
    }

    /// The passage before this one in the same source: a heading or lead-in often holds the topic.
    pub(crate) fn before(&self, id: PassageId) -> Option<PassageId> {
        let previous = id.checked_sub(1)?;
        (self.passage(previous).source == self.passage(id).source).then_some(previous)
    }

    /// The passage after this one in the same source.
    pub(crate) fn after(&self, id: PassageId) -> Option<PassageId> {
        let next = self.passages.get(id as usize + 1)?;
        (next.source == self.passage(id).source).then_some(id + 1)
    }

    pub(crate) fn quote(&self, id: PassageId) -> &'a str {
        let passage = self.passage(id);
        &self.sources[passage.source].text[passage.span.clone()]
    }

    /// Evidence that reaches from the first to the last of these neighbouring passages.
    pub(crate) fn evidence(&self, passages: Range<PassageId>) -> Option<Evidence> {
        let first = self.passages.get(passages.start as usize)?;
        let last = self.passages.get(passages.end.checked_sub(1)? as usize)?;
        let source = &self.sources[first.source];
        let span = first.span.start..last.span.end;
        let quote = source.text.get(span.clone())?.to_owned();
        Some(Evidence { source_id: source.id.to_owned(), source_index: first.source, span, quote })
    }

    /// Whether neighbouring words of some passage begin with these letters: `LLM` for `large language model`.
    pub(crate) fn spells_out(&self, acronym: &str) -> bool {
        let letters: Vec<char> = acronym.chars().collect();
        let initial = |form: &u32| self.forms.word(*form).chars().next().unwrap_or(' ');
        (2..=5).contains(&letters.len())
            && self.passages.iter().any(|passage| {
                let content: Vec<char> = passage.forms.iter().map(initial).collect();
                content.windows(letters.len()).any(|run| run == letters)
            })
    }
}

/// A sentence to be checked, taken apart; spans count from its start.
#[derive(Debug)]
pub(crate) struct Parsed<'t> {
    pub(crate) raw: &'t str,
    pub(crate) words: Vec<Word>,
    pub(crate) quantities: Vec<Quantity>,
    pub(crate) entities: Vec<Entity>,
    pub(crate) terms: Vec<Term>,
    /// Whether some word has an opposite, as few have.
    pub(crate) has_opposites: bool,
}

/// A content word or number of the checked sentence and where the sources have it.
#[derive(Debug)]
pub(crate) struct Term {
    pub(crate) key: String,
    /// Position of its first word.
    pub(crate) word: usize,
    pub(crate) weight: f64,
    pub(crate) is_number: bool,
    /// Fits any subject, so that its absence from the sources says little.
    pub(crate) is_generic: bool,
    /// Ascending.
    pub(crate) holders: Vec<PassageId>,
}

impl<'t> Parsed<'t> {
    pub(crate) fn new(index: &Index<'_>, raw: &'t str) -> Self {
        Self::of_words(index, raw, words(raw))
    }

    /// The sentence with its words, which are read already.
    pub(crate) fn of_words(index: &Index<'_>, raw: &'t str, words: Vec<Word>) -> Self {
        let quantities = quantities(raw, &words);
        let terms = terms_of(index, &words, &quantities);
        let has_opposites = words.iter().any(|word| has_opposite(&word.lower));
        Self { raw, entities: entities(raw, &words), words, quantities, terms, has_opposites }
    }
}

/// What a word that fits any subject weighs beside one that tells something.
const GENERIC_SHARE: f64 = 0.4;

/// Whether a stem is that of a word which says little by itself (`come`, `provide`, `several`).
fn is_generic(stem: &str) -> bool {
    const STEMS: [&str; 40] = [
        "come", "go", "make", "take", "give", "use", "help", "provid", "offer", "includ", "work", "want",
        "keep", "becom", "bring", "find", "know", "look", "put", "seem", "show", "start", "tri", "turn",
        "way", "thing", "sever", "mani", "various", "differ", "new", "good", "great", "actual", "real",
        "simpli", "easili", "current", "today", "need",
    ];
    STEMS.contains(&stem)
}

/// The different content words and strict numbers of a sentence; a number's words are no words besides.
fn terms_of(index: &Index<'_>, words: &[Word], quantities: &[Quantity]) -> Vec<Term> {
    let mut counted = vec![false; words.len()];
    let mut seen: HashSet<String, RandomState> = HashSet::default();
    let mut terms = Vec::new();
    for quantity in quantities.iter().filter(|quantity| !quantity.loose) {
        counted[quantity.words.clone()].fill(true);
        if seen.insert(quantity.key()) {
            terms.push(Term::number(index, quantity));
        }
    }
    for (at, word) in
        words.iter().enumerate().filter(|(at, word)| !counted[*at] && !is_stop_word(&word.lower))
    {
        let key = stem(&word.lower);
        if seen.insert(key.clone()) {
            terms.push(Term::word(index, key, at));
        }
    }
    terms
}

impl Term {
    fn number(index: &Index<'_>, quantity: &Quantity) -> Self {
        let holders = index.with_quantity(quantity);
        let weight = index.weight(holders.len());
        let (key, word) = (quantity.key(), quantity.words.start);
        Self { key, word, weight, is_number: true, is_generic: false, holders }
    }

    fn word(index: &Index<'_>, key: String, word: usize) -> Self {
        let holders = index.with_stem(&key).to_vec();
        let is_generic = is_generic(&key);
        let weight = index.weight(holders.len()) * if is_generic { GENERIC_SHARE } else { 1.0 };
        Self { key, word, weight, is_number: false, is_generic, holders }
    }
}
