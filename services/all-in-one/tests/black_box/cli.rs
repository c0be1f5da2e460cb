//! The command line with the real program: every command says what it takes, does what it says, and fails with words
//! that help.
#![allow(clippy::expect_used, reason = "a test says what it expects")]
use std::io::Read;
use std::process::Stdio;

use crate::support::commands::*;
use crate::support::*;
use clap::CommandFactory;
use copydesk_all_in_one::cli::Cli;
use copydesk_proto::retrieval::v1 as retrieval;
use copydesk_testkit::client::{Client, Refusal};
use copydesk_testkit::program::{self, Program};
use copydesk_types::TenantId;
use serde_json::Value;
use tonic::Code;

#[test]
fn help_teaches_every_command_and_argument() {
    fn walk(command: &clap::Command, path: &mut Vec<String>, seen: &mut usize) {
        let args: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
        let help = good(&args);
        *seen += 1;
        for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
            assert!(
                arg.get_help().is_some() || ["help", "version"].contains(&arg.get_id().as_str()),
                "{path:?} {arg}"
            );
            let name = match arg.get_long() {
                Some(long) => format!("--{long}"),
                None => arg
                    .get_value_names()
                    .and_then(|names| names.first())
                    .map(|n| n.to_string())
                    .unwrap_or_default(),
            };
            assert!(help.contains(&name), "`{}` does not tell of {name}:\n{help}", args.join(" "));
        }
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            assert!(inner.get_about().is_some(), "{}", inner.get_name());
            assert!(help.contains(inner.get_name()), "{} in {help}", inner.get_name());
            path.push(inner.get_name().to_owned());
            walk(inner, path, seen);
            path.pop();
        }
    }
    let mut seen = 0;
    walk(&Cli::command(), &mut Vec::new(), &mut seen);
    assert!(seen > 15, "{seen} commands");
    assert!(bad(&["dmeo"]).contains("demo"), "a slip is put right");
}

#[test]
fn the_configuration_shows_itself_and_names_its_faults() {
    let (folder, data) = folder();
    let defaults = good(&["config", "default"]);
    let file = folder.path().join("all.toml");
    std::fs::write(&file, &defaults).expect("written");
    let file = file.to_str().expect("UTF-8");
    assert!(good(&["config", "check", "--data", &data, "--config", file]).contains("good"));
    let shown = |text: &str| text.parse::<toml::Table>().expect("TOML");
    let mut in_force = shown(&good(&["config", "show", "--data", &data, "--config", file]));
    // The tests themselves switch discovery off.
    in_force["llm_router"]["discovery"] = true.into();
    assert_eq!(in_force, shown(&defaults));

    let faults = ["server.admin=7790", "gateway.rate_limits.generate=0", "retrieval.chunk.child=9"];
    let mut args = vec!["config", "check", "--data", &data];
    args.extend(faults.iter().flat_map(|fault| ["--set", fault]));
    let said = bad(&args);
    for key in ["server.admin", "gateway.rate_limits.generate", "retrieval.chunk"] {
        assert!(said.contains(key), "{key} in {said}");
    }
    assert!(bad(&["config", "check", "--data", &data, "--set", "nonsense"]).contains("KEY=VALUE"));
    assert!(
        bad(&["config", "check", "--data", &data, "--config", "/nowhere.toml"]).contains("/nowhere.toml")
    );
    let wrong = ["config", "check", "--data", &data, "--set", "database.url=mysql://h/d"];
    assert!(bad(&wrong).contains("database.url: must begin with postgres://"));
    let secret = "database.url=postgres://user:s3cret@localhost/x";
    let shown = good(&["config", "show", "--data", &data, "--set", secret]);
    assert!(!shown.contains("s3cret") && shown.contains("***"), "{shown}");

    let schema: Value = serde_json::from_str(&good(&["config", "schema"])).expect("JSON");
    let parts = schema["properties"].as_object().expect("properties");
    for part in shown_parts(&defaults) {
        assert!(parts.contains_key(&part), "{part} is not in the schema");
    }
}

fn shown_parts(text: &str) -> Vec<String> {
    text.parse::<toml::Table>().expect("TOML").keys().cloned().collect()
}

