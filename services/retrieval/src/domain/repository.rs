//! What a file of a repository is, by its path; and the comments of source code.

use super::source::{Format, SourceKind};

/// What of a repository is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// READMEs.
    Readme,
    /// Texts.
    Docs,
    /// Examples.
    Examples,
    /// Comments of source code.
    Code,
    /// Messages of commits.
    Commits,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    /// With what it is taken.
    pub content: Content,
    /// Its kind of source.
    pub kind: SourceKind,
    /// How its bytes are read; of code what its comments are read as.
    pub format: Format,
}

/// Folders of what others have written or machines have made.
const FOREIGN: [&str; 9] = [
    "node_modules",
    "vendor",
    "third_party",
    "dist",
    "build",
    "target",
    "venv",
    "site-packages",
    "__pycache__",
];
const EXAMPLES: [&str; 5] = ["example", "examples", "sample", "samples", "demo"];
/// Texts by their endings that are there for machines.
const FOR_MACHINES: [&str; 4] = ["requirements.txt", "cmakelists.txt", "robots.txt", "constraints.txt"];
const NEWS: [&str; 5] = ["changelog", "changes", "history", "releases", "release_notes"];

/// What a file is; `None` when nothing of it is taken.
pub fn role(path: &str) -> Option<Role> {
    let lower = path.to_lowercase();
    let (folders, name) = lower.rsplit_once('/').unwrap_or(("", &lower));
    let mut above = folders.split('/').filter(|folder| !folder.is_empty());
    if name.starts_with('.')
        || above.clone().any(|folder| folder.starts_with('.') || FOREIGN.contains(&folder))
    {
        return None;
    }
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
    let text = match ending {
        "md" | "markdown" | "mdx" => Some(Format::Markdown),
        "rst" | "txt" | "adoc" => Some(Format::Text),
        _ => None,
    };
    let of = |content, kind, format| Some(Role { content, kind, format });
    if stem == "readme" && (text.is_some() || ending.is_empty()) {
        return of(Content::Readme, SourceKind::Readme, text.unwrap_or(Format::Text));
    }
    if above.any(|folder| EXAMPLES.contains(&folder)) {
        let format = text.or_else(|| language(path).map(|_| Format::Text))?;
        return of(Content::Examples, SourceKind::Example, format);
    }
    if let Some(format) = text.filter(|_| !FOR_MACHINES.contains(&name)) {
        let kind = if NEWS.contains(&stem) { SourceKind::Changelog } else { SourceKind::Document };
        return of(Content::Docs, kind, format);
    }
    language(path)?;
    of(Content::Code, SourceKind::Code, Format::Text)
}

/// How a language writes comments and strings.
#[derive(Debug, Clone, Copy)]
pub struct Language {
    line: &'static str,
    block: Option<(&'static str, &'static str)>,
    /// Whether `'` begins a string; where it does not it may begin one character.
    quote: bool,
    /// Whether a backtick begins a string.
    backtick: bool,
    /// Whether texts between three quotes are documentation.
    docstring: bool,
}

const SLASHES: Language =
    Language { line: "//", block: Some(("/*", "*/")), quote: false, backtick: false, docstring: false };
const HASH: Language = Language { line: "#", block: None, quote: true, backtick: false, docstring: false };

/// The language of a file, by its ending.
pub fn language(path: &str) -> Option<Language> {
    let ending = path.rsplit('/').next()?.rsplit_once('.')?.1.to_lowercase();
    Some(match ending.as_str() {
        "rs" | "c" | "h" | "cc" | "cpp" | "hpp" | "java" | "cs" | "swift" | "kt" | "kts" | "scala" | "m"
        | "proto" | "zig" => SLASHES,
        "go" => Language { backtick: true, ..SLASHES },
        "js" | "jsx" | "mjs" | "ts" | "tsx" => Language { quote: true, backtick: true, ..SLASHES },
        "dart" | "php" => Language { quote: true, ..SLASHES },
        "py" | "pyi" => Language { docstring: true, ..HASH },
        "rb" | "sh" | "bash" | "pl" | "ex" | "exs" | "jl" => HASH,
        "sql" => Language { line: "--", block: Some(("/*", "*/")), ..HASH },
        "lua" => Language { line: "--", block: Some(("--[[", "]]")), ..HASH },
        "hs" => Language { line: "--", block: Some(("{-", "-}")), quote: false, ..HASH },
        _ => return None,
    })
}

/// Comments of fewer words say nothing by themselves.
const TELLING: usize = 4;

/// The comments of a source text, a paragraph each; lines that follow each other are one. Empty when there are none.
pub fn comments(text: &str, language: Language) -> String {
    let mut reader = Comments { found: Vec::new(), open: None };
    let mut rest = text;
    while !rest.is_empty() {
        rest = reader.take(rest, language);
    }
    reader.close();
    let told = reader.found.into_iter().filter(|comment| comment.split_whitespace().count() >= TELLING);
    told.collect::<Vec<_>>().join("\n\n")
}

struct Comments {
    found: Vec<String>,
    /// Lines of a comment that may go on.
    open: Option<String>,
}

