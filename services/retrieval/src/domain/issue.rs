//! An issue as GitHub tells it, in either of its two forms, and as a document.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Deserialize;
use serde_json::Value;

use super::origin::SourceDocument;
use super::source::{Format, SourceKind};

/// An issue: of the REST API (`html_url`, `user`, `created_at`) or of `gh issue list --json` (`url`, `author`,
/// `createdAt`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Issue {
    /// Its number.
    pub number: u64,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    html_url: Option<String>,
    #[serde(default, alias = "author")]
    user: Option<Person>,
    #[serde(default)]
    labels: Vec<Label>,
    #[serde(default, alias = "createdAt")]
    created_at: Option<String>,
    #[serde(default, alias = "updatedAt")]
    updated_at: Option<String>,
    /// How many comments it has, or the comments themselves.
    #[serde(default)]
    comments: Comments,
    #[serde(default)]
    pull_request: Option<Value>,
}

/// A comment.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Comment {
    #[serde(default)]
    body: Option<String>,
    #[serde(default, alias = "author")]
    user: Option<Person>,
    #[serde(default, alias = "createdAt")]
    created_at: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
enum Comments {
    Count(u64),
    All(Vec<Comment>),
}

impl Default for Comments {
    fn default() -> Self {
        Self::Count(0)
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Person {
    #[serde(default)]
    login: Option<String>,
}

/// `{"name": "bug"}`, or the name alone.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
enum Label {
    Named {
        #[serde(default)]
        name: Option<String>,
    },
    Word(String),
}

/// Most labels that are kept.
const LABELS: usize = 50;

impl Issue {
    /// Whether it is a pull request, which GitHub lists among the issues.
    pub const fn is_pull_request(&self) -> bool {
        self.pull_request.is_some()
    }

    /// Whether its comments are to be asked for.
    pub const fn has_comments_elsewhere(&self) -> bool {
        matches!(self.comments, Comments::Count(count) if count > 0)
    }

    /// As a document of a repository, with these comments, or else those that came with it.
    pub fn document(&self, repository: &str, comments: Option<&[Comment]>) -> SourceDocument {
        let own: &[Comment] = match &self.comments {
            Comments::All(all) => all,
            Comments::Count(_) => &[],
        };
        let page = format!("https://github.com/{repository}/issues/{}", self.number);
        let uri = self.html_url.clone().filter(|url| url.len() <= 1024 && !url.contains(char::is_control));
        let uri = uri.unwrap_or(page);
        let title = self.title.clone().unwrap_or_default();
        SourceDocument {
            key: uri.clone(),
            content: self.text(&title, comments.unwrap_or(own)).into(),
            title: if title.trim().is_empty() { format!("#{}", self.number) } else { title },
            format: Format::Markdown,
            kind: SourceKind::Issue,
            attributes: self.attributes(repository),
            uri,
        }
    }

    fn text(&self, title: &str, comments: &[Comment]) -> String {
        let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
        // Writing into a String cannot fail.
        let mut text = format!("# {title} (#{})\n", self.number);
        let mut add = |words: &Option<String>| {
            let words = words.as_deref().unwrap_or_default().replace("\r\n", "\n");
            if !words.trim().is_empty() {
                let _ = write!(text, "\n{}\n", words.trim());
            }
        };
        add(&self.body);
        for comment in comments {
            let day = comment.created_at.as_deref().and_then(|time| time.get(..10));
            let day = day.map(|day| format!(", {day}")).unwrap_or_default();
            add(&Some(format!("## Comment by {}{day}", login(comment.user.as_ref()))));
            add(&comment.body);
        }
        text
    }

    fn attributes(&self, repository: &str) -> BTreeMap<&'static str, Value> {
        let mut all = BTreeMap::from([("repository", repository.into()), ("number", self.number.into())]);
        let author = self.user.as_ref().and_then(|user| user.login.clone());
        let state = self.state.as_ref().map(|state| state.to_ascii_lowercase());
        for (name, value) in [
            ("state", state),
            ("author", author),
            ("created_at", self.created_at.clone()),
            ("updated_at", self.updated_at.clone()),
        ] {
            if let Some(value) = value {
                all.insert(name, value.into());
            }
        }
        let labels = self.labels.iter().filter_map(|label| match label {
            Label::Named { name } => name.clone(),
            Label::Word(name) => Some(name.clone()),
        });
        all.insert("labels", labels.take(LABELS).collect::<Vec<_>>().into());
        all
    }
}

/// Who it was; accounts that are gone are GitHub's ghost.
fn login(person: Option<&Person>) -> &str {
    person.and_then(|person| person.login.as_deref()).unwrap_or("ghost")
}

/// Reads an export: a list of issues, or an object with the list under `issues` or `items`.
///
/// # Errors
/// What is wrong with it, without its words.
pub fn export(bytes: &[u8]) -> Result<Vec<Issue>, String> {
    #[derive(Deserialize)]
    struct Wrapped {
        #[serde(alias = "items")]
        issues: Vec<GhIssue>,
    }
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    let read = match first {
        Some(b'{') => serde_json::from_slice::<Wrapped>(bytes).map(|wrapped| wrapped.issues),
        _ => serde_json::from_slice::<Vec<GhIssue>>(bytes),
    };
    let issues = read.map_err(|error| {
        format!("is no JSON list of issues: line {}, column {}", error.line(), error.column())
    })?;
    Ok(issues.into_iter().map(GhIssue::issue).collect())
}

/// In an export of `gh`, `url` is the page; in the API's own form it is the API's address, and `html_url` the page.
#[derive(Deserialize)]
struct GhIssue {
    #[serde(flatten)]
    issue: Issue,
    #[serde(default)]
    url: Option<String>,
}

impl GhIssue {
    fn issue(self) -> Issue {
        let url = self.url.filter(|url| !url.contains("/repos/"));
        Issue { html_url: self.issue.html_url.clone().or(url), ..self.issue }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms_of_an_issue_are_one_document() {
        let rest = json!([{
            "number": 7, "title": "Doors\nfreeze", "body": "They do.\r\nOften.", "state": "open",
            "url": "https://api.github.com/repos/o/r/issues/7", "html_url": "https://github.com/o/r/issues/7",
            "user": {"login": "ann"}, "labels": [{"name": "bug"}], "created_at": "2026-01-02T03:04:05Z",
            "updated_at": "2026-02-02T03:04:05Z", "comments": 1, "pull_request": null
        }]);
        let gh = json!([{
            "number": 7, "title": "Doors\nfreeze", "body": "They do.\nOften.", "state": "OPEN",
            "url": "https://github.com/o/r/issues/7", "author": {"login": "ann"}, "labels": [{"name": "bug"}],
            "createdAt": "2026-01-02T03:04:05Z", "updatedAt": "2026-02-02T03:04:05Z",
            "comments": [{"author": {"login": "bob"}, "body": "Same here.", "createdAt": "2026-01-03T00:00:00Z"}]
        }]);
        let rest = &export(rest.to_string().as_bytes()).unwrap()[0];
        let comment =
            json!([{"user": {"login": "bob"}, "body": "Same here.", "created_at": "2026-01-03T00:00:00Z"}]);
        let comments: Vec<Comment> = serde_json::from_value(comment).unwrap();
        assert!(rest.has_comments_elsewhere() && !rest.is_pull_request());
        let rest = rest.document("o/r", Some(&comments));
        let gh = export(json!({"issues": gh}).to_string().as_bytes()).unwrap()[0].document("o/r", None);
        assert_eq!(rest, gh);
        let text = String::from_utf8(rest.content.to_vec()).unwrap();
        assert_eq!(
            text,
            "# Doors freeze (#7)\n\nThey do.\nOften.\n\n## Comment by bob, 2026-01-03\n\nSame here.\n"
        );
        assert_eq!(
            (rest.key.as_str(), &rest.attributes["labels"]),
            ("https://github.com/o/r/issues/7", &json!(["bug"]))
        );
    }

    #[test]
    fn what_is_missing_is_missed_and_what_is_odd_is_told() {
        let bare = &export(br#"[{"number": 1, "labels": ["x", {"name": null}]}]"#).unwrap()[0];
        let document = bare.document("o/r", None);
        assert_eq!(
            (document.title.as_str(), document.uri.as_str()),
            ("#1", "https://github.com/o/r/issues/1")
        );
        assert_eq!(document.attributes["labels"], json!(["x"]));
        for odd in ["", "{}", "[1]", "[{\"title\": \"secret\"}]", "[{\"number\": -1}]", "nonsense"] {
            let error = export(odd.as_bytes()).unwrap_err();
            assert!(
                error.starts_with("is no JSON list of issues: line ") && !error.contains("secret"),
                "{error}"
            );
        }
    }
}
