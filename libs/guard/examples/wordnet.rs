//! Writes the table of word classes, synonyms and opposites that the guard's features read, from the WordNet database.
//!
//! `cargo run -p copydesk-guard --example wordnet -- DICT > libs/guard/data/wordnet.txt`, where DICT is the folder with
//! `data.noun`, `data.verb`, `data.adj`, `data.adv` and `index.sense` of WordNet 3.1. The same database gives the same
//! bytes. The licence at the head of the database goes to the head of the table.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::error::Error;
use std::io::Write;
use std::path::Path;

use copydesk_guard::text::stem;

/// Stems that are kept: the most frequent in the texts that WordNet counted.
const KEPT: usize = 4000;
/// Senses of a word, by frequency, whose synonyms count.
const SENSES: u32 = 8;
/// Senses of a word whose indirect opposites (`wet`, so `damp`, against `dry`) count.
const CLEAR_SENSES: u32 = 3;
/// Letters that mark two stems as forms of one word: the guard sees those itself.
const KIN: usize = 5;

/// A part of speech and a place in its file.
type SynsetId = (char, u32);

struct Synset {
    class: u8,
    words: Vec<String>,
    pointers: Vec<Pointer>,
}

struct Pointer {
    kind: String,
    to: SynsetId,
    /// Word of this synset and of the other, from 1; 0 for all of them.
    from_word: usize,
    to_word: usize,
}

/// What a stem's words have been counted as.
#[derive(Default)]
struct Counted {
    times: u32,
    /// Of the most frequent sense: (times, lowest sense number first, class).
    leading: Option<(u32, std::cmp::Reverse<u32>, u8)>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: wordnet DICT")?;
    let folder = Path::new(&folder);
    let (mut synsets, mut notice) = (HashMap::new(), String::new());
    for (part, file) in [('n', "noun"), ('v', "verb"), ('a', "adj"), ('r', "adv")] {
        let data = std::fs::read_to_string(folder.join(format!("data.{file}")))?;
        if notice.is_empty() {
            notice = head(&data);
        }
        for line in data.lines().filter(|line| !line.starts_with("  ")) {
            let (at, synset) = synset(line).ok_or_else(|| format!("data.{file}: {line}"))?;
            synsets.insert((part, at), synset);
        }
    }
    let senses = std::fs::read_to_string(folder.join("index.sense"))?;
    let table = table(&synsets, &senses)?;
    Ok(std::io::stdout().write_all((notice + &table).as_bytes())?)
}

/// The lines at the head of a data file, as comments.
fn head(data: &str) -> String {
    let lines = data.lines().take_while(|line| line.starts_with("  "));
    let texts = lines.map(|line| line.trim_start().split_once(' ').map_or("", |(_, text)| text.trim()));
    texts.map(|text| format!("# {text}").trim_end().to_owned() + "\n").collect()
}

/// `offset class type count word id … pointers kind offset part words … | gloss`, as wndb(5WN) has it.
fn synset(line: &str) -> Option<(u32, Synset)> {
    let mut fields = line.split(" | ").next()?.split_ascii_whitespace();
    let at = fields.next()?.parse().ok()?;
    let class = fields.next()?.parse().ok()?;
    let count = usize::from_str_radix(fields.nth(1)?, 16).ok()?;
    let mut words = Vec::with_capacity(count);
    for _ in 0..count {
        let word = fields.next()?.to_ascii_lowercase();
        words.push(word.split('(').next()?.to_owned());
        fields.next()?;
    }
    let count: usize = fields.next()?.parse().ok()?;
    let mut pointers = Vec::with_capacity(count);
    for _ in 0..count {
        let kind = fields.next()?.to_owned();
        let to = fields.next()?.parse().ok()?;
        let part = fields.next()?.chars().next().map(|part| if part == 's' { 'a' } else { part })?;
        let ends = fields.next()?;
        let end = |range| usize::from_str_radix(ends.get(range)?, 16).ok();
        pointers.push(Pointer { kind, to: (part, to), from_word: end(0..2)?, to_word: end(2..4)? });
    }
    Some((at, Synset { class, words, pointers }))
}

fn is_plain(word: &str) -> bool {
    word.len() > 1 && word.bytes().all(|b| b.is_ascii_lowercase())
}

