//! Every `console` block of the README is run in order, with the real binary, and its output compared.
//!
//! In a block `$ ` begins a command and `…` stands for any number of lines; ids, times, addresses and runs of blanks
//! are made alike on both sides. What runs until it is stopped (`up`) runs to the end of the test.
// A test's helper may stop the test.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stdout)]
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_copydesk");
const ANYTHING: &str = "…";
const START_LIMIT: Duration = Duration::from_secs(30);

struct Example {
    command: String,
    expected: Vec<String>,
}

/// The examples of all `console` blocks.
fn examples(readme: &str) -> Vec<Example> {
    let mut found: Vec<Example> = Vec::new();
    let mut inside = false;
    for line in readme.lines() {
        match (line, inside) {
            ("```console", false) => inside = true,
            ("```", true) => inside = false,
            (line, true) => match (line.strip_prefix("$ "), found.last_mut()) {
                (Some(command), _) => {
                    found.push(Example { command: command.to_owned(), expected: Vec::new() })
                }
                (None, Some(example)) => example.expected.push(line.to_owned()),
                (None, None) => panic!("a console block must begin with a command: {line}"),
            },
            _ => {}
        }
    }
    found
}

/// A checkout as a reader has it, with commands of these names: `cargo run --release --` and `copydesk` are the binary.
struct Reader {
    folder: tempfile::TempDir,
    address: Option<String>,
    up: Option<Child>,
}

impl Reader {
    fn new(root: &Path) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        for entry in fs::read_dir(root).expect("checkout") {
            let entry = entry.expect("entry");
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with('.') && name != "target" {
                symlink(entry.path(), folder.path().join(name)).expect("link");
            }
        }
        let bin = folder.path().join(".bin");
        fs::create_dir(&bin).expect("bin");
        let script = |name: &str, text: String| {
            let path = bin.join(name);
            fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("script");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("mode");
        };
        script("copydesk", format!("exec '{BINARY}' \"$@\""));
        let cargo = "[ \"$1 $2 $3\" = 'run --release --' ] || exit 9\nshift 3";
        script("cargo", format!("{cargo}\nexec '{BINARY}' \"$@\""));
        if let Some(buf) = buf(root) {
            script("buf", format!("exec '{}' \"$@\"", buf.display()));
        }
        Self { folder, address: None, up: None }
    }

    fn command(&self, text: &str) -> Command {
        let mut command = Command::new("sh");
        let path = std::env::var("PATH").unwrap_or_default();
        let bin = self.folder.path().join(".bin");
        let text = match &self.address {
            Some(address) => text.replace("127.0.0.1:7700", address),
            None => text.to_owned(),
        };
        command.arg("-c").arg(text).current_dir(self.folder.path()).stdin(Stdio::null());
        for key in [
            "OPENAI_API_KEY",
            "ANTHROPIC_API_KEY",
            "GROQ_API_KEY",
            "COPYDESK_DATA",
            "COPYDESK_KEY",
            "COPYDESK_GATEWAY",
            "OPENAI_BASE_URL",
        ] {
            command.env_remove(key);
        }
        command
            .env("PATH", format!("{}:{path}", bin.display()))
            // The reader has no key and no Ollama; the port is one that nobody listens on.
            .env_remove("COPYDESK__LLM_ROUTER__DISCOVERY")
            .env("OLLAMA_HOST", "http://127.0.0.1:1");
        command
    }

    /// Starts what does not end by itself; returns what it said until it was ready.
    fn start(&mut self, text: &str) -> String {
        let said = self.folder.path().join(".up");
        let out = fs::File::create(&said).expect("file");
        // The README's ports are the defaults; a test takes free ones.
        let mut command = self.command(&format!("exec {text}"));
        command.env("COPYDESK__SERVER__LISTEN", "127.0.0.1:0").env("COPYDESK__SERVER__ADMIN", "127.0.0.1:0");
        self.up = Some(command.stdout(out).stderr(Stdio::null()).spawn().expect("starts"));
        let began = Instant::now();
        let endpoints = self.folder.path().join(".copydesk/endpoints.json");
        let ready = || fs::read_to_string(&said).unwrap_or_default().contains("development key");
        while !(endpoints.is_file() && ready()) {
            assert!(began.elapsed() < START_LIMIT, "`{text}` did not start");
            std::thread::yield_now();
        }
        let json: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(endpoints).expect("endpoints")).expect("json");
        self.address = json["gateway"].as_str().map(str::to_owned);
        fs::read_to_string(said).expect("output")
    }

    fn run(&self, text: &str) -> String {
        let output = self.command(&format!("{text} 2>&1")).output().expect("runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(mut up) = self.up.take() {
            let _ = up.kill();
            let _ = up.wait();
        }
    }
}

