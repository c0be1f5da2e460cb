//! The configuration is read anew while the program runs: the real binary, a file that changes, SIGHUP.
#![allow(clippy::expect_used, reason = "a test says what it expects")]
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use crate::support::commands::folder;
use crate::support::*;
use copydesk_proto::llm_router::v1 as llm;
use copydesk_testkit::program::Program;
use serde_json::{Value, json};

/// A program with a configuration file of its own, and the file.
struct Running {
    program: Program,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Running {
    async fn start(config: &str) -> Self {
        let (folder, path) = folder();
        let file = Path::new(&path).join("settings.toml");
        fs::write(&file, config).expect("written");
        let more = ["--config", file.to_str().expect("UTF-8"), "--set", "telemetry.log_format=json"];
        let program = Program::up(PROGRAM, &Path::new(&path).join("data"), &more).await.expect("it starts");
        Self { program, file, _folder: folder }
    }

    async fn models(&self) -> Vec<String> {
        let mut routing = self.program.client().expect("a client").routing();
        let found =
            within(routing.list_models(llm::ListModelsRequest {})).await.expect("models").into_inner();
        found.models.into_iter().map(|model| model.name).collect()
    }

    async fn until_models(&self, names: &[&str]) {
        let what = format!("the models {names:?}");
        until(&what, async || (self.models().await == names).then_some(())).await;
    }

    /// The log's lines with this message.
    fn said(&self, message: &str) -> Vec<Value> {
        let log = self.program.log().expect("a log");
        let mut lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        lines.retain(|line| line["message"] == message);
        lines
    }

    /// As editors do: a new file is put in the place of the old one.
    fn replace(&self, config: &str) {
        let new = self.file.with_extension("new");
        fs::write(&new, config).expect("written");
        fs::rename(&new, &self.file).expect("renamed");
    }
}

const ACCEPTED: &str = "a new configuration is in force";
const REFUSED: &str = "the new configuration is refused, the old one stays in force";

fn with_model(base_url: &str, model: &str) -> String {
    format!(
        "[[llm_router.providers]]\nname = \"acme\"\nkind = \"openai\"\nbase_url = \"{base_url}\"\napi_key = \"hush\"\n\
         models = [{{ name = \"{model}\" }}]\n"
    )
}

/// A provider that answers every call with the key that it came with, and the model that it asked for.
fn provider() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port");
    let address = listener.local_addr().expect("address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let Some(call) = wire::asked(&stream) else { continue };
            let model = call.body["model"].as_str().unwrap_or_default();
            let text = format!("{} for {model}", call.authorization);
            let message = json!({ "role": "assistant", "content": text });
            let choice = json!({ "index": 0, "message": message, "finish_reason": "stop" });
            let _ = wire::answer(&stream, "application/json", &json!({ "choices": [choice] }).to_string());
        }
    });
    format!("http://{address}/v1")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_to_the_new_model_with_the_new_key() {
    let keys = tempfile::tempdir().expect("folder");
    let key = keys.path().join("key");
    fs::write(&key, "k3y-first\n").expect("written");
    let with = |model: &str| {
        let key = format!("api_key_file = {:?}", key.to_str().expect("UTF-8"));
        with_model(&provider(), model).replace("api_key = \"hush\"", &key)
    };
    let running = Running::start(&with("one")).await;
    let answer = async || {
        let mut llm = running.program.client().expect("a client").llm();
        let message = llm::Message {
            role: llm::Role::User.into(),
            text: "Who are you?".to_owned(),
            ..Default::default()
        };
        let request = llm::GenerateRequest { messages: vec![message], ..Default::default() };
        within(llm.generate(request)).await.expect("an answer").into_inner().text
    };
    assert_eq!(answer().await, "Bearer k3y-first for one");
    running.replace(&with("two"));
    running.until_models(&["acme/two", "offline/extractive"]).await;
    assert_eq!(answer().await, "Bearer k3y-first for two");
    // The file of the key is watched like the configuration.
    fs::write(&key, "k3y-second\n").expect("written");
    until("a third version", async || (running.said(ACCEPTED).len() == 2).then_some(())).await;
    assert_eq!(answer().await, "Bearer k3y-second for two");
    fs::write(&key, "\n").expect("written");
    until("a refusal", async || (!running.said(REFUSED).is_empty()).then_some(())).await;
    assert_eq!(running.said(REFUSED)[0]["faults"], "llm_router.providers[0].api_key_file: the key is blank");
    assert_eq!(answer().await, "Bearer k3y-second for two");
    let log = running.program.log().expect("a log");
    assert!(!log.contains("k3y") && !log.contains("Bearer"), "a key is in the log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_file_and_a_signal_replace_the_models() {
    let address = "http://127.0.0.1:9/v1";
    let running = Running::start(&with_model(address, "one")).await;
    assert_eq!(running.models().await, ["acme/one", "offline/extractive"]);
    running.replace(&with_model(address, "two"));
    running.until_models(&["acme/two", "offline/extractive"]).await;
    let accepted = running.said(ACCEPTED);
    assert_eq!(accepted.len(), 1, "{accepted:?}");
    assert_eq!((&accepted[0]["version"], &accepted[0]["models"]), (&2.into(), &2.into()));

    // Nothing has changed: what comes now comes of the signal.
    running.program.hang_up().expect("sent");
    until("a third version", async || (running.said(ACCEPTED).len() == 2).then_some(())).await;
    assert_eq!(running.said(ACCEPTED)[1]["version"], 3);
    fs::write(&running.file, with_model(address, "three")).expect("written");
    running.program.hang_up().expect("sent");
    running.until_models(&["acme/three", "offline/extractive"]).await;
    running.program.terminate().expect("it ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_file_is_refused_with_all_its_faults_and_the_old_models_stay() {
    let address = "http://127.0.0.1:9/v1";
    let running = Running::start(&with_model(address, "one")).await;
    let bad = with_model("ftp://nowhere", "t w o")
        + "[llm_router]\nanswer_retention_h = 0\nstrategie = \"cost\"\n[llm_router.tasks.draft]\nchain = \"none\"\n\
           [gateway.rate_limits]\ngenerate = 0\n";
    running.replace(&bad);
    until("a refusal", async || (!running.said(REFUSED).is_empty()).then_some(())).await;
    let refused = running.said(REFUSED);
    assert_eq!(refused[0]["version"], 1);
    let faults = refused[0]["faults"].as_str().expect("faults");
    for key in [
        "llm_router.providers[0].base_url: ",
        "llm_router.providers[0].models[0].name: ",
        "llm_router.answer_retention_h: ",
        "llm_router.strategie: ",
        "llm_router.tasks.draft.chain: ",
        "gateway.rate_limits.generate: ",
    ] {
        assert!(faults.contains(key), "{key} in {faults}");
    }
    assert_eq!(running.models().await, ["acme/one", "offline/extractive"]);
    fs::write(&running.file, "[[llm_router.providers\n").expect("written");
    until("another refusal", async || (running.said(REFUSED).len() == 2).then_some(())).await;
    assert_eq!(running.models().await, ["acme/one", "offline/extractive"]);

    // Good again; what belongs to another service is named, since it waits for the next start.
    running.replace(&(with_model(address, "two") + "[gateway.rate_limits]\ngenerate = 77\n"));
    running.until_models(&["acme/two", "offline/extractive"]).await;
    let waiting = running.said("changed settings of the program take effect at the next start");
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    assert_eq!(waiting[0]["settings"], "gateway.rate_limits.generate");
    assert_eq!(running.said(ACCEPTED)[0]["version"], 2);
    let log = running.program.log().expect("a log");
    assert!(!log.contains("hush"), "a key is in the log");
    running.program.terminate().expect("it ends");
}