impl Comments {
    /// Takes one comment, string, line break or character from the head of a text.
    fn take<'a>(&mut self, rest: &'a str, language: Language) -> &'a str {
        if language.docstring
            && let Some((inner, after)) =
                ["\"\"\"", "'''"].iter().find_map(|marks| between(rest, marks, marks))
        {
            self.whole(inner);
            return after;
        }
        if let Some((inner, after)) = language.block.and_then(|(begin, end)| between(rest, begin, end)) {
            self.whole(inner);
            return after;
        }
        if let Some(line) = rest.strip_prefix(language.line) {
            let end = line.find('\n').map_or(line.len(), |at| at + 1);
            self.line(line[..end].trim_start_matches(['/', '!', '#', '-']).trim());
            return &line[end..];
        }
        if let Some(after) = skipped(rest, language) {
            self.close();
            return after;
        }
        let mut chars = rest.chars();
        if chars.next().is_some_and(|c| !c.is_whitespace()) {
            self.close();
        }
        chars.as_str()
    }

    fn line(&mut self, line: &str) {
        match &mut self.open {
            Some(open) => {
                open.push('\n');
                open.push_str(line);
            }
            None => self.open = Some(line.to_owned()),
        }
    }

    fn whole(&mut self, comment: &str) {
        self.close();
        let lines = comment.lines().map(|line| line.trim().trim_start_matches(['*', '!']).trim());
        let lines = lines.collect::<Vec<_>>().join("\n");
        self.found.push(lines.trim().to_owned());
    }

    fn close(&mut self) {
        self.found.extend(self.open.take().map(|open| open.trim().to_owned()));
    }
}

/// What stands between two marks at the head of a text, and what follows; to the end when nothing closes it.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<(&'a str, &'a str)> {
    let inner = text.strip_prefix(begin)?;
    Some(inner.split_once(end).unwrap_or((inner, "")))
}

/// What follows a string at the head of a text; `None` when there is none.
fn skipped(text: &str, language: Language) -> Option<&str> {
    let first = text.chars().next()?;
    let is_string = first == '"' || (first == '\'' && language.quote) || (first == '`' && language.backtick);
    if is_string {
        let over_lines = first == '`';
        let mut escaped = false;
        for (at, c) in text.char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                c if c == first => return text.get(at + first.len_utf8()..),
                // What is not closed on its line was none: an apostrophe in a text of another kind.
                '\n' if !over_lines && first == '\'' => return text.get(1..),
                _ => {}
            }
        }
        return Some(if first == '\'' { &text[1..] } else { "" });
    }
    // One character between quotes, with or without a backslash; else a lifetime or the like.
    let inner = text.strip_prefix('\'')?;
    let mut chars = inner.chars();
    let c = chars.next()?;
    if c == '\\' {
        chars.next();
    }
    Some(chars.as_str().strip_prefix('\'').unwrap_or(inner))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_tell_what_a_file_is() {
        let kind = |path: &str| role(path).map(|role| (role.content, role.kind));
        assert_eq!(kind("README.md"), Some((Content::Readme, SourceKind::Readme)));
        assert_eq!(kind("sub/readme"), Some((Content::Readme, SourceKind::Readme)));
        assert_eq!(kind("docs/guide.rst"), Some((Content::Docs, SourceKind::Document)));
        assert_eq!(kind("CHANGELOG.md"), Some((Content::Docs, SourceKind::Changelog)));
        assert_eq!(kind("examples/a/main.py"), Some((Content::Examples, SourceKind::Example)));
        assert_eq!(kind("src/lib.rs"), Some((Content::Code, SourceKind::Code)));
        for none in [
            "LICENSE",
            "a.png",
            ".github/x.md",
            "node_modules/x/README.md",
            "requirements.txt",
            "x/.hidden.md",
            "",
        ] {
            assert_eq!(kind(none), None, "{none}");
        }
    }

    #[test]
    fn comments_are_told_from_strings() {
        let of = |path: &str, text: &str| comments(text, language(path).unwrap());
        let rust = "//! Vans are kept cold here.\n//! Always.\n\nfn a<'a>(x: &'a str) -> char { '\"' } // not four words\n\
                    let url = \"https://no.comment/in a string at all\";\n/* A block of\n * five words */ let c = '\\'';\n";
        assert_eq!(of("x.rs", rust), "Vans are kept cold here.\nAlways.\n\nA block of\nfive words");
        let python = "#!/bin/x is also one comment\nx = 'no # comment in a string'\ndef f():\n    \"\"\"Says what it does.\n\n    At length.\n    \"\"\"\n";
        assert_eq!(of("x.py", python), "bin/x is also one comment\n\nSays what it does.\n\nAt length.");
        assert_eq!(
            of("x.js", "const a = `x // no comment for you`; // but this one is it"),
            "but this one is it"
        );
        assert_eq!(of("x.rs", "/* never closed, and that is fine"), "never closed, and that is fine");
        assert_eq!(of("x.go", "package x\n"), "");
    }

    proptest! {
        #[test]
        fn no_source_is_too_odd(text in "[\\PC\n'\"`/*#\\\\-]{0,80}", path in prop::sample::select(vec![
            "a.rs", "a.py", "a.js", "a.sql", "a.lua", "a.hs", "a.sh",
        ])) {
            let found = comments(&text, language(path).unwrap());
            prop_assert!(found.len() <= text.len() * 2 + 2);
        }
    }
}
