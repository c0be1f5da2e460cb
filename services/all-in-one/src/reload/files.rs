//! Whether files have changed.
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Files and how they were when they were last taken note of. A file may be absent, and come or go.
#[derive(Default)]
pub(super) struct Files(Vec<Watched>);

struct Watched {
    path: PathBuf,
    /// At the latest look.
    seen: Option<Mark>,
    /// When its content was last read.
    noted: Option<Mark>,
    /// Of its content, when it was last read.
    hash: Option<u64>,
}

/// What a look at a file shows without reading it. A link that points elsewhere and a file that was put in its place
/// show another inode.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Mark {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Files {
    /// Takes note of a file, unless it is watched already.
    pub(super) async fn add(&mut self, path: PathBuf) {
        if !self.0.iter().any(|file| file.path == path) {
            let mut file = Watched { path, seen: None, noted: None, hash: None };
            file.note().await;
            self.0.push(file);
        }
    }

    /// Watches these only: takes note of new ones, and leaves those that it knows as they are.
    pub(super) async fn keep(&mut self, paths: impl Iterator<Item = PathBuf>) {
        let paths: Vec<PathBuf> = paths.collect();
        self.0.retain(|file| paths.contains(&file.path));
        for path in paths {
            self.add(path).await;
        }
    }

    /// Takes note of all as they are now.
    pub(super) async fn note(&mut self) {
        for file in &mut self.0 {
            file.note().await;
        }
    }

    /// Looks at all: true when one has another content than before. A change counts when two looks in a row find the file
    /// the same, because one that is still being written could be read by halves.
    pub(super) async fn changed(&mut self) -> bool {
        let mut any = false;
        for file in &mut self.0 {
            any |= file.changed().await;
        }
        any
    }
}

impl Watched {
    async fn note(&mut self) {
        let mark = mark(&self.path).await;
        (self.seen, self.noted) = (mark, mark);
        self.hash = hash(&self.path).await;
    }

    async fn changed(&mut self) -> bool {
        let mark = mark(&self.path).await;
        let is_still = mark == self.seen;
        self.seen = mark;
        if !is_still || mark == self.noted {
            return false;
        }
        self.noted = mark;
        let before = std::mem::replace(&mut self.hash, hash(&self.path).await);
        before != self.hash
    }
}

/// `None`: there is no such file.
async fn mark(path: &Path) -> Option<Mark> {
    let found = tokio::fs::metadata(path).await.ok()?;
    Some(Mark {
        device: found.dev(),
        inode: found.ino(),
        length: found.size(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}

async fn hash(path: &Path) -> Option<u64> {
    let content = tokio::fs::read(path).await.ok()?;
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    Some(hasher.finish())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests {
    use std::fs;
    use std::time::{Duration, SystemTime};

    use super::*;

    async fn watching(path: &Path) -> Files {
        let mut files = Files::default();
        files.add(path.to_path_buf()).await;
        files
    }

    /// What two looks find.
    async fn looks(files: &mut Files) -> [bool; 2] {
        [files.changed().await, files.changed().await]
    }

    #[tokio::test]
    async fn a_change_counts_once_when_a_second_look_finds_it_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        fs::write(&path, "a = 1").unwrap();
        let mut files = watching(&path).await;
        assert_eq!(looks(&mut files).await, [false, false]);
        fs::write(&path, "a = 11").unwrap();
        assert!(!files.changed().await, "it could still be written");
        fs::write(&path, "a = 111").unwrap();
        assert!(!files.changed().await, "it is");
        assert!(files.changed().await);
        assert_eq!(looks(&mut files).await, [false, false]);
    }

    #[tokio::test]
    async fn a_file_put_in_its_place_is_seen_even_with_the_same_length_and_time() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("c.toml"), folder.path().join("new"));
        fs::write(&path, "a = 1").unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        fs::File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
        let mut files = watching(&path).await;
        fs::write(&other, "a = 2").unwrap();
        fs::File::options().append(true).open(&other).unwrap().set_modified(time).unwrap();
        fs::rename(&other, &path).unwrap();
        assert_eq!(looks(&mut files).await, [false, true]);
    }

    #[tokio::test]
    async fn a_link_that_points_elsewhere_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        // As Kubernetes mounts a ConfigMap: the file is a link through a folder that is a link.
        for (version, text) in [("v1", "a = 1"), ("v2", "a = 2")] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("c.toml"), text).unwrap();
        }
        std::os::unix::fs::symlink("v1", at("..data")).unwrap();
        std::os::unix::fs::symlink("..data/c.toml", at("c.toml")).unwrap();
        let mut files = watching(&at("c.toml")).await;
        std::os::unix::fs::symlink("v2", at("..next")).unwrap();
        fs::rename(at("..next"), at("..data")).unwrap();
        assert_eq!(looks(&mut files).await, [false, true]);
    }

    #[tokio::test]
    async fn the_same_content_is_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        fs::write(&path, "a = 1").unwrap();
        let mut files = watching(&path).await;
        fs::remove_file(&path).unwrap();
        assert!(!files.changed().await);
        fs::write(&path, "a = 1").unwrap();
        assert_eq!(looks(&mut files).await, [false, false]);
        fs::File::options().append(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(looks(&mut files).await, [false, false]);
    }

    #[tokio::test]
    async fn files_come_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        let mut files = watching(&path).await;
        assert_eq!(looks(&mut files).await, [false, false]);
        fs::write(&path, "").unwrap();
        assert_eq!(looks(&mut files).await, [false, true]);
        fs::remove_file(&path).unwrap();
        assert_eq!(looks(&mut files).await, [false, true]);
    }

    #[tokio::test]
    async fn what_is_noted_or_no_longer_watched_is_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let (path, key) = (folder.path().join("c.toml"), folder.path().join("key"));
        fs::write(&path, "a").unwrap();
        let mut files = watching(&path).await;
        files.keep([path.clone(), key.clone()].into_iter()).await;
        fs::write(&path, "ab").unwrap();
        files.note().await;
        assert_eq!(looks(&mut files).await, [false, false]);
        fs::write(&key, "k").unwrap();
        assert_eq!(looks(&mut files).await, [false, true]);
        // A change of a file that stays is not lost when others come or go.
        fs::write(&path, "abc").unwrap();
        fs::write(&key, "kk").unwrap();
        files.keep([path].into_iter()).await;
        assert_eq!(looks(&mut files).await, [false, true]);
        assert_eq!(files.0.len(), 1);
    }
}
