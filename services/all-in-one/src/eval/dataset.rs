//! A set of documents, queries and judgements as files in BEIR's layout.
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use copydesk_proto::types::v1::SourceKind;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A document.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Document {
    #[serde(rename = "_id")]
    pub id: String,
    #[serde(default)]
    pub title: String,
    #[serde(default)]
    pub text: String,
    /// What kind of source it is, as a word: `docs`, `readme`, `commits`, …
    #[serde(default)]
    pub source: String,
}

/// A query.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Query {
    #[serde(rename = "_id")]
    pub id: String,
    pub text: String,
    /// What the asker wants, as a word.
    #[serde(default)]
    pub intent: Option<String>,
    /// Documents that do not count for this query, wherever they stand.
    #[serde(default)]
    pub exclude: Vec<String>,
}

/// The set.
#[derive(Debug)]
pub(super) struct Dataset {
    pub name: String,
    pub documents: Vec<Document>,
    /// Those with at least one relevant document, in file order.
    pub queries: Vec<Query>,
    /// Queries of the file, judged or not.
    pub all_queries: usize,
    /// The grades above 0, by query and document.
    pub relevant: BTreeMap<String, BTreeMap<String, f64>>,
}

impl Dataset {
    /// # Errors
    /// When a file is missing or a line is not what it should be, with its number.
    pub(super) fn read(dir: &Path) -> anyhow::Result<Self> {
        let documents: Vec<Document> = lines(&dir.join("corpus.jsonl"))?;
        let queries: Vec<Query> = lines(&dir.join("queries.jsonl"))?;
        let plain = dir.join("qrels.tsv");
        let relevant = judgements(&if plain.is_file() { plain } else { dir.join("qrels").join("test.tsv") })?;
        ensure!(!documents.is_empty(), "corpus.jsonl has no documents");
        let mut ids = HashSet::new();
        if let Some(twice) = documents.iter().find(|document| !ids.insert(document.id.as_str())) {
            bail!("corpus.jsonl has the document `{}` twice", twice.id);
        }
        let all_queries = queries.len();
        let queries: Vec<Query> =
            queries.into_iter().filter(|query| relevant.contains_key(&query.id)).collect();
        ensure!(!queries.is_empty(), "no query of queries.jsonl has a relevant document");
        let name =
            dir.canonicalize().ok().and_then(|dir| Some(dir.file_name()?.to_string_lossy().into_owned()));
        Ok(Self { name: name.unwrap_or_default(), documents, queries, all_queries, relevant })
    }

    /// The intents, in alphabetical order.
    pub(super) fn intents(&self) -> Vec<&str> {
        let mut intents: Vec<&str> =
            self.queries.iter().filter_map(|query| query.intent.as_deref()).collect();
        intents.sort_unstable();
        intents.dedup();
        intents
    }

    /// The kind of every document.
    pub(super) fn kinds(&self) -> BTreeMap<&str, SourceKind> {
        self.documents.iter().map(|document| (document.id.as_str(), document.kind())).collect()
    }
}

impl Document {
    /// The kind that its source's word names; a plain document when it names none.
    pub(super) fn kind(&self) -> SourceKind {
        match self.source.to_lowercase().trim_end_matches('s') {
            "readme" => SourceKind::Readme,
            "product" | "feature" => SourceKind::Product,
            "changelog" | "release" => SourceKind::Changelog,
            "issue" | "ticket" => SourceKind::Issue,
            "case" | "case_study" => SourceKind::CaseStudy,
            "post" => SourceKind::Post,
            "example" => SourceKind::Example,
            "commit" => SourceKind::Commit,
            "code" => SourceKind::Code,
            "web" | "web_page" | "page" => SourceKind::WebPage,
            _ => SourceKind::Document,
        }
    }
}

fn lines<T: DeserializeOwned>(file: &Path) -> anyhow::Result<Vec<T>> {
    let text = read(file)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let read = |(at, line): (usize, &str)| {
        serde_json::from_str(line).with_context(|| format!("{}, line {}", file.display(), at + 1))
    };
    lines.map(read).collect()
}

fn judgements(file: &Path) -> anyhow::Result<BTreeMap<String, BTreeMap<String, f64>>> {
    let text = read(file)?;
    let mut relevant: BTreeMap<String, BTreeMap<String, f64>> = BTreeMap::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.split('\t').map(str::trim).collect();
        match (fields.as_slice(), fields.last().and_then(|grade| grade.parse::<f64>().ok())) {
            ([query, document, _], Some(grade)) if grade.is_finite() => {
                if grade > 0.0 {
                    relevant.entry((*query).to_owned()).or_default().insert((*document).to_owned(), grade);
                }
            }
            // The first line may name the columns.
            ([_, _, _], None) if at == 0 => {}
            _ => bail!("{}, line {}: is not a query, a document and a grade", file.display(), at + 1),
        }
    }
    Ok(relevant)
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: [(&str, &str); 3]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| std::fs::write(folder.path().join(name), text).unwrap());
        folder
    }

    const CORPUS: &str =
        "{\"_id\":\"a\",\"title\":\"T\",\"text\":\"one\",\"source\":\"commits\"}\n\n{\"_id\":\"b\"}\n";
    const QUERIES: &str =
        "{\"_id\":\"q\",\"text\":\"one?\",\"intent\":\"x\"}\n{\"_id\":\"r\",\"text\":\"two?\"}\n";

    #[test]
    fn a_set_is_read_and_unjudged_queries_are_left_out() {
        let qrels = "query-id\tcorpus-id\tscore\nq\ta\t2\nq\tb\t0\n";
        let folder = folder([("corpus.jsonl", CORPUS), ("queries.jsonl", QUERIES), ("qrels.tsv", qrels)]);
        let set = Dataset::read(folder.path()).unwrap();
        assert_eq!((set.documents.len(), set.queries.len(), set.all_queries), (2, 1, 2));
        assert_eq!(set.relevant["q"], BTreeMap::from([("a".to_owned(), 2.0)]));
        assert_eq!(
            (set.documents[0].kind(), set.documents[1].kind()),
            (SourceKind::Commit, SourceKind::Document)
        );
        assert_eq!(set.intents(), ["x"]);
    }

    #[test]
    fn faults_are_told_with_file_and_line() {
        for (qrels, words) in
            [("q\ta\nx\n", "line 1"), ("q\ta\t1\nq\tb\tz\n", "line 2"), ("q\tz\t0\n", "no query")]
        {
            let folder = folder([("corpus.jsonl", CORPUS), ("queries.jsonl", QUERIES), ("qrels.tsv", qrels)]);
            let error = format!("{:#}", Dataset::read(folder.path()).unwrap_err());
            assert!(error.contains(words), "{error}");
        }
        let folder = folder([("corpus.jsonl", "{}\n"), ("queries.jsonl", ""), ("qrels.tsv", "")]);
        let error = format!("{:#}", Dataset::read(folder.path()).unwrap_err());
        assert!(error.contains("corpus.jsonl, line 1") && error.contains("_id"), "{error}");
    }
}
