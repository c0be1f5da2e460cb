//! Objects in a folder or in a bucket of an S3 server, over the `object_store` crate.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use object_store::aws::AmazonS3;
use object_store::local::LocalFileSystem;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::fault::told;
use crate::ports::{ObjectError, ObjectKey, ObjectPlace, Source};

/// Bytes that are read at once.
pub(super) const READ: u64 = 4 << 20;
/// Bytes that are written at once: every S3 server takes parts of 5 MiB and more.
const WRITE: u64 = 8 << 20;
/// Parts that an S3 server takes for one object, with room.
const MOST_PARTS: u64 = 9_000;

/// A folder or a bucket.
pub struct Bucket {
    name: String,
    prefix: Path,
    store: Arc<dyn ObjectStore>,
    kind: Kind,
}

enum Kind {
    Folder(PathBuf),
    S3(Arc<AmazonS3>),
}

impl Bucket {
    /// A folder under a name of its own.
    pub(super) fn folder(name: String, root: PathBuf, store: LocalFileSystem) -> Self {
        Self { name, prefix: Path::default(), store: Arc::new(store), kind: Kind::Folder(root) }
    }

    /// A bucket, everything below a prefix.
    pub(super) fn s3(name: String, prefix: Path, store: AmazonS3) -> Self {
        let store = Arc::new(store);
        Self { name, prefix, store: store.clone(), kind: Kind::S3(store) }
    }

    fn path(&self, key: ObjectKey) -> Path {
        self.prefix.clone().join(key.tenant.to_string()).join(key.id.to_string())
    }

    /// A folder's writing leaves a file beside the object's own when it breaks off.
    fn unfinished(&self, path: &Path) -> Option<PathBuf> {
        match &self.kind {
            Kind::Folder(root) => Some(root.join(format!("{path}#1"))),
            Kind::S3(_) => None,
        }
    }

    /// Bytes of an object; none when it ends before them. Folders and servers answer differently to a range beyond the end.
    async fn piece(&self, path: &Path, range: Range<u64>) -> Result<Bytes, ObjectError> {
        let failed = match self.store.get_range(path, range.clone()).await.map_err(told) {
            Ok(piece) => return Ok(piece),
            Err(ObjectError::Absent) => return Err(ObjectError::Absent),
            Err(error) => error,
        };
        match self.store.head(path).await {
            Ok(found) if found.size < range.end => Ok(Bytes::new()),
            _ => Err(failed),
        }
    }

    async fn write_folder(&self, path: &Path, parts: Source<'_, Bytes>) -> Result<(), ObjectError> {
        let mut writing = self.store.put_multipart(path).await.map_err(told)?;
        let all = async || {
            for part in parts {
                writing.put_part(part?.into()).await.map_err(told)?;
            }
            writing.complete().await.map_err(told).map(|_| ())
        };
        let done = all().await;
        if done.is_err() {
            // The error is what counts; what is left goes when the object is removed.
            let _ = writing.abort().await;
        }
        done
    }

    async fn write_parts(
        &self,
        s3: &AmazonS3,
        path: &Path,
        begun: &str,
        size: u64,
        parts: Source<'_, Bytes>,
    ) -> Result<(), ObjectError> {
        let (begun, mut pieces, mut written) =
            (begun.to_owned(), Pieces::new(parts, piece_size(size)), Vec::new());
        while let Some(piece) = pieces.next()? {
            let part = s3.put_part(path, &begun, written.len(), piece.into()).await.map_err(told)?;
            written.push(part);
        }
        s3.complete_multipart(path, &begun, written).await.map_err(told)?;
        Ok(())
    }
}

fn piece_size(size: u64) -> usize {
    usize::try_from(WRITE.max(size.div_ceil(MOST_PARTS))).unwrap_or(usize::MAX)
}

#[async_trait]
impl ObjectPlace for Bucket {
    fn name(&self) -> &str {
        &self.name
    }