#[test]
fn the_doctor_looks_at_everything_and_says_how_to_mend_it() {
    let (_folder, data) = folder();
    let healthy = good(&[&["doctor", "--data", &data][..], &FREE_PORTS].concat());
    for what in [
        "configuration",
        "data folder",
        "identity",
        "database",
        "gRPC port",
        "admin port",
        "models",
        "collector",
    ] {
        assert!(healthy.contains(what), "{what} in {healthy}");
    }
    let no_database = ["--set", "database.url=postgres://nobody@127.0.0.1:1/none"];
    let ill = run(&[&["doctor", "--data", &data][..], &FREE_PORTS, &no_database].concat());
    assert_eq!(ill.code, Some(1));
    assert!(ill.stdout.contains("BAD") && ill.stdout.contains("check database.url"), "{}", ill.stdout);
    let provider = "llm_router.providers=[{name=\"acme\",kind=\"openai\",base_url=\"http://127.0.0.1:1/v1\",models=[{name=\"m\"}]}]";
    let ill = run(&[&["doctor", "--data", &data][..], &FREE_PORTS, &["--set", provider]].concat());
    assert_eq!(ill.code, Some(1));
    assert!(ill.stdout.contains("acme: 127.0.0.1:1 does not answer"), "{}", ill.stdout);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = format!("server.listen={}", taken.local_addr().expect("an address"));
    let args = ["doctor", "--data", &data, "--set", "server.admin=127.0.0.1:0", "--set", &listen];
    let ill = run(&args);
    assert_eq!(ill.code, Some(1));
    assert!(ill.stdout.contains("choose another with --listen"), "{}", ill.stdout);
}