fn buf(root: &Path) -> Option<PathBuf> {
    let path = root.join("deploy/clients/typescript/node_modules/.bin/buf");
    path.is_file().then_some(path)
}

/// Ids, times, addresses and blanks made alike.
fn alike(line: &str) -> String {
    let words: Vec<String> = line.split_whitespace().map(word_alike).collect();
    let mut out: Vec<String> = Vec::new();
    for (i, word) in words.iter().enumerate() {
        let time = words.get(i + 1).is_some_and(|next| next == "ms") && word.parse::<f64>().is_ok();
        out.push(if time { "N".to_owned() } else { word.clone() });
    }
    out.join(" ")
}

fn word_alike(word: &str) -> String {
    if let Some(at) = word.find("127.0.0.1:") {
        let rest = &word[at + 10..];
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        return format!("{}127.0.0.1:PORT{after}", &word[..at]);
    }
    for prefix in ["run_", "brd_", "kb_", "doc_", "les_", "key_"] {
        if let Some(at) = word.find(prefix) {
            let rest = &word[at + prefix.len()..];
            let after = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
            if rest.len() - after.len() == 26 {
                return format!("{}{prefix}ID{after}", &word[..at]);
            }
        }
    }
    word.to_owned()
}

/// The expected lines in order; where no `…` stands between, nothing else may stand there.
fn compare(example: &Example, actual: &str) {
    let actual: Vec<String> = actual.lines().map(alike).filter(|l| !l.is_empty()).collect();
    let (mut at, mut free) = (0, false);
    for expected in example.expected.iter().map(|l| alike(l)).filter(|l| !l.is_empty()) {
        if expected == ANYTHING {
            free = true;
            continue;
        }
        let found = match free {
            true => actual[at..].iter().position(|line| *line == expected).map(|n| at + n),
            false => actual.get(at).filter(|line| **line == expected).map(|_| at),
        };
        let Some(found) = found else {
            let shown = actual.join("\n");
            panic!("`{}` does not print\n  {expected}\nafter line {at} of\n{shown}", example.command);
        };
        (at, free) = (found + 1, false);
    }
    assert!(free || at == actual.len(), "`{}` prints more:\n{}", example.command, actual[at..].join("\n"));
}

#[test]
fn every_example_of_the_readme_works_as_printed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("checkout").to_path_buf();
    let readme = fs::read_to_string(root.join("README.md")).expect("README");
    let examples = examples(&readme);
    assert!(examples.len() >= 8, "the README shows {} examples", examples.len());
    let mut reader = Reader::new(&root);
    for example in &examples {
        if example.command.starts_with("buf ") && buf(&root).is_none() {
            println!("SKIPPED, buf is not installed (deploy/test.sh does): {}", example.command);
            continue;
        }
        let actual = match example.command.ends_with(" up") {
            true => reader.start(&example.command),
            false => reader.run(&example.command),
        };
        compare(example, &actual);
    }
}

#[test]
fn the_client_code_of_the_readme_is_that_of_the_tested_examples() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("checkout").to_path_buf();
    let readme = fs::read_to_string(root.join("README.md")).expect("README");
    for (fence, file) in [
        ("```python\n", "deploy/clients/python/example.py"),
        ("```ts\n", "deploy/clients/typescript/example.ts"),
    ] {
        let code =
            readme.split(fence).nth(1).and_then(|rest| rest.split("```").next()).expect("a block of code");
        let source = fs::read_to_string(root.join(file)).expect("example");
        for line in code.lines() {
            assert!(source.lines().any(|l| l == line), "{file} does not hold: {line}");
        }
    }
}
