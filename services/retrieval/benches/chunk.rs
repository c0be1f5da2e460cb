//! How fast documents are cut: MB of Markdown for each second of processor time, beside the published tokenizer's
//! encoding alone, which is the floor of the same run.
//!
//! ```sh
//! cargo bench -p copydesk-retrieval --bench chunk                # the bundled documents
//! cargo bench -p copydesk-retrieval --bench chunk -- FILE…       # Markdown of your own
//! ```

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench ends with what went wrong")]

use std::collections::HashSet;
use std::path::Path;

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
    let given: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let documents = if given.is_empty() {
        bundled(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../all-in-one/samples"))
    } else {
        given.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
    };
    let bytes: usize = documents.iter().map(String::len).sum();
    println!("{} documents, {:.2} MB; MB per CPU-second:", documents.len(), bytes as f64 / 1e6);
    let bpe = tiktoken_rs::o200k_base_singleton();
    let floor = rate(&documents, |text| bpe.encode(text, &HashSet::new()).unwrap().0.len());
    println!("  {:<46} {floor:7.1}", "o200k_base of tiktoken-rs, encoding alone");
    let own = rate(&documents, |text| tokens::count(text).unwrap());
    line("o200k_base here, counting alone", own, floor);
    let outline = rate(&documents, |text| chunkers::outline(Format::Markdown, text).blocks.len());
    line("outline of Markdown alone", outline, floor);
    for (name, sizes) in [
        ("256 tokens, one level", Sizes { parent: 256, child: 256, overlap: 0 }),
        ("passages of 256 by 50, chunks of 128", Sizes { parent: 256, child: 128, overlap: 50 }),
        ("passages of 512 by 50, chunks of 128", Sizes { parent: 512, child: 128, overlap: 50 }),
    ] {
        let cut = rate(&documents, |text| {
            pack(text, &chunkers::outline(Format::Markdown, text), sizes).unwrap().len()
        });
        line(name, cut, floor);
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

fn bundled(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(bundled(&path));
        } else if path.extension().is_some_and(|end| end == "md") {
            found.push(std::fs::read_to_string(&path).unwrap());
        }
    }
    found
}