#[test]
fn completions_are_printed_for_every_shell() {
    for (shell, word) in
        [("bash", "_copydesk"), ("zsh", "#compdef copydesk"), ("fish", "complete -c copydesk")]
    {
        assert!(good(&["completions", shell]).contains(word), "{shell}");
    }
    bad(&["completions", "tcl"]);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    for args in [&["config", "schema"][..], &["config", "default"], &["completions", "bash"]] {
        let mut command = program::command(PROGRAM, args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        // Closed before a word was read.
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("words");
        assert_eq!((child.wait().expect("it ends").code(), said.as_str()), (Some(0), ""), "{args:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minted_token_opens_a_single_service() {
    let (_folder, data) = folder();
    let identity = format!("{data}/keys");
    assert!(good(&["identity", "init", "--dir", &identity]).contains("gateway"));
    let setting = format!("identity.dir={identity}");
    let service = std::path::Path::new(&data).join("retrieval");
    let settings = ["--set", setting.as_str()];
    let library = Program::serve(PROGRAM, "retrieval", &service, "127.0.0.1:0", &settings).await;
    let library = library.expect("the service starts");
    let tenant = TenantId::from_u128(5).to_string();
    let token =
        good(&["token", "mint", "--tenant", &tenant, "--identity", &identity, "--scope", "knowledge:read"]);
    let client = Client::new(&library.address, Some(&token)).expect("a client");
    let list = retrieval::ListKnowledgeBasesRequest::default();
    client.knowledge().list_knowledge_bases(list).await.expect("it is believed");
    let make = retrieval::CreateKnowledgeBaseRequest {
        request_id: "r".to_owned(),
        name: "n".to_owned(),
        ..Default::default()
    };
    let denied = client.knowledge().create_knowledge_base(make).await.expect_err("read only");
    assert_eq!(Refusal::of(&denied).reason, "SCOPE_MISSING");
    // Keys of another house open nothing.
    let other = format!("{data}/other");
    good(&["identity", "init", "--dir", &other]);
    let forged = good(&["token", "mint", "--tenant", &tenant, "--identity", &other]);
    let stranger = client.with_key(Some(&forged)).expect("a client");
    let list = retrieval::ListKnowledgeBasesRequest::default();
    let refused = stranger.knowledge().list_knowledge_bases(list).await.expect_err("not believed");
    assert_eq!(refused.code(), Code::Unauthenticated);

    assert!(bad(&["token", "mint", "--tenant", "acme", "--identity", &identity]).contains("ten_"));
    assert!(
        bad(&["token", "mint", "--tenant", &tenant, "--identity", &identity, "--ttl", "0"]).contains("ttl")
    );
    assert!(bad(&["token", "mint", "--tenant", &tenant, "--identity", "/nowhere"]).contains("/nowhere"));
}

#[test]
fn the_demo_is_one_document_with_all_the_facts() {
    // What is configured for the mesh that is kept is not the demo's.
    let mut command = program::command(PROGRAM, &["demo", "--json"]);
    command.env("COPYDESK__DATABASE__URL", "postgres://nobody@127.0.0.1:1/none");
    command.env("COPYDESK__IDENTITY__DIR", "/nowhere/at/all");
    let ended = command.output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && said.contains("writing with the offline writer"), "{said}");
    let told: Value = serde_json::from_slice(&ended.stdout).expect("one JSON document");
    assert!(told["ingested"]["documents"].as_u64() >= Some(30), "{}", told["ingested"]);
    let comment = told["feedback"]["comment"].as_str().expect("a comment");
    let limit = comment.split_whitespace().find_map(|word| word.parse::<usize>().ok()).expect("a limit");
    let words = |piece: &Value| {
        let text = piece["text"].as_str().unwrap_or_default();
        text.split_whitespace().filter(|word| !word.starts_with('#')).count()
    };
    assert!(limit * 10 <= words(&told["post"]) * 6 && words(&told["second_post"]) <= limit, "{comment}");
    for piece in ["post", "article", "second_post"] {
        let piece = &told[piece];
        assert_eq!(
            (&piece["state"], &piece["safety"]["is_safe"]),
            (&"RUN_STATE_SUCCEEDED".into(), &true.into())
        );
        assert!(piece["text"].as_str().is_some_and(|text| text.split_whitespace().count() > 40), "{piece}");
        assert!(piece["steps"].as_array().is_some_and(|steps| steps.len() >= 9), "{piece}");
        let sentences = piece["sentences"].as_array().expect("sentences").iter();
        let cited = sentences.filter(|s| s["verdict"] == "VERDICT_SUPPORTED").map(|s| &s["citations"][0]);
        assert!(cited.clone().count() >= 3);
        assert!(
            cited.clone().all(|citation| citation["quote"].as_str().is_some_and(|quote| !quote.is_empty()))
        );
        assert_eq!(
            (&piece["degraded"], &piece["models"]),
            (&true.into(), &serde_json::json!(["offline/extractive"]))
        );
    }
    let ids = |list: &Value| {
        let ids = list.as_array().into_iter().flatten().filter_map(|lesson| lesson["lesson_id"].as_str());
        ids.map(str::to_owned).collect::<std::collections::BTreeSet<_>>()
    };
    let learned = ids(&told["feedback"]["lessons"]);
    assert!(!learned.is_empty() && ids(&told["post"]["lessons"]).is_empty());
    assert_eq!(ids(&told["second_post"]["lessons"]), learned, "the second post names what it heeded");
    assert_eq!(told["span_tree"].as_array().map(Vec::len), Some(1), "one root");
    assert!(told["timings_ms"]["all of it"].as_u64() > Some(0));
}

#[test]
fn the_demo_takes_your_own_documents() {
    let (folder, path) = folder();
    let text = "# Our kiln and its cups\n\nOur kiln fires 40 cups at 1,220 degrees. A firing takes 11 hours. We glaze every cup by hand. \
                In 2025 we sold 3,100 cups. A cup costs 24 euros and holds 220 millilitres.\n";
    std::fs::write(folder.path().join("README.md"), text).expect("written");
    std::fs::write(
        folder.path().join("notes.txt"),
        "The kiln rests on Sundays. The kiln was built in 1998.\n",
    )
    .expect("written");
    std::fs::write(folder.path().join("photo.png"), b"\x89PNG").expect("written");
    let told = good(&["demo", "--docs", &path, "--brand", "Tonwerk", "--json"]);
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!((&told["brand"], &told["ingested"]["documents"]), (&"Tonwerk".into(), &2.into()));
    assert_eq!(told["topic"], "Our kiln and its cups", "the README's title");
    let text = told["post"]["text"].as_str().expect("a text");
    assert!(text.contains("kiln"), "{text}");
    assert!(!text.to_lowercase().contains("temperature alerts"), "none of the bundled documents");

    let (_empty, nothing) = self::folder();
    assert!(bad(&["demo", "--docs", &nothing]).contains("there are no documents"));
    let kept = ["demo", "--set", "database.url=postgres://nobody@127.0.0.1:1/none"];
    assert!(bad(&kept).contains("database.url"), "the demo touches nothing that is kept");
    assert!(bad(&["demo", "--docs", "/nowhere/at/all"]).contains("/nowhere/at/all"));
}
