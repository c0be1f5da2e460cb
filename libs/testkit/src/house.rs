//! The house rules as code: who may depend on whom, how large a file may be, which words a pure file may not hold.
//!
//! [`House::read`] takes the workspace from its manifests and sources, and [`RULES`] judges it. Every fault says what to
//! do instead.
use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context;
use toml::Table;

mod rules;

pub use rules::{RULES, Rule};

/// What our crates' names begin with.
const PREFIX: &str = "copydesk-";

/// The workspace.
#[derive(Debug, Clone, Default)]
pub struct House {
    /// Its crates.
    pub members: Vec<Member>,
}

/// One crate.
#[derive(Debug, Clone, Default)]
pub struct Member {
    /// Its name without `copydesk-`, for example `rpc`.
    pub name: String,
    /// Its folder, for example `libs/rpc`.
    pub folder: String,
    /// Our crates that it is built from, without `copydesk-`.
    pub uses: BTreeSet<String>,
    /// Our crates that its tests use beside them.
    pub test_uses: BTreeSet<String>,
    /// Whether it has `[lints] workspace = true`.
    pub inherits_lints: bool,
    /// Its Rust files below `src`.
    pub files: Vec<SourceFile>,
}

/// One Rust file.
#[derive(Debug, Clone, Default)]
pub struct SourceFile {
    /// Its path below the workspace, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl House {
    /// Reads the workspace whose root manifest is in this folder.
    ///
    /// # Errors
    /// When a manifest or a source cannot be read.
    pub fn read(root: &Path) -> anyhow::Result<Self> {
        let manifest = manifest(root)?;
        let members = manifest["workspace"]["members"].as_array().context("the workspace has no members")?;
        let folders = members.iter().filter_map(toml::Value::as_str);
        let members = folders.map(|folder| Member::read(root, folder)).collect::<Result<_, _>>()?;
        Ok(Self { members })
    }
}

impl Member {
    fn read(root: &Path, folder: &str) -> anyhow::Result<Self> {
        let manifest = manifest(&root.join(folder))?;
        let name = manifest["package"]["name"].as_str().context("a crate without a name")?;
        let mut files = Vec::new();
        walk(&root.join(folder).join("src"), &format!("{folder}/src"), &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let uses = ours(&manifest, &["dependencies", "build-dependencies"]);
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace")?.as_bool());
        Ok(Self {
            name: name.strip_prefix(PREFIX).unwrap_or(name).to_owned(),
            folder: folder.to_owned(),
            test_uses: ours(&manifest, &["dev-dependencies"]),
            uses,
            inherits_lints: lints == Some(true),
            files,
        })
    }
}

fn manifest(folder: &Path) -> anyhow::Result<Table> {
    let path = folder.join("Cargo.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    text.parse().with_context(|| format!("{} is no manifest", path.display()))
}

fn ours(manifest: &Table, tables: &[&str]) -> BTreeSet<String> {
    let names = tables.iter().filter_map(|table| manifest.get(*table)?.as_table()).flat_map(Table::keys);
    names.filter_map(|name| name.strip_prefix(PREFIX)).map(str::to_owned).collect()
}

fn walk(dir: &Path, place: &str, files: &mut Vec<SourceFile>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("cannot read {place}"))?;
    for entry in entries {
        let entry = entry?;
        let path = format!("{place}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), &path, files)?;
        } else if path.ends_with(".rs") {
            files.push(SourceFile { text: std::fs::read_to_string(entry.path())?, path });
        }
    }
    Ok(())
}
