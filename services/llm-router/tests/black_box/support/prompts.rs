//! Prompts over the bundled sample documents.
use std::path::Path;
use std::sync::Arc;

use copydesk_llm_router::ProviderConfig;
use copydesk_llm_router::domain::{Brief, Call, Passage, Prompt, Schema, Turn};
use copydesk_llm_router::providers::{self, Provider, ProviderError, Reply};
use copydesk_proto::llm_router::v1::{Role, Task};
use copydesk_proto::types::v1::{ContentType, SourceKind};

/// About how long a passage is, in bytes.
const PASSAGE: usize = 2_000;

const SAMPLES: [(&str, SourceKind); 7] = [
    ("products", SourceKind::Product),
    ("docs", SourceKind::Document),
    ("cases", SourceKind::CaseStudy),
    ("posts", SourceKind::Post),
    ("changelog", SourceKind::Changelog),
    ("issues", SourceKind::Issue),
    ("readme", SourceKind::Readme),
];

/// The bundled documents, cut into passages at blank lines.
pub fn samples() -> Vec<Passage> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../all-in-one/samples");
    let mut passages = Vec::new();
    for (folder, kind) in SAMPLES {
        let mut files: Vec<_> =
            std::fs::read_dir(root.join(folder)).unwrap().map(|f| f.unwrap().path()).collect();
        files.sort();
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            cut(&text, &file.file_stem().unwrap().to_string_lossy(), kind, &mut passages);
        }
    }
    passages
}

fn cut(text: &str, name: &str, kind: SourceKind, passages: &mut Vec<Passage>) {
    let title = text.lines().find_map(|line| line.strip_prefix("title: ")).unwrap_or(name).trim_matches('"');
    let mut start = 0;
    while start < text.len() {
        let after = text.ceil_char_boundary((start + PASSAGE).min(text.len()));
        let end = text[after..].find("\n\n").map_or(text.len(), |at| after + at + 2);
        passages.push(passage(&format!("psg_{name}_{start}"), name, title, kind, start, &text[start..end]));
        start = end;
    }
}

pub fn passage(id: &str, document: &str, title: &str, kind: SourceKind, start: usize, text: &str) -> Passage {
    Passage {
        id: id.to_owned(),
        document_id: document.to_owned(),
        title: title.to_owned(),
        kind,
        start: start as u64,
        text: text.to_owned(),
        score: 1.0,
    }
}

/// The passages that share most words with a topic, as a search would find them.
pub fn relevant(topic: &str, count: usize) -> Vec<Passage> {
    let terms = copydesk_guard::text::terms(topic);
    let mut found = samples();
    for passage in &mut found {
        let own = copydesk_guard::text::terms(&passage.text);
        passage.score = own.iter().filter(|t| terms.contains(t)).count() as f64 / (own.len() as f64).sqrt();
    }
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found.truncate(count);
    found
}

pub fn prompt(task: Task, content_type: ContentType, topic: &str, evidence: Vec<Passage>) -> Prompt {
    Prompt {
        task,
        agent: String::new(),
        turns: vec![Turn::text(Role::User, format!("Write about {topic}."))],
        evidence,
        brief: Brief { topic: topic.to_owned(), content_type, ..Brief::default() },
        schema: None,
        temperature: None,
        max_output_tokens: 2_048,
        ..Prompt::default()
    }
}

pub fn with_schema(mut prompt: Prompt, schema: serde_json::Value) -> Prompt {
    prompt.schema = Some(Schema::compile(schema).unwrap());
    prompt
}

/// The offline writer.
pub fn writer() -> Arc<dyn Provider> {
    let entry = providers::entry("offline").unwrap();
    (entry.build)(&ProviderConfig::default()).unwrap()
}

pub async fn reply(prompt: Prompt) -> Result<Reply, ProviderError> {
    let call = Call {
        model: "extractive".into(),
        context_tokens: 0,
        max_output_tokens: 2_048,
        prompt: Arc::new(prompt),
        more: Vec::new(),
    };
    writer().generate(&call).await
}

pub async fn text(prompt: Prompt) -> String {
    reply(prompt).await.unwrap().text
}
