use std::collections::BTreeMap;

use copydesk_types::Secret;

use super::*;

#[test]
fn the_default_is_good_and_faults_come_together() {
    assert!(Config::default().validate().is_empty());
    let model = ModelConfig { name: "a b".into(), output_nanos_per_million: -1, ..ModelConfig::default() };
    let bad = ProviderConfig {
        name: "Open AI".into(),
        kind: "telepathy".into(),
        base_url: Some("ftp://x".into()),
        models: vec![model],
        timeout_s: 0.0,
        idle_timeout_s: f64::NAN,
        ..ProviderConfig::default()
    };
    let config = Config {
        providers: vec![bad.clone(), bad],
        price_version: String::new(),
        answer_retention_h: 0,
        ..Config::default()
    };
    let faults = config.validate();
    for key in [
        "providers[0].name:",
        "providers[0].kind:",
        "providers[0].base_url:",
        "providers[0].timeout_s:",
        "providers[0].idle_timeout_s:",
        "providers[0].models[0].name:",
        "providers[0].models[0].output_nanos_per_million:",
        "providers[1].name: another",
        "price_version:",
        "answer_retention_h:",
    ] {
        assert!(faults.iter().any(|f| f.starts_with(key)), "{key} is missing in {faults:?}");
    }
}

/// Every limit that the documentation states, crossed by a little.
#[test]
fn every_number_has_its_range() {
    let model = ModelConfig {
        name: "m".into(),
        capabilities: vec!["chat".into(), "telepathy".into()],
        weight: f64::INFINITY,
        embedding_batch: 2_049,
        ..ModelConfig::default()
    };
    let provider = ProviderConfig {
        name: "acme".into(),
        kind: "openai".into(),
        models: vec![model],
        max_concurrency: 100_001,
        queue_ms: 600_001,
        ..ProviderConfig::default()
    };
    let config = Config {
        providers: vec![provider],
        health_interval_s: 3_601,
        weights: Weights { preference: -0.1, cost: 1_000.5, latency: f64::NAN, errors: f64::INFINITY },
        breaker: BreakerConfig { failures: 0, failure_ratio: 1.1, window_s: 0, open_s: 3_601 },
        retry: RetryConfig { rounds: 11, base_ms: 0, longest_ms: 600_001, budget_ratio: -0.1 },
        cache: CacheConfig {
            ttl_s: 604_801,
            embedding_ttl_s: 31_536_001,
            memory_mib: 0,
            redis_url: Some(Secret::new("http://:hush@cache")),
            limits_wait_ms: 9,
        },
        ledger: LedgerConfig { queue_mib: 65_537, flush_ms: 0 },
        budget: BudgetConfig { slice_ratio: 0.0, lease_s: 59 },
        ..Config::default()
    };
    let expected = [
        "providers[0].max_concurrency: must be 0 to 100,000",
        "providers[0].queue_ms: must be 0 to 600,000",
        "providers[0].models[0].capabilities[1]: `telepathy` is none of chat, tools, images, json_schema, embed, rerank",
        "providers[0].models[0].weight: must be 0 to 1,000,000",
        "providers[0].models[0].embedding_batch: must be 0 to 2,048",
        "health_interval_s: must be 0 to 3,600",
        "weights.preference: must be 0 to 1,000",
        "weights.cost: must be 0 to 1,000",
        "weights.latency: must be 0 to 1,000",
        "weights.errors: must be 0 to 1,000",
        "breaker.failures: must be 1 to 1,000",
        "breaker.failure_ratio: must be 0 to 1",
        "breaker.window_s: must be 1 to 3,600",
        "breaker.open_s: must be 1 to 3,600",
        "retry.rounds: must be 1 to 10",
        "retry.base_ms: must be 1 to 60,000",
        "retry.longest_ms: must be 1 to 600,000",
        "retry.budget_ratio: must be 0 to 1",
        "cache.ttl_s: must be 0 to 604,800",
        "cache.embedding_ttl_s: must be 0 to 31,536,000",
        "cache.memory_mib: must be 1 to 65,536",
        "cache.limits_wait_ms: must be 10 to 60,000",
        "cache.redis_url: must be a redis:// address",
        "ledger.queue_mib: must be 1 to 65,536",
        "ledger.flush_ms: must be 1 to 60,000",
        "budget.slice_ratio: must be 0.001 to 1",
        "budget.lease_s: must be 60 to 86,400",
    ];
    assert_eq!(config.validate(), expected);
}

