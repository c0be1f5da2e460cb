//! Reading files and folders: what is a document, what is passed over, what is an error.
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::{Named, READ, named};

/// The largest document that the server takes, in bytes.
const LARGEST: u64 = 16 << 20;
/// What tools make and nobody wrote for readers.
const NOT_OURS: [&str; 2] = ["node_modules", "target"];

/// A document as it lies on the disk.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) key: String,
    pub(super) bytes: Vec<u8>,
}

/// A file that somebody named: what is wrong with it is an error.
pub(super) fn named_file(path: &Path) -> anyhow::Result<File> {
    let key = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let known = named(&key).is_some();
    match read(path)? {
        Ok(bytes) if known => Ok(File { path: path.to_path_buf(), key, bytes }),
        Ok(_) => bail!("{}: is of no format that is read ({READ}; pictures)", path.display()),
        Err(fault) => bail!("{}: {fault}", path.display()),
    }
}

/// The documents of a folder and those in it. What the server would refuse is named in `skipped`.
pub(super) fn folder(
    root: &Path,
    prefix: Option<&str>,
    skipped: &mut Vec<String>,
) -> anyhow::Result<Vec<File>> {
    let (mut found, mut open) = (Vec::new(), vec![root.to_path_buf()]);
    while let Some(dir) = open.pop() {
        let failed = || format!("cannot read {}", dir.display());
        for entry in std::fs::read_dir(&dir).with_context(failed)? {
            let entry = entry.with_context(failed)?;
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            let kind = entry.file_type().with_context(failed)?;
            // A link could lead out of the folder or round in it.
            if name.starts_with('.') || kind.is_symlink() {
                continue;
            }
            if kind.is_dir() && !NOT_OURS.contains(&name.as_str()) {
                open.push(path);
            } else if kind.is_file() && named(&name).is_some_and(|named| named != Named::Picture) {
                match read(&path)? {
                    Ok(bytes) => found.push(File { key: key(root, &path, prefix), path, bytes }),
                    Err(fault) => skipped.push(format!("{}: {fault}", path.display())),
                }
            }
        }
    }
    skipped.sort();
    Ok(found)
}

fn key(root: &Path, path: &Path, prefix: Option<&str>) -> String {
    let below = path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/");
    prefix.map(|prefix| format!("{prefix}/{below}")).unwrap_or(below)
}

/// A file's bytes, or why it is no document.
fn read(path: &Path) -> anyhow::Result<Result<Vec<u8>, &'static str>> {
    let failed = || format!("cannot read {}", path.display());
    if std::fs::metadata(path).with_context(failed)?.len() > LARGEST {
        return Ok(Err("over 16 MiB"));
    }
    let bytes = std::fs::read(path).with_context(failed)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if !matches!(named(&name), None | Some(Named::Text(_))) {
        return Ok(if bytes.is_empty() { Err("empty") } else { Ok(bytes) });
    }
    Ok(match std::str::from_utf8(&bytes) {
        Err(_) => Err("not UTF-8"),
        Ok(text) if text.trim().is_empty() => Err("empty"),
        Ok(_) => Ok(bytes),
    })
}

#[cfg(test)]
mod tests {
    use super::super::read as read_all;
    use super::*;

    fn make(root: &Path, files: &[(&str, &[u8])]) {
        for (name, bytes) in files {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, bytes).expect("written");
        }
    }

    fn keys(paths: &[PathBuf]) -> Vec<String> {
        read_all(paths).expect("found").documents.into_iter().map(|d| d.key).collect()
    }

    #[test]
    fn folders_of_equal_files_do_not_collide() {
        let dir = tempfile::tempdir().expect("dir");
        make(dir.path(), &[("a/x.md", b"1"), ("b/x.md", b"2"), ("y.md", b"3"), ("c/a/x.md", b"4")]);
        let at = |name: &str| dir.path().join(name);
        assert_eq!(keys(&[at("a"), at("b"), at("y.md")]), ["a/x.md", "b/x.md", "y.md"]);
        assert_eq!(keys(&[at("a")]), ["x.md"]);
        let error = read_all(&[at("a"), at("c/a")]).expect_err("both are a/x.md").to_string();
        for name in [at("a/x.md"), at("c/a/x.md")] {
            assert!(error.contains(&name.display().to_string()), "{error}");
        }
    }

    #[test]
    fn what_is_no_document_is_skipped_in_a_folder_and_an_error_when_named() {
        let dir = tempfile::tempdir().expect("dir");
        let files: [(&str, &[u8]); 10] = [
            ("good.md", b"text"),
            ("any.pdf", b"%PDF-\xff"),
            ("nothing.docx", b""),
            ("logo.png", b"\x89PNG"),
            ("latin.txt", b"caf\xe9"),
            ("blank.md", b" \n"),
            ("code.rs", b"fn main() {}"),
            (".hidden/x.md", b"text"),
            ("node_modules/p/README.md", b"text"),
            ("target/doc.md", b"text"),
        ];
        make(dir.path(), &files);
        let large = std::fs::File::create(dir.path().join("large.txt")).expect("made");
        large.set_len(LARGEST + 1).expect("grown");
        let found = read_all(&[dir.path().to_path_buf()]).expect("found");
        assert_eq!(keys(&[dir.path().to_path_buf()]), ["any.pdf", "good.md"]);
        assert_eq!(keys(&[dir.path().join("logo.png")]), ["logo.png"], "a picture that is named");
        let said = found.skipped.join("\n");
        for (name, why) in [
            ("latin.txt", "not UTF-8"),
            ("blank.md", "empty"),
            ("nothing.docx", "empty"),
            ("large.txt", "over 16 MiB"),
            ("code.rs", "no format"),
        ] {
            let error = read_all(&[dir.path().join(name)]).expect_err(name).to_string();
            assert!(error.contains(name) && error.contains(why), "{error}");
            assert_eq!(said.contains(&format!("{name}: {why}")), name != "code.rs", "{said}");
        }
        assert_eq!(found.skipped.len(), 4);
    }
}
