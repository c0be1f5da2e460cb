//! What a choice among 200 models costs, per strategy, against a floor in the same run.
//!
//! `cargo bench -p copydesk-llm-router --bench decide`
//!
//! - `floor`: copying 200 numbers and sorting them, which is the least that an order of 200 things takes here.
//! - the others: one `decide` with every rule in use: a preference, a budget, ill and busy models, two abilities.
//!
//! Rounds are short and all take turns, so that other load on the machine falls on all of them. The ratio of the medians
//! is the figure to compare between machines and commits; microseconds are not.
#![allow(clippy::print_stdout, reason = "the figures are its purpose")]

use std::hint::black_box;
use std::time::Instant;

use copydesk_llm_router::domain::{Ask, Capabilities, ModelFacts, ModelState, Strategy, Weights, decide};
use copydesk_types::{NanoDollars, Price};
use hdrhistogram::Histogram;

const MODELS: u32 = 200;
const ROUNDS: usize = 200;
const CALLS: u64 = 100;
/// Nanoseconds: up to ten seconds, three digits.
const BOUNDS: (u64, u64, u8) = (1, 10_000_000_000, 3);
const STRATEGIES: [(&str, Strategy); 5] = [
    ("task", Strategy::Task),
    ("cost", Strategy::Cost),
    ("latency", Strategy::Latency),
    ("weighted", Strategy::Weighted),
    ("unified", Strategy::Unified),
];

fn main() -> Result<(), hdrhistogram::CreationError> {
    // `cargo test --all-targets` starts benches too, and must not wait for one.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("nothing measured: run it with `cargo bench`");
        return Ok(());
    }
    let (models, states, preference) = catalogue();
    let weights = Weights::default();
    let ask = |strategy, seed| Ask {
        needs: Capabilities::CHAT | Capabilities::JSON_SCHEMA,
        preference: &preference,
        chain: None,
        pinned: None,
        strategy,
        weights: &weights,
        input_tokens: 6_000,
        max_output_tokens: 2_048,
        budget_left: Some(NanoDollars(9_000_000)),
        max_cost: None,
        no_offline: false,
        seed,
        price_version: "2026-11",
        catalogue_version: 1,
    };
    let keys: Vec<u64> = states.iter().map(|state| state.latency_us).collect();
    let (least, most, digits) = BOUNDS;
    let new = || Histogram::<u64>::new_with_bounds(least, most, digits);
    let mut floor = new()?;
    let mut measured = Vec::new();
    for (name, strategy) in STRATEGIES {
        measured.push((name, strategy, new()?));
    }
    for round in 0..ROUNDS as u64 {
        // The first tenth warms caches and the branch predictor and is thrown away.
        let counts = round >= ROUNDS as u64 / 10;
        measure(&mut floor, counts, |_| {
            let mut sorted = black_box(&keys).clone();
            sorted.sort_unstable();
            sorted
        });
        for (_, strategy, histogram) in &mut measured {
            measure(histogram, counts, |call| {
                decide(black_box(&models), black_box(&states), &ask(*strategy, round * CALLS + call))
            });
        }
    }
    let suitable = decide(&models, &states, &ask(Strategy::Task, 0)).chain().count();
    println!("{MODELS} models, {suitable} of them suitable; {} decisions each", floor.len());
    let base = floor.value_at_quantile(0.5).max(1);
    print("floor", &floor, base);
    for (name, _, histogram) in &measured {
        print(name, histogram, base);
    }
    Ok(())
}

fn measure<T>(histogram: &mut Histogram<u64>, counts: bool, call: impl Fn(u64) -> T) {
    for number in 0..CALLS {
        let began = Instant::now();
        let made = black_box(call(number));
        let took = began.elapsed();
        // Freeing is part of what a call pays, but later; it is kept out of all of them alike.
        drop(made);
        if counts {
            histogram.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1));
        }
    }
}

fn print(name: &str, histogram: &Histogram<u64>, base: u64) {
    let micros = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1_000.0;
    println!(
        "{name:>9}  p50 {:8.2} µs   p99 {:8.2} µs   p99.9 {:8.2} µs   x floor {:.1}",
        micros(0.5),
        micros(0.99),
        micros(0.999),
        histogram.value_at_quantile(0.5) as f64 / base as f64
    );
}

/// Models of twenty providers, of all prices, sizes and states; the same in every run.
fn catalogue() -> (Vec<ModelFacts>, Vec<ModelState>, Vec<u32>) {
    let models: Vec<ModelFacts> = (0..MODELS).map(model).collect();
    let states = (0..MODELS).map(|i| ModelState {
        breaker_open: i.is_multiple_of(23),
        limited: i.is_multiple_of(29),
        latency_us: u64::from(i * 7_919 % 1_000) * 1_000,
        error_rate: f64::from(i % 10) / 50.0,
    });
    let preference = (0..MODELS).map(|i| if i.is_multiple_of(17) { i / 17 } else { u32::MAX }).collect();
    (models, states.collect(), preference)
}

fn model(i: u32) -> ModelFacts {
    let nanos = i64::from(i * 6_007 % 500) * 2_000_000;
    let able = Capabilities::CHAT | Capabilities::JSON_SCHEMA | Capabilities::TOOLS;
    ModelFacts {
        name: format!("provider-{}/model-{i}", i / 10).into(),
        provider: u16::try_from(i / 10).unwrap_or(u16::MAX),
        price: Price { input: nanos, cached_input: nanos / 2, output: nanos * 4 },
        context_tokens: if i.is_multiple_of(31) { 4_096 } else { 131_072 },
        max_output_tokens: 0,
        capabilities: if i.is_multiple_of(19) { Capabilities::CHAT } else { able },
        offline: i + 1 == MODELS,
        weight: f64::from(i % 5),
    }
}
