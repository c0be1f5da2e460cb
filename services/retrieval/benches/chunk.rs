//! How fast documents are cut: MB of Markdown for each second of processor time, beside the published tokenizer's
//! encoding alone, which is the floor of the same run.
//!
//! ```sh
//! cargo bench -p copydesk-retrieval --bench chunk                # the bundled documents
//! cargo bench -p copydesk-retrieval --bench chunk -- FOLDER…     # every .md and .txt of folders
//! ```
//!
//! `COPYDESK_BENCH_PYTHON`, an interpreter that has `llama-index-core`, adds its SentenceSplitter (256 tokens, overlap 50).

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench ends with what went wrong")]

mod peer;

use std::collections::HashSet;

use copydesk_retrieval::chunkers;
use copydesk_retrieval::domain::packing::{Sizes, pack};
use copydesk_retrieval::domain::source::Format;
use copydesk_retrieval::domain::tokens;

/// At least so many bytes are cut for each figure.
const WORK: usize = 16 * 1024 * 1024;

fn main() {
    // `cargo test --all-targets` starts benches too, and must not wait for one.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("nothing measured: run it with `cargo bench`");
        return;
    }
    let documents = peer::documents(&std::env::args().collect::<Vec<_>>());
    let bytes: usize = documents.iter().map(String::len).sum();
    println!("{} documents, {:.2} MB; MB per CPU-second:", documents.len(), bytes as f64 / 1e6);
    let bpe = tiktoken_rs::o200k_base_singleton();
    let floor = rate(&documents, |text| bpe.encode(text, &HashSet::new()).unwrap().0.len());
    println!("  {:<46} {floor:7.1}", "o200k_base of tiktoken-rs, encoding alone");
    let own = rate(&documents, |text| tokens::count(text).unwrap());
    line("o200k_base here, counting alone", own, floor);
    let outline = rate(&documents, |text| chunkers::outline(Format::Markdown, text).blocks.len());
    line("outline of Markdown alone", outline, floor);
    let peer = peer::llama_index(&documents, 256, 50);
    for (name, sizes) in [
        ("256 tokens, one level", Sizes { parent: 256, child: 256, overlap: 0 }),
        ("passages of 256 by 50, chunks of 128", Sizes { parent: 256, child: 128, overlap: 50 }),
        ("passages of 512 by 50, chunks of 128", Sizes { parent: 512, child: 128, overlap: 50 }),
    ] {
        let cut = rate(&documents, |text| {
            pack(text, &chunkers::outline(Format::Markdown, text), sizes).unwrap().len()
        });
        line(name, cut, floor);
        if let Some(peer) = peer {
            println!("  {:<46} {:7.1}  of llama-index's SentenceSplitter, {peer:.2}", "", cut / peer);
        }
    }
}

fn line(name: &str, rate: f64, floor: f64) {
    println!("  {name:<46} {rate:7.1}  {:5.2} of the floor", rate / floor);
}

/// MB for each second that this thread was on a processor.
fn rate(documents: &[String], work: impl Fn(&str) -> usize) -> f64 {
    let bytes: usize = documents.iter().map(String::len).sum();
    let rounds = WORK.div_ceil(bytes.max(1));
    // The first round reads tables and warms caches.
    let mut found: usize = documents.iter().map(|text| work(text)).sum();
    let begun = on_processor();
    for _ in 0..rounds {
        found += documents.iter().map(|text| work(text)).sum::<usize>();
    }
    let seconds = on_processor() - begun;
    std::hint::black_box(found);
    (bytes * rounds) as f64 / 1e6 / seconds
}

/// Seconds that this thread has been on a processor.
fn on_processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}
