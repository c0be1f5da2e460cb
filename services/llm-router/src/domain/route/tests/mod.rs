//! Fixtures; the rules by example, then by property.
mod examples;
mod properties;

use super::*;

const WEIGHTS: Weights = Weights { preference: 1.0, cost: 1.0, latency: 1.0, errors: 1.0 };

const PAID: Price = Price { input: 1_000_000, cached_input: 0, output: 1_000_000 };

/// A model that chats, of a known price of one nano-dollar a token.
fn model(name: &str, provider: u16) -> ModelFacts {
    ModelFacts {
        name: name.into(),
        provider,
        price: PAID,
        context_tokens: 0,
        max_output_tokens: 0,
        capabilities: Capabilities::CHAT,
        offline: false,
        weight: 0.0,
    }
}

fn writer() -> ModelFacts {
    ModelFacts { price: Price::default(), offline: true, ..model("offline/extractive", 99) }
}

/// A chat of 100 tokens with an answer of at most 50.
fn ask() -> Ask<'static> {
    Ask {
        needs: Capabilities::CHAT,
        preference: &[],
        chain: None,
        pinned: None,
        strategy: Strategy::Task,
        weights: &WEIGHTS,
        input_tokens: 100,
        max_output_tokens: 50,
        budget_left: None,
        max_cost: None,
        no_offline: false,
        seed: 0,
        price_version: "v",
        catalogue_version: 1,
    }
}

fn order(decision: &Decision) -> Vec<&str> {
    decision.chain().map(|candidate| &*candidate.model).collect()
}

fn verdict(decision: &Decision, name: &str) -> Verdict {
    decision.candidates.iter().find(|one| &*one.model == name).unwrap().verdict
}
