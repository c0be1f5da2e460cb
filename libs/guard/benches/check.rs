//! How long a check of a post takes. By hand: `cargo bench -p copydesk-guard --bench check`.
//!
//! A post of 3,000 characters against 20 passages of 512 tokens, on one core. The words are drawn from a Zipf-like law,
//! half of the post's sentences are edits of source sentences. In English, 512 tokens of o200k are 330 to 444 words of 2,112
//! to 2,737 characters, and 15 to 30 of a hundred words of twenty such passages are new ones (technical documentation,
//! abstracts, meetings and pages of the web): the words here are made to be like the worst of these.
#![allow(clippy::print_stdout, missing_docs)]

use std::time::{Duration, Instant};

use copydesk_guard::{Source, Thresholds, check};

const PASSAGES: usize = 20;
const WORDS: usize = 440;
const POST: usize = 3_000;
const ROUNDS: usize = 2_000;

/// The program's own.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// xorshift64 (Marsaglia 2003): the same texts every time.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }

    fn word(&mut self) -> String {
        const GRAMMAR: [&str; 12] =
            ["the", "of", "and", "to", "in", "is", "for", "with", "on", "that", "not", "as"];
        match self.below(10) {
            0..4 => GRAMMAR[self.below(GRAMMAR.len())].to_owned(),
            4 => format!("{}", self.below(900)),
            5 => format!("Name{}", self.below(60)),
            _ => {
                let mut rank = self.below(self.0 as usize % 1_200 + 1);
                let mut word = String::new();
                for _ in 0..3 {
                    word.push(char::from(b"bdfgklmnprst"[rank % 12]));
                    word.push(char::from(b"aeiou"[rank / 12 % 5]));
                    rank /= 7;
                }
                word + ["", "s", "ed", "ing"][self.below(4)]
            }
        }
    }

    fn sentence(&mut self) -> String {
        let words: Vec<String> = (0..12 + self.below(16)).map(|_| self.word()).collect();
        format!("The {}. ", words.join(" "))
    }
}

fn main() {
    let mut draw = Draw(0x5eed_1234_9876_4321);
    let passages: Vec<Vec<String>> = (0..PASSAGES)
        .map(|_| {
            let mut all = Vec::new();
            let mut words = 0;
            while words < WORDS {
                let next = draw.sentence();
                words += next.split(' ').count() - 1;
                all.push(next);
            }
            all
        })
        .collect();
    let texts: Vec<String> = passages.iter().map(|sentences| sentences.concat()).collect();
    let ids: Vec<String> = (0..PASSAGES).map(|at| at.to_string()).collect();
    let sources: Vec<Source<'_>> = ids.iter().zip(&texts).map(|(id, text)| Source { id, text }).collect();
    let posts: Vec<String> = (0..50)
        .map(|_| {
            let mut post = String::new();
            while post.len() < POST {
                let passage = &passages[draw.below(PASSAGES)];
                let edited = passage[draw.below(passage.len())].replacen(" and ", " but ", 1);
                post += &if draw.below(2) == 0 { edited } else { draw.sentence() };
            }
            post.truncate(POST);
            post
        })
        .collect();
    let words: Vec<&str> = texts.iter().flat_map(|text| text.split_ascii_whitespace()).collect();
    let new = words.iter().collect::<std::collections::HashSet<_>>().len();
    println!(
        "{} words of {} bytes a passage, {} in 100 new",
        words.len() / PASSAGES,
        texts.iter().map(String::len).sum::<usize>() / PASSAGES,
        new * 100 / words.len()
    );
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|round| {
            let began = Instant::now();
            std::hint::black_box(check(&posts[round % posts.len()], &sources, &Thresholds::default()));
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!(
        "least {:?}  p50 {:?}  p90 {:?}  p99 {:?}",
        times[0],
        times[ROUNDS / 2],
        times[ROUNDS * 9 / 10],
        times[ROUNDS * 99 / 100]
    );
}