fn table(synsets: &HashMap<SynsetId, Synset>, senses: &str) -> Result<String, Box<dyn Error>> {
    let mut counted: BTreeMap<String, Counted> = BTreeMap::new();
    let (mut alike, mut opposed) = (BTreeSet::new(), BTreeSet::new());
    for line in senses.lines() {
        let mut fields = line.split_ascii_whitespace();
        let mut field = || fields.next().ok_or_else(|| format!("index.sense: {line}"));
        let (key, at, number, times) = (field()?, field()?, field()?, field()?);
        let (word, rest) = key.split_once('%').ok_or_else(|| format!("index.sense: {line}"))?;
        if !is_plain(word) {
            continue;
        }
        let part = match rest.as_bytes().first() {
            Some(b'1') => 'n',
            Some(b'2') => 'v',
            Some(b'4') => 'r',
            _ => 'a',
        };
        let (at, number, times): (u32, u32, u32) = (at.parse()?, number.parse()?, times.parse()?);
        let Some(synset) = synsets.get(&(part, at)) else { continue };
        let own = stem(word);
        let count = counted.entry(own.clone()).or_default();
        count.times += times;
        count.leading = count.leading.max(Some((times, std::cmp::Reverse(number), synset.class)));
        if number <= SENSES {
            relate(synsets, synset, word, number, |other, opposite| {
                let pair =
                    if own.as_str() < other.as_str() { (own.clone(), other) } else { (other, own.clone()) };
                if opposite {
                    opposed.insert(pair)
                } else {
                    alike.insert(pair)
                };
            });
        }
    }
    let mut stems: Vec<(u32, String, u8)> = counted
        .into_iter()
        .filter_map(|(stem, count)| Some((count.times, stem, count.leading?.2)))
        .filter(|(_, stem, _)| is_plain(stem))
        .collect();
    stems.sort_by(|left, right| right.0.cmp(&left.0).then_with(|| left.1.cmp(&right.1)));
    stems.truncate(KEPT);
    stems.sort_by(|left, right| left.1.cmp(&right.1));
    Ok(written(&stems, &alike, &opposed))
}

/// Tells the stems that one sense of a word makes its synonyms (`false`) and its opposites (`true`).
fn relate(
    synsets: &HashMap<SynsetId, Synset>,
    synset: &Synset,
    word: &str,
    number: u32,
    mut tell: impl FnMut(String, bool),
) {
    let mut tell = |other: &str, opposite| {
        if is_plain(other) && other != word {
            tell(stem(other), opposite);
        }
    };
    synset.words.iter().for_each(|other| tell(other, false));
    let place = synset.words.iter().position(|other| other == word).map_or(usize::MAX, |at| at + 1);
    for pointer in &synset.pointers {
        let Some(there) = synsets.get(&pointer.to) else { continue };
        let only = pointer.to_word.checked_sub(1).and_then(|at| there.words.get(at));
        match pointer.kind.as_str() {
            "!" if pointer.from_word == place => only.into_iter().for_each(|other| tell(other, true)),
            "+" | "\\" if pointer.from_word == place => only.into_iter().for_each(|other| tell(other, false)),
            "$" => there.words.iter().for_each(|other| tell(other, false)),
            "&" => {
                there.words.iter().for_each(|other| tell(other, false));
                let beyond = there.pointers.iter().filter(|next| next.kind == "!" && number <= CLEAR_SENSES);
                for next in beyond {
                    let far =
                        synsets.get(&next.to).and_then(|far| far.words.get(next.to_word.checked_sub(1)?));
                    far.into_iter().for_each(|other| tell(other, true));
                }
            }
            _ => {}
        }
    }
}

/// One line a stem: its class, its synonyms, and after `!` its opposites; each pair stands with the earlier stem, the
/// later one by the number of its line, from 0, in base 36.
fn written(
    stems: &[(u32, String, u8)],
    alike: &BTreeSet<(String, String)>,
    opposed: &BTreeSet<(String, String)>,
) -> String {
    let place: HashMap<&str, usize> = stems.iter().enumerate().map(|(at, s)| (s.1.as_str(), at)).collect();
    let kin = |pair: &(String, String)| pair.0.get(..KIN).is_some_and(|start| pair.1.starts_with(start));
    let mut lines: Vec<String> = stems.iter().map(|(_, stem, class)| format!("{stem} {class}")).collect();
    let mut add = |pairs: &BTreeSet<(String, String)>,
                   mark: &str,
                   takes: &dyn Fn(&(String, String)) -> bool| {
        for pair in pairs.iter().filter(|pair| pair.0 != pair.1 && takes(pair)) {
            if let (Some(first), Some(second)) = (place.get(pair.0.as_str()), place.get(pair.1.as_str())) {
                lines[*first] += &format!(" {mark}{}", base_36(*second));
            }
        }
    };
    add(alike, "", &|pair| !kin(pair) && !opposed.contains(pair));
    add(opposed, "!", &|_| true);
    lines.join("\n") + "\n"
}

fn base_36(mut number: usize) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from(b"0123456789abcdefghijklmnopqrstuvwxyz"[number % 36]));
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}
