//! The file of a snapshot: written and read record by record, checked to the last byte. `snapshot.proto` describes it.

use std::io::{self, Read, Write};

use copydesk_proto::retrieval::v1::{SnapshotDocument, SnapshotHeader, SnapshotPage, SnapshotPassage};
use prost::Message;

use super::attributes::Attributes;
use super::reading::{Complexity, Path};
use super::source::{ContentType, Format, SourceKind};

const MAGIC: &[u8; 8] = b"COPYDESK";
const VERSION: u32 = 1;
/// Longest record, as it is in the file and as it is read: a document of the largest size that can be configured, with
/// its original and its vectors.
const LONGEST: u32 = 0xC000_0000;
/// What an LZ4 block can grow to at most when it is read; a length beyond is a lie that would cost memory.
const MOST_GROWTH: u64 = 256;

/// Bytes of a document for each chunk, at least, on the average.
const CHUNK: u64 = 128;
/// So many versions no document comes to; the next ones must fit too.
const LAST_VERSION: u32 = 1 << 31;

/// Why a file is no snapshot that can be restored.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It begins with something else.
    #[error("is not a snapshot")]
    Foreign,
    /// A later build made it.
    #[error("is of format {0}; this build reads format {VERSION}")]
    Version(u32),
    /// It ends too early, or goes on after its end.
    #[error("is cut short or has something after its end")]
    Length,
    /// Its hash is not that of its bytes.
    #[error("was changed: its hash is not that of its bytes")]
    Hash,
    /// A record is not what it should be.
    #[error("record {0}: {1}")]
    Record(u64, &'static str),
    /// It cannot be read or written.
    #[error("the file of a snapshot cannot be read or written")]
    Io(#[source] io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Length,
            _ => Self::Io(error),
        }
    }
}

/// What a written file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its length in bytes.
    pub size: u64,
    /// Its hash in hexadecimal digits: that of all but the hash itself, which ends it.
    pub hash: String,
    /// The hash of all of it.
    pub whole_hash: String,
}

/// Writes a file.
pub struct Writer<W> {
    out: W,
    hash: blake3::Hasher,
    size: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(out: W) -> Result<Self, Fault> {
        let mut writer = Self { out, hash: blake3::Hasher::new(), size: 0 };
        writer.put(MAGIC)?;
        writer.put(&VERSION.to_le_bytes())?;
        Ok(writer)
    }

    /// Writes a record.
    ///
    /// # Errors
    /// When it cannot be written, or is too long.
    pub fn record(&mut self, message: &impl Message) -> Result<(), Fault> {
        let plain = message.encode_to_vec();
        let packed = lz4_flex::block::compress(&plain);
        for length in [packed.len(), plain.len()] {
            let length = u32::try_from(length).ok().filter(|length| *length <= LONGEST);
            self.put(&length.ok_or(Fault::Record(0, "is too long"))?.to_le_bytes())?;
        }
        self.put(&packed)
    }

    /// Ends the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> Result<Written, Fault> {
        self.put(&0u32.to_le_bytes())?;
        let hash = self.hash.finalize();
        self.out.write_all(hash.as_bytes())?;
        self.out.flush()?;
        self.hash.update(hash.as_bytes());
        let whole_hash = self.hash.finalize().to_hex().to_string();
        Ok(Written { size: self.size + 32, hash: hash.to_hex().to_string(), whole_hash })
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        Ok(self.out.write_all(bytes)?)
    }
}

/// Reads a file that [`Writer`] wrote. Nothing that it says is believed before it is checked.
pub struct Reader<R> {
    from: R,
    hash: blake3::Hasher,
    records: u64,
    longest: u32,
}

/// Longest header.
const HEADER: u32 = 1 << 20;

impl<R: Read> Reader<R> {
    /// Reads the beginning: the header.
    ///
    /// # Errors
    /// When it is no such file.
    pub fn new(from: R) -> Result<(Self, SnapshotHeader), Fault> {
        let mut reader = Self { from, hash: blake3::Hasher::new(), records: 0, longest: HEADER };
        if &reader.take::<8>().map_err(|_| Fault::Foreign)? != MAGIC {
            return Err(Fault::Foreign);
        }
        let version = u32::from_le_bytes(reader.take()?);
        if version != VERSION {
            return Err(Fault::Version(version));
        }
        let header = reader.record()?.ok_or(Fault::Record(0, "is missing"))?;
        reader.longest = LONGEST;
        Ok((reader, header))
    }