    /// Writes, reads and removes a small object under a name that is always the same, so that a crash leaves one at most.
    async fn check(&self) -> Result<(), ObjectError> {
        let path = self.prefix.clone().join("check");
        let absent = |error| match told(error) {
            ObjectError::Absent => ObjectError::Refused("the bucket is not there".into()),
            other => other,
        };
        self.store.put(&path, Bytes::from_static(b"copydesk").into()).await.map_err(absent)?;
        match self.store.get_range(&path, 0..8).await.map_err(told) {
            // Another replica that looks at the same moment has removed it.
            Ok(_) | Err(ObjectError::Absent) => {}
            Err(error) => return Err(error),
        }
        match self.store.delete(&path).await.map_err(told) {
            Ok(()) | Err(ObjectError::Absent) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn begin(&self, key: ObjectKey, size: u64) -> Result<String, ObjectError> {
        match &self.kind {
            Kind::S3(s3) if size > WRITE => s3.create_multipart(&self.path(key)).await.map_err(told),
            _ => Ok(String::new()),
        }
    }

    async fn write(
        &self,
        key: ObjectKey,
        begun: &str,
        size: u64,
        parts: Source<'_, Bytes>,
    ) -> Result<(), ObjectError> {
        let path = self.path(key);
        match &self.kind {
            Kind::Folder(_) => self.write_folder(&path, parts).await,
            Kind::S3(s3) if !begun.is_empty() => self.write_parts(s3, &path, begun, size, parts).await,
            Kind::S3(_) => {
                let whole = Pieces::new(parts, piece_size(size)).next()?.unwrap_or_default();
                self.store.put(&path, whole.into()).await.map_err(told)?;
                Ok(())
            }
        }
    }

    fn read(&self, key: ObjectKey, size: u64) -> BoxStream<'_, Result<Bytes, ObjectError>> {
        let path = self.path(key);
        stream::try_unfold((path, 0), move |(path, at)| async move {
            if at >= size {
                return Ok(None);
            }
            let piece = self.piece(&path, at..size.min(at + READ)).await?;
            // Less than was asked for is the end of a shortened object: whoever counts the bytes finds it.
            let next = if piece.is_empty() { size } else { at + piece.len() as u64 };
            Ok(Some((piece, (path, next))))
        })
        .boxed()
    }

    async fn remove(&self, key: ObjectKey, begun: &str) -> Result<(), ObjectError> {
        let path = self.path(key);
        if let (Kind::S3(s3), false) = (&self.kind, begun.is_empty()) {
            // A finished upload, or one that was given up, is as absent as the object itself may be.
            match s3.abort_multipart(&path, &begun.to_owned()).await.map_err(told) {
                Ok(()) | Err(ObjectError::Absent) => {}
                Err(error) => return Err(error),
            }
        }
        match self.store.delete(&path).await.map_err(told) {
            Ok(()) | Err(ObjectError::Absent) => {}
            Err(error) => return Err(error),
        }
        let Some(unfinished) = self.unfinished(&path) else { return Ok(()) };
        match tokio::fs::remove_file(unfinished).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(ObjectError::Unavailable(error.to_string()))
            }
            _ => Ok(()),
        }
    }
}

/// Parts cut and joined to pieces of one size, the last one shorter.
struct Pieces<'a> {
    parts: Source<'a, Bytes>,
    rest: Bytes,
    size: usize,
}

impl<'a> Pieces<'a> {
    fn new(parts: Source<'a, Bytes>, size: usize) -> Self {
        Self { parts, rest: Bytes::new(), size }
    }

    fn next(&mut self) -> Result<Option<Bytes>, ObjectError> {
        if self.rest.len() >= self.size {
            return Ok(Some(self.rest.split_to(self.size)));
        }
        let mut piece = BytesMut::from(&std::mem::take(&mut self.rest)[..]);
        while piece.len() < self.size {
            let Some(part) = self.parts.next() else { break };
            let mut part = part?;
            piece.extend_from_slice(&part.split_to(part.len().min(self.size - piece.len())));
            self.rest = part;
        }
        Ok((!piece.is_empty()).then(|| piece.freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_of_one_size() {
        let parts = [&b"abc"[..], b"", b"defghijklm", b"n"];
        let mut parts = parts.into_iter().map(|part| Ok(Bytes::from_static(part)));
        let mut pieces = Pieces::new(&mut parts, 4);
        let mut all = Vec::new();
        while let Some(piece) = pieces.next().unwrap() {
            all.push(piece);
        }
        assert_eq!(all, [&b"abcd"[..], b"efgh", b"ijkl", b"mn"]);
        assert_eq!(piece_size(5), 8 << 20);
        assert!(piece_size(1 << 40) as u64 * 10_000 >= 1 << 40, "a terabyte fits");
    }
}