#[test]
fn a_key_stands_in_one_place() {
    let mut provider = ProviderConfig {
        name: "acme".into(),
        kind: "openai".into(),
        models: vec![ModelConfig { name: "m".into(), ..ModelConfig::default() }],
        api_key_env: Some("ACME_KEY".into()),
        ..ProviderConfig::default()
    };
    let faults = |provider: &ProviderConfig| {
        Config { providers: vec![provider.clone()], ..Config::default() }.validate()
    };
    assert!(faults(&provider).is_empty());
    provider.api_key_file = Some("/run/secrets/acme".into());
    assert_eq!(
        faults(&provider),
        ["providers[0].api_key: only one of api_key, api_key_env and api_key_file can be set"]
    );
    provider.api_key_env = None;
    assert!(faults(&provider).is_empty());
    provider.api_key = Some(Secret::new("s3cret"));
    assert_eq!(faults(&provider).len(), 1);
}

fn routed() -> Config {
    let model = |name: &str| ModelConfig { name: name.into(), ..ModelConfig::default() };
    let acme = ProviderConfig {
        name: "acme".into(),
        kind: "openai".into(),
        models: vec![model("org/large"), model("small")],
        ..ProviderConfig::default()
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let draft = TaskConfig {
        prefer: names(&["acme/small"]),
        chain: Some("all".into()),
        strategy: Some(crate::domain::Strategy::Cost),
        hedge: true,
    };
    Config {
        providers: vec![acme],
        chains: BTreeMap::from([(
            "all".into(),
            names(&["acme/org/large", "acme/small", "offline/extractive"]),
        )]),
        tasks: BTreeMap::from([("draft".into(), draft)]),
        ..Config::default()
    }
}

#[test]
fn tasks_and_chains_name_what_is_there() {
    let good = routed();
    assert_eq!(good.validate(), Vec::<String>::new());
    let mut bad = routed();
    bad.chains.insert("none".into(), Vec::new());
    bad.chains
        .insert("a b".into(), vec!["acme/small".into(), "acme/tiny".into(), "acme/small".into(), "x".into()]);
    bad.tasks.insert(
        "draught".into(),
        TaskConfig { prefer: vec!["acme".into()], chain: Some("gone".into()), ..TaskConfig::default() },
    );
    assert_eq!(
        bad.validate(),
        [
            "chains.a b: its name must have 1 to 64 characters and no blanks",
            "chains.a b[1]: `acme/tiny` is not a configured model",
            "chains.a b[2]: `acme/small` stands there twice",
            "chains.a b[3]: `x` is not a configured model",
            "chains.none: must name at least one model",
            "tasks.draught: there is no such task; there are default, qualification, research, strategy, draft, \
             review, revise, finish, simple_parsing, judge",
            "tasks.draught.prefer[0]: `acme` is not a configured model",
            "tasks.draught.chain: `gone` is not a configured chain",
        ]
    );
}

#[test]
fn the_offline_writer_can_be_named_by_the_name_that_it_has() {
    let named = |config: &Config| config.validate().is_empty();
    assert!(named(&routed()));
    let switched_off = Config { offline_fallback: false, ..routed() };
    assert_eq!(switched_off.validate(), ["chains.all[2]: `offline/extractive` is not a configured model"]);
    let mut placed = switched_off;
    placed.providers.push(ProviderConfig {
        name: "own".into(),
        kind: "offline".into(),
        ..ProviderConfig::default()
    });
    placed.chains.insert("all".into(), vec!["own/extractive".into()]);
    assert!(named(&placed));
    let mut taken = routed();
    taken.providers[0].name = "offline".into();
    taken.tasks.clear();
    taken.chains.insert("all".into(), vec!["offline/small".into(), "offline-writer/extractive".into()]);
    assert!(named(&taken));
}

#[test]
fn models_that_are_still_to_be_discovered_are_taken_on_trust() {
    let waiting = Config { providers: Vec::new(), ..routed() };
    assert!(waiting.validate().is_empty());
    assert_eq!(waiting.unknown_models().len(), 3, "two of the chain, one of the task");
    assert_eq!(Config { discovery: false, ..waiting }.validate().len(), 3);
    assert!(routed().unknown_models().is_empty());
}

#[test]
fn somebody_must_be_able_to_answer() {
    let config = Config { offline_fallback: false, ..Config::default() };
    assert_eq!(config.validate().len(), 1);
}

#[test]
fn keys_never_show() {
    let provider = ProviderConfig { api_key: Some(Secret::new("s3cret")), ..ProviderConfig::default() };
    let shown = format!("{provider:?} {}", serde_json::to_string(&provider).unwrap());
    assert!(!shown.contains("s3cret") && shown.contains("***"));
}