    /// Refuses documents that are longer than those of a service whose documents have so many bytes at most, with vectors
    /// of these dimensions: their text, their original and a vector for every [`CHUNK`] bytes, and room for the rest. A
    /// record is unpacked in memory.
    pub fn bound(&mut self, document: u64, dimensions: u32) {
        const ROOM: u64 = 64 << 20;
        let chunk = u64::from(dimensions).saturating_mul(4).saturating_add(128);
        let longest = (document / CHUNK).saturating_mul(chunk).saturating_add(document.saturating_mul(4));
        self.longest = u32::try_from(longest.saturating_add(ROOM)).unwrap_or(LONGEST).min(LONGEST);
    }

    /// The next document, checked; `None` at the end, when the file's hash was found right.
    ///
    /// # Errors
    /// When the file is not as it was written.
    pub fn document(&mut self) -> Result<Option<SnapshotDocument>, Fault> {
        let Some(document) = self.record::<SnapshotDocument>()? else { return Ok(None) };
        check(&document).map_err(|what| Fault::Record(self.records, what))?;
        Ok(Some(document))
    }

    fn record<M: Message + Default>(&mut self) -> Result<Option<M>, Fault> {
        let packed = u32::from_le_bytes(self.take()?);
        if packed == 0 {
            return self.end().map(|()| None);
        }
        self.records += 1;
        let at = self.records;
        let plain = u32::from_le_bytes(self.take()?);
        if packed.max(plain) > self.longest {
            return Err(Fault::Record(at, "is longer than any document here"));
        }
        if u64::from(plain) > u64::from(packed) * MOST_GROWTH {
            return Err(Fault::Record(at, "has an impossible length"));
        }
        let mut bytes = Vec::new();
        // Grows with what is there: a length alone reserves nothing.
        self.from.by_ref().take(u64::from(packed)).read_to_end(&mut bytes)?;
        if bytes.len() != packed as usize {
            return Err(Fault::Length);
        }
        self.hash.update(&bytes);
        let plain = lz4_flex::block::decompress(&bytes, plain as usize)
            .map_err(|_| Fault::Record(at, "cannot be decompressed"))?;
        M::decode(plain.as_slice()).map(Some).map_err(|_| Fault::Record(at, "cannot be decoded"))
    }

    fn end(&mut self) -> Result<(), Fault> {
        let expected = self.hash.finalize();
        let mut hash = [0; 32];
        self.from.read_exact(&mut hash)?;
        // Compared in constant time, which costs nothing.
        if expected != blake3::Hash::from_bytes(hash) {
            return Err(Fault::Hash);
        }
        match self.from.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(Fault::Length),
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes)?;
        self.hash.update(&bytes);
        Ok(bytes)
    }
}

/// What must hold of a document whoever wrote the file.
fn check(document: &SnapshotDocument) -> Result<(), &'static str> {
    let text = std::str::from_utf8(&document.text).map_err(|_| "its text is not UTF-8")?;
    let original = document.original.as_deref().unwrap_or(&document.text);
    if blake3::hash(original).to_hex().as_str() != document.content_hash {
        return Err("its hash is not that of its bytes");
    }
    let key = &document.key;
    if key.is_empty() || key.len() > 1024 || key.contains(char::is_control) {
        return Err("its key is no key");
    }
    if document.title.chars().count() > 1024 || document.title.contains(char::is_control) {
        return Err("its title is no title");
    }
    if !(1..=LAST_VERSION).contains(&document.version) {
        return Err("its version is none");
    }
    SourceKind::from_word(&document.source_kind).ok_or("its kind of source is not known")?;
    ContentType::from_word(&document.content_type).ok_or("its content type is not known")?;
    let said = serde_json::from_str(&document.attributes).ok().and_then(|said| Attributes::new(said).ok());
    said.ok_or("its attributes are no attributes")?;
    if document.source_uri.len() > 2048 || document.source_uri.contains(char::is_control) {
        return Err("its address is no address");
    }
    if !document.format.is_empty() && !read_as(&document.format) {
        return Err("its format is not known");
    }
    check_pages(text, &document.pages)?;
    document.passages.iter().try_for_each(|passage| check_passage(text, passage))
}

