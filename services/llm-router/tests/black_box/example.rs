//! The documented example is good, and routes as it says.
#![allow(clippy::unwrap_used, reason = "a failed step must stop the test")]

use copydesk_llm_router::app::{Board, Catalog};
use copydesk_llm_router::domain::{Ask, Capabilities, Decision, Routing, Strategy, Tier, decide};
use copydesk_llm_router::{Config, resolve_keys};
use copydesk_proto::llm_router::v1::Task;

fn example() -> Config {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/examples/llm-router.toml");
    let mut file: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    file.remove("llm_router").unwrap().try_into().unwrap()
}

fn catalog() -> Catalog {
    let mut config = example();
    assert_eq!(config.validate(), Vec::<String>::new());
    let missing = resolve_keys(&mut config.clone(), &|_| None);
    assert_eq!(missing.len(), 3, "every key stands in the environment: {missing:?}");
    let env = |name: &str| Some(format!("the {name}"));
    assert_eq!(resolve_keys(&mut config, &env), Vec::<String>::new());
    Catalog::build(&config, &Board::default()).unwrap()
}

fn decided(catalog: &Catalog, task: Task, input_tokens: u64) -> Decision {
    let ask = Ask {
        needs: Capabilities::CHAT,
        input_tokens,
        max_output_tokens: 2_048,
        ..catalog.ask(task, &Routing::default(), None)
    };
    decide(catalog.facts(), &[], &ask)
}

fn chain(decision: &Decision) -> Vec<&str> {
    decision.chain().map(|candidate| &*candidate.model).collect()
}

#[test]
fn each_task_goes_where_the_example_says() {
    let catalog = catalog();
    for (task, first) in [
        (Task::Qualification, "cerebras/gpt-oss-120b"),
        (Task::Research, "deepseek/deepseek-chat"),
        (Task::Draft, "anthropic/claude-sonnet-4-5"),
        (Task::Revise, "anthropic/claude-sonnet-4-5"),
        (Task::Finish, "anthropic/claude-sonnet-4-5"),
        (Task::SimpleParsing, "ollama/llama3.2:3b"),
        (Task::Strategy, "anthropic/claude-sonnet-4-5"),
        (Task::Unspecified, "anthropic/claude-sonnet-4-5"),
    ] {
        assert_eq!(chain(&decided(&catalog, task, 1_000))[0], first, "{task:?}");
    }
    assert!(catalog.task(Task::Draft).hedge);
}

#[test]
fn content_has_four_tiers() {
    let decision = decided(&catalog(), Task::Draft, 1_000);
    let tiers: Vec<_> = decision.chain().map(|one| (&*one.model, one.tier.unwrap())).collect();
    assert_eq!(
        tiers,
        [
            ("anthropic/claude-sonnet-4-5", Tier::Primary),
            ("anthropic/claude-haiku-4-5", Tier::Alternate),
            ("deepseek/deepseek-chat", Tier::Fallback),
            ("offline/extractive", Tier::Offline),
        ]
    );
}

#[test]
fn a_review_is_read_by_the_cheapest_that_has_room_for_it() {
    let catalog = catalog();
    assert_eq!(catalog.task(Task::Review).strategy, Strategy::Cost);
    let short = decided(&catalog, Task::Review, 1_000);
    assert_eq!(chain(&short)[..2], ["ollama/llama3.2:3b", "deepseek/deepseek-chat"]);
    let costs: Vec<i64> = short.chain().map(|one| one.worst_cost_nanos).collect();
    assert_eq!(costs[..2], [0, 1_140_160], "1,000 tokens at $0.28 and 2,048 at $0.42 a million");
    // Too long for the local model, and then for all but the large windows.
    assert_eq!(chain(&decided(&catalog, Task::Review, 7_000))[0], "deepseek/deepseek-chat");
    assert_eq!(chain(&decided(&catalog, Task::Review, 150_000))[0], "anthropic/claude-haiku-4-5");
}
