//! A day's work from the command line: documents in, a text out, feedback, keys, and what is said when something fails.
#![allow(clippy::expect_used, reason = "a test says what it expects")]
use crate::support::commands::*;
use crate::support::*;
use copydesk_testkit::program::Program;
use serde_json::Value;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daily_work_is_done_from_the_command_line() {
    let (_folder, data) = folder();
    let program = Program::up(PROGRAM, std::path::Path::new(&data), &[]).await.expect("it starts");
    assert!(good(&["healthcheck", "--admin", &program.admin]).contains("ready"));
    assert!(bad(&["healthcheck", "--admin", "127.0.0.1:1"]).contains("127.0.0.1:1"));

    let samples = samples_folder();
    let (products, issues) = (samples.join("products"), samples.join("issues"));
    let (products, issues) = (products.to_str().expect("UTF-8"), issues.to_str().expect("UTF-8"));
    let with_data = |args: &[&str]| {
        [args, &["--data", data.as_str()]].concat().iter().map(|a| (*a).to_owned()).collect::<Vec<_>>()
    };
    let go = |args: &[&str]| {
        let args = with_data(args);
        good(&args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let fail = |args: &[&str]| {
        let args = with_data(args);
        bad(&args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let (_more, more) = folder();
    let latin = std::path::Path::new(&more).join("latin.md");
    std::fs::write(&latin, b"caf\xe9").expect("written");
    let latin = latin.to_str().expect("UTF-8");
    assert!(fail(&["ingest", products, latin, "--brand", "Chillwright"]).contains("latin.md: not UTF-8"));
    assert!(fail(&["generate", "x", "--brand", "Chillwright"]).contains("no brand"), "nothing is half-made");
    let first = run(&["ingest", products, issues, &more, "--brand", "Chillwright", "--data", &data]);
    assert!(first.stdout.contains("documents ingested, 0 unchanged"), "{first:?}");
    assert!(first.stderr.contains("skipped") && first.stderr.contains("latin.md: not UTF-8"), "{first:?}");
    let args = ["ingest", products, issues, "--brand", "Chillwright", "--voice", "loud", "--data", &data];
    let again = run(&args);
    assert!(
        again.stdout.contains(": 0 documents ingested") && again.stderr.contains("are ignored"),
        "{again:?}"
    );
    let dashed = ["generate", "-5 degrees", "--brand", "Nobody"];
    assert!(fail(&dashed).contains("there is no brand `Nobody`"), "a topic may begin with a dash");
    let doctor = go(&["doctor"]);
    assert!(doctor.contains("mesh") && doctor.contains("is ready"), "{doctor}");
    let made: Value =
        serde_json::from_str(&go(&["generate", TOPIC, "--brand", "Chillwright", "--json"])).expect("JSON");
    let run_id = made["run_id"].as_str().expect("an id");
    assert!(go(&["watch", run_id]).contains("Sources"));
    let learned = go(&["feedback", run_id, "regenerate", "--comment", "At most 60 words."]);
    assert!(learned.contains("60 words"), "{learned}");
    let second: Value =
        serde_json::from_str(&go(&["generate", TOPIC, "--brand", "Chillwright", "--json"])).expect("JSON");
    assert_eq!(second["lessons"].as_array().map(Vec::len), Some(1), "{second}");

    let made = go(&["keys", "create", "laptop", "--scope", "runs:read"]);
    let key = made.split_whitespace().find(|word| word.starts_with("key_")).expect("an id");
    let secret = made.split_whitespace().find(|word| word.starts_with("cdk_")).expect("a secret");
    assert!(go(&["keys", "list"]).starts_with("tenant ten_"));
    assert!(go(&["keys", "list"]).contains(key) && !go(&["keys", "list"]).contains(secret), "shown once");
    assert!(fail(&["watch", run_id, "--key", "cdk_wrong"]).contains("BAD_CREDENTIAL"));
    assert!(fail(&["keys", "list", "--key", secret]).contains("SCOPE_MISSING"));
    assert!(go(&["keys", "revoke", key]).contains(key));
    assert!(fail(&["watch", run_id, "--key", secret]).contains("BAD_CREDENTIAL"));

    assert!(fail(&["generate", "x", "--brand", "Nobody"]).contains("there is no brand `Nobody`"));
    assert!(fail(&["generate", "", "--brand", "Chillwright"]).contains("spec.topic"));
    assert!(fail(&["feedback", run_id, "reject"]).contains("comment"));
    assert!(fail(&["feedback", run_id, "rate", "--rating", "9"]).contains("rating"));
    assert!(fail(&["watch", "run_1"]).contains("run_id"));
    let ended_at = program.address.clone();
    let ended = program.terminate().expect("it ends");
    assert_eq!(ended.code, Some(0));
    assert!(ended.stdout.contains("copydesk is up"), "{}", ended.stdout);
    assert!(!ended.stderr.contains("ERROR") && !ended.stderr.contains("panicked"), "{}", ended.stderr);
    let gone = fail(&["keys", "list", "--gateway", &format!("http://{}", ended_at)]);
    assert!(gone.contains(&format!("nobody answers at {ended_at}; is `copydesk up` running?")), "{gone}");
    assert!(!gone.contains(secret), "{gone}");
    let (_none, nothing) = folder();
    let keyless = bad(&["keys", "list", "--data", &nothing]);
    assert!(keyless.contains("no key") && !keyless.contains("os error"), "{keyless}");
}