/// Whether a document can have been read as this: by the end it is never `Auto`.
fn read_as(word: &str) -> bool {
    Format::from_word(word).is_some_and(|format| format != Format::Auto)
}

fn check_pages(text: &str, pages: &[SnapshotPage]) -> Result<(), &'static str> {
    let mut last = 0;
    for page in pages {
        if page.number <= last {
            return Err("its pages are not in order");
        }
        last = page.number;
        let span = usize::try_from(page.start).ok().zip(usize::try_from(page.end).ok());
        span.and_then(|(start, end)| text.get(start..end)).ok_or("a page is outside of its text")?;
        Complexity::from_word(&page.complexity).ok_or("how hard a page is to read is not known")?;
        Path::from_word(&page.path).ok_or("which way a page was read is not known")?;
        let hash = &page.picture_hash;
        if !hash.is_empty() && (hash.len() != 64 || !hash.bytes().all(|digit| digit.is_ascii_hexdigit())) {
            return Err("the hash of a picture is no hash");
        }
    }
    Ok(())
}

fn check_passage(text: &str, passage: &SnapshotPassage) -> Result<(), &'static str> {
    let good = |start: u64, end: u64| {
        let (start, end) = (usize::try_from(start).ok()?, usize::try_from(end).ok()?);
        text.get(start..end).filter(|part| !part.is_empty())
    };
    good(passage.start, passage.end).ok_or("a passage is outside of its text")?;
    for chunk in &passage.chunks {
        if chunk.start < passage.start || chunk.end > passage.end {
            return Err("a chunk is outside of its passage");
        }
        good(chunk.start, chunk.end).ok_or("a chunk is outside of its text")?;
        if chunk.vector.iter().any(|value| !value.is_finite()) {
            return Err("a vector has a value that is no number");
        }
        if let Some(own) = &chunk.weights {
            let sound = own.tokens.len() == own.weights.len()
                && own.tokens.is_sorted_by(|left, right| left < right)
                && own.weights.iter().all(|weight| weight.is_finite() && *weight > 0.0);
            sound.then_some(()).ok_or("the weights of a chunk's tokens are none")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use copydesk_proto::retrieval::v1::{SnapshotChunk, SnapshotTokenWeights};

    use super::*;

    fn document(text: &str) -> SnapshotDocument {
        let chunk = SnapshotChunk {
            start: 0,
            end: text.len() as u64,
            tokens: 1,
            vector: vec![0.5, -1.0],
            text_hash: vec![7; 16],
            weights: Some(SnapshotTokenWeights { tokens: vec![4, 9], weights: vec![0.5, 1.25] }),
        };
        let passage = SnapshotPassage { start: 0, end: chunk.end, tokens: 1, chunks: vec![chunk] };
        SnapshotDocument {
            key: "a".into(),
            title: "A".into(),
            source_kind: "post".into(),
            content_type: "blog".into(),
            version: 3,
            content_hash: blake3::hash(text.as_bytes()).to_hex().to_string(),
            text: text.as_bytes().to_vec(),
            attributes: "{}".into(),
            passages: vec![passage],
            format: "pdf".into(),
            pages: vec![page(1, text.len()), page(2, text.len())],
            ..Default::default()
        }
    }

    fn page(number: u32, end: usize) -> SnapshotPage {
        SnapshotPage {
            number,
            end: end as u64,
            complexity: Complexity::Medium.word().to_owned(),
            path: Path::Layout.word().to_owned(),
            reasons: vec!["2 columns".to_owned()],
            ..Default::default()
        }
    }

    fn file(documents: &[SnapshotDocument]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes).unwrap();
        writer.record(&SnapshotHeader { name: "x".into(), ..Default::default() }).unwrap();
        for document in documents {
            writer.record(document).unwrap();
        }
        let written = writer.finish().unwrap();
        assert_eq!(written.size, bytes.len() as u64);
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Vec<SnapshotDocument>, Fault> {
        let (mut reader, _) = Reader::new(bytes)?;
        let mut documents = Vec::new();
        while let Some(document) = reader.document()? {
            documents.push(document);
        }
        Ok(documents)
    }

    #[test]
    fn what_was_written_is_read() {
        let documents = [document("one fish"), document(&"two fish ".repeat(1000))];
        let bytes = file(&documents);
        assert!(bytes.len() < 2000, "it is compressed");
        assert_eq!(read(&bytes).unwrap(), documents);
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_noticed() {
        let bytes = file(&[document("one fish"), document("red fish")]);
        for end in 0..bytes.len() {
            assert!(read(&bytes[..end]).is_err(), "cut at {end}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(read(&changed).is_err(), "changed at {at}");
        }
        let longer = [&bytes[..], b"x"].concat();
        assert!(matches!(read(&longer), Err(Fault::Length)));
        assert!(matches!(read(b"PK\x03\x04 and so on"), Err(Fault::Foreign)));
        let mut later = bytes;
        later[8] = 2;
        assert!(matches!(read(&later), Err(Fault::Version(2))));
    }

    #[test]
    fn a_file_with_a_right_hash_and_wrong_documents_is_refused() {
        let wrong = |change: fn(&mut SnapshotDocument)| {
            let mut document = document("one fish");
            change(&mut document);
            match read(&file(&[document])) {
                Err(Fault::Record(2, what)) => what,
                other => unreachable!("{other:?}"),
            }
        };
        assert_eq!(wrong(|d| d.text[0] = b'O'), "its hash is not that of its bytes");
        assert_eq!(wrong(|d| d.original = Some(vec![1])), "its hash is not that of its bytes");
        assert_eq!(wrong(|d| d.text[0] = 0xff), "its text is not UTF-8");
        assert_eq!(wrong(|d| d.attributes.clear()), "its attributes are no attributes");
        assert_eq!(wrong(|d| d.source_uri.push('\n')), "its address is no address");
        assert_eq!(wrong(|d| d.key.clear()), "its key is no key");
        assert_eq!(wrong(|d| d.source_kind = "odd".into()), "its kind of source is not known");
        assert_eq!(wrong(|d| d.format = "auto".into()), "its format is not known");
        assert_eq!(wrong(|d| d.pages[1].number = 1), "its pages are not in order");
        assert_eq!(wrong(|d| d.pages[0].end = 99), "a page is outside of its text");
        assert_eq!(wrong(|d| d.pages[0].complexity.clear()), "how hard a page is to read is not known");
        assert_eq!(wrong(|d| d.pages[0].path.clear()), "which way a page was read is not known");
        assert_eq!(wrong(|d| d.pages[1].picture_hash = "12".into()), "the hash of a picture is no hash");
        assert_eq!(wrong(|d| d.passages[0].end = 99), "a passage is outside of its text");
        assert_eq!(wrong(|d| d.passages[0].chunks[0].end = 99), "a chunk is outside of its passage");
        assert_eq!(
            wrong(|d| d.passages[0].chunks[0].vector[0] = f32::NAN),
            "a vector has a value that is no number"
        );
        let weights: [fn(&mut SnapshotTokenWeights); 3] =
            [|own| own.tokens.truncate(1), |own| own.tokens[1] = 4, |own| own.weights[0] = 0.0];
        for change in weights {
            let mut document = document("one fish");
            change(document.passages[0].chunks[0].weights.as_mut().unwrap());
            let refused = read(&file(&[document]));
            assert!(
                matches!(refused, Err(Fault::Record(2, "the weights of a chunk's tokens are none"))),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn a_length_that_lies_reserves_nothing() {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(HEADER.to_le_bytes());
        bytes.extend(HEADER.to_le_bytes());
        assert!(matches!(read(&bytes), Err(Fault::Length)));
        let longer = [&bytes[..12], &(HEADER + 1).to_le_bytes(), &(HEADER + 1).to_le_bytes()].concat();
        assert!(matches!(read(&longer), Err(Fault::Record(1, "is longer than any document here"))));
        bytes[12..16].copy_from_slice(&1u32.to_le_bytes());
        assert!(matches!(read(&bytes), Err(Fault::Record(1, "has an impossible length"))));
    }
}
