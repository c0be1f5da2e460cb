//! An upload: parts in, documents out, every rule of the contract checked on the way.
//!
//! At most one document is held. Faults in headers are collected and told together at the end; from the first fault on
//! nothing is handed out any more, because nothing will be stored. A fault that would cost memory or time to read past
//! (too large, no text, parts out of order) ends the upload at once, with what was collected before it.

use std::collections::HashSet;

use super::attributes::Attributes;
use super::origin::Wish;
use super::records::StagedDocument;
use super::source::{ContentType, Format, SourceKind};

/// Most faults told; the rest are counted.
const TOLD: usize = 20;
/// Longest source URI, in bytes.
const LONGEST_URI: usize = 2048;
/// Longest key shown in a fault, in bytes.
const SHOWN: usize = 96;

/// What an upload may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadLimits {
    /// Bytes of one document.
    pub document_bytes: u64,
    /// Bytes of all documents.
    pub upload_bytes: u64,
    /// Documents.
    pub documents: u32,
    /// Bytes of one part.
    pub part_bytes: usize,
}

/// A field that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Its path, for example `document[guide.md].content`.
    pub field: String,
    /// What is wrong.
    pub description: String,
}

/// The upload is refused for these reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(pub Vec<Fault>);

/// A document's header as it came; `None` where the value is not one of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The caller's key.
    pub key: String,
    /// The title; empty when none.
    pub title: String,
    /// How to read it.
    pub format: Option<Format>,
    /// What kind of source it is.
    pub source_kind: Option<SourceKind>,
    /// What kind of content it is.
    pub content_type: Option<ContentType>,
    /// What the caller said of it, or what is wrong with that.
    pub attributes: Result<Attributes, String>,
    /// Where it can be read; empty when that was not said.
    pub source_uri: String,
}

/// What a finished upload was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The last document.
    pub last: Option<StagedDocument>,
    /// How many documents there were.
    pub documents: u32,
    /// How many bytes they have.
    pub bytes: u64,
    /// BLAKE3 of everything that was said, in hexadecimal digits; where parts were cut does not matter.
    pub fingerprint: String,
}

/// An upload in progress.
#[derive(Debug)]
pub struct Upload {
    limits: UploadLimits,
    keys: HashSet<String>,
    faults: Vec<Fault>,
    untold: usize,
    open: Option<Open>,
    documents: u32,
    bytes: u64,
    all: blake3::Hasher,
    may_be_empty: bool,
}

#[derive(Debug)]
struct Open {
    header: Header,
    content: Vec<u8>,
}

impl Upload {
    /// Begins an upload into a knowledge base.
    pub fn new(limits: UploadLimits, knowledge_base: &str) -> Self {
        let mut all = blake3::Hasher::new();
        say(&mut all, knowledge_base.as_bytes());
        let (keys, faults) = (HashSet::new(), Vec::new());
        Self { limits, keys, faults, untold: 0, open: None, documents: 0, bytes: 0, all, may_be_empty: false }
    }

    /// The same for documents of a source: there may be none, and what is asked for counts for the fingerprint.
    #[must_use]
    pub fn of_source(mut self, wish: &Wish) -> Self {
        let mirror = if wish.mirror { "mirror" } else { "" };
        for word in ["\0source", &wish.kind, &wish.name, &wish.spec, wish.content_type.word(), mirror] {
            say(&mut self.all, word.as_bytes());
        }
        self.may_be_empty = true;
        self
    }

    /// Begins the next document and gives the one before, if everything was good so far.
    ///
    /// # Errors
    /// When the document before should be text and is not UTF-8, or the upload holds too many documents.
    pub fn document(&mut self, header: Header) -> Result<Option<StagedDocument>, Refusal> {
        let before = self.close()?;
        if self.documents == self.limits.documents {
            let description = format!("more than {} documents in one upload", self.limits.documents);
            return Err(self.refuse("document", description));
        }
        self.documents += 1;
        self.check(&header);
        self.open = Some(Open { header, content: Vec::new() });
        Ok(before)
    }

    /// The next bytes of the current document.
    ///
    /// # Errors
    /// When there is no current document, or the part, the document or the upload is too large.
    pub fn content(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let Some(open) = &mut self.open else {
            return Err(self.refuse("content", "comes before the first document".into()));
        };
        let field = format!("document[{}].content", shown(&open.header.key));
        if bytes.len() > self.limits.part_bytes {
            let description =
                format!("a part of {} bytes; the limit is {}", bytes.len(), self.limits.part_bytes);
            return Err(self.refuse(&field, description));
        }
        if (open.content.len() + bytes.len()) as u64 > self.limits.document_bytes {
            let description = format!("is longer than {} bytes", self.limits.document_bytes);
            return Err(self.refuse(&field, description));
        }
        self.bytes += bytes.len() as u64;
        if self.bytes > self.limits.upload_bytes {
            let description = format!("makes the upload longer than {} bytes", self.limits.upload_bytes);
            return Err(self.refuse(&field, description));
        }
        open.content.extend_from_slice(bytes);
        Ok(())
    }

    /// Ends the upload.
    ///
    /// # Errors
    /// With every fault that was found.
    pub fn finish(&mut self) -> Result<Finished, Refusal> {
        let last = self.close()?;
        if self.documents == 0 && !self.may_be_empty {
            self.fault("document", "at least one document is needed".into());
        }
        if !self.faults.is_empty() {
            return Err(self.told());
        }
        Ok(Finished {
            last,
            documents: self.documents,
            bytes: self.bytes,
            fingerprint: self.all.finalize().to_hex().to_string(),
        })
    }

    /// A refusal for a part that must not come here, with what was found before.
    pub fn refuse(&mut self, field: &str, description: String) -> Refusal {
        // The fault that ends the upload is always told.
        self.faults.truncate(TOLD - 1);
        self.fault(field, description);
        self.told()
    }

    fn close(&mut self) -> Result<Option<StagedDocument>, Refusal> {
        let Some(Open { header, content }) = self.open.take() else { return Ok(None) };
        let hash = blake3::hash(&content);
        if header.format.is_some_and(Format::is_text) && std::str::from_utf8(&content).is_err() {
            let field = format!("document[{}].content", shown(&header.key));
            return Err(self.refuse(&field, "is not valid UTF-8".into()));
        }
        for word in [header.key.as_bytes(), header.title.as_bytes(), hash.as_bytes()] {
            say(&mut self.all, word);
        }
        let (Some(format), Some(source_kind), Some(content_type), Ok(attributes)) =
            (header.format, header.source_kind, header.content_type, header.attributes)
        else {
            return Ok(None);
        };
        for word in [format.word(), source_kind.word(), content_type.word()] {
            say(&mut self.all, word.as_bytes());
        }
        if attributes != Attributes::default() || !header.source_uri.is_empty() {
            // No key begins so: what is said of a document is never read as the next one.
            for word in ["\0", &attributes.json(), &header.source_uri] {
                say(&mut self.all, word.as_bytes());
            }
        }
        let document = StagedDocument {
            ordinal: self.documents - 1,
            key: header.key,
            title: header.title,
            format,
            source_kind,
            content_type,
            content: content.into(),
            content_hash: hash.to_hex().to_string(),
            attributes,
            source_uri: header.source_uri,
        };
        Ok(self.faults.is_empty().then_some(document))
    }

    fn check(&mut self, header: &Header) {
        let field = |name: &str| format!("document[{}].{name}", shown(&header.key));
        if header.key.is_empty() || header.key.len() > 1024 || header.key.contains(char::is_control) {
            self.fault(&field("key"), "must have 1 to 1,024 bytes and no control characters".into());
        } else if !self.keys.insert(header.key.clone()) {
            self.fault(&field("key"), "comes twice in this upload".into());
        }
        if header.title.chars().count() > 500 || header.title.contains(char::is_control) {
            self.fault(&field("title"), "must have at most 500 characters and no control characters".into());
        }
        if header.source_uri.len() > LONGEST_URI || header.source_uri.contains(char::is_control) {
            let what = format!("must have at most {LONGEST_URI} bytes and no control characters");
            self.fault(&field("source_uri"), what);
        }
        if let Err(what) = &header.attributes {
            self.fault(&field("attributes"), what.clone());
        }
        for (good, name) in [
            (header.format.is_some(), "format"),
            (header.source_kind.is_some(), "source_kind"),
            (header.content_type.is_some(), "content_type"),
        ] {
            if !good {
                self.fault(&field(name), "is not one of the listed values".into());
            }
        }
    }

    fn fault(&mut self, field: &str, description: String) {
        if self.faults.len() < TOLD {
            self.faults.push(Fault { field: field.to_owned(), description });
        } else {
            self.untold += 1;
        }
    }

    fn told(&mut self) -> Refusal {
        let mut faults = std::mem::take(&mut self.faults);
        if self.untold > 0 {
            faults.push(Fault {
                field: "document".into(),
                description: format!("{} more faults", self.untold),
            });
        }
        Refusal(faults)
    }
}

/// Adds a text and its length, so that no two different uploads say the same bytes.
fn say(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
}

fn shown(key: &str) -> &str {
    &key[..key.floor_char_boundary(SHOWN)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: UploadLimits =
        UploadLimits { document_bytes: 10, upload_bytes: 25, documents: 3, part_bytes: 8 };

    fn header(key: &str) -> Header {
        Header {
            key: key.into(),
            title: String::new(),
            format: Some(Format::Text),
            source_kind: Some(SourceKind::Document),
            content_type: Some(ContentType::Blog),
            attributes: Ok(Attributes::default()),
            source_uri: String::new(),
        }
    }

    fn upload(documents: &[(&str, &[&[u8]])]) -> Result<(Vec<String>, Finished), Refusal> {
        let mut upload = Upload::new(LIMITS, "kb");
        let mut texts = Vec::new();
        for (key, parts) in documents {
            texts.extend(
                upload
                    .document(header(key))?
                    .map(|document| String::from_utf8(document.content.into()).unwrap()),
            );
            for part in *parts {
                upload.content(part)?;
            }
        }
        let finished = upload.finish()?;
        texts.extend(
            finished.last.iter().map(|document| String::from_utf8(document.content.to_vec()).unwrap()),
        );
        Ok((texts, finished))
    }

    fn fields(refusal: Refusal) -> Vec<String> {
        refusal.0.into_iter().map(|fault| fault.field).collect()
    }

    #[test]
    fn a_character_may_be_cut_between_parts_and_the_cut_does_not_matter() {
        let whole = upload(&[("a", &["aé".as_bytes()]), ("b", &[])]).unwrap();
        let cut = upload(&[("a", &[b"a\xc3", b"\xa9"]), ("b", &[b""])]).unwrap();
        assert_eq!(whole, cut);
        assert_eq!(whole.0, ["aé", ""]);
        let other = upload(&[("a", &[b"a"]), ("b", &["é".as_bytes()])]).unwrap();
        assert_ne!(whole.1.fingerprint, other.1.fingerprint);
    }

    #[test]
    fn refuses_at_once_what_it_cannot_read_past() {
        let refused = |documents| fields(upload(documents).unwrap_err());
        assert_eq!(refused(&[("a", &[b"12345678", b"123"])]), ["document[a].content"]);
        assert_eq!(refused(&[("a", &[b"123456789"])]), ["document[a].content"]);
        assert_eq!(refused(&[("a", &[b"\xff"]), ("b", &[])]), ["document[a].content"]);
        assert_eq!(refused(&[("a", &[]), ("b", &[]), ("c", &[]), ("d", &[])]), ["document"]);
        let eight: &[&[u8]] = &[b"12345678", b"1"];
        assert_eq!(refused(&[("a", eight), ("b", eight), ("c", eight)]), ["document[c].content"]);
        assert_eq!(fields(Upload::new(LIMITS, "kb").content(b"x").unwrap_err()), ["content"]);
    }

    #[test]
    fn tells_all_faults_of_headers_together() {
        let mut upload = Upload::new(LIMITS, "kb");
        assert_eq!(upload.document(header("a")).unwrap(), None);
        assert!(upload.document(Header { format: None, ..header("b") }).unwrap().is_some());
        let (attributes, source_uri) = (Err("odd".to_owned()), "\n".to_owned());
        let bad =
            Header { title: "x".repeat(501), content_type: None, attributes, source_uri, ..header("a") };
        assert_eq!(upload.document(bad).unwrap(), None, "nothing is handed out after a fault");
        let expected = [
            "document[b].format",
            "document[a].key",
            "document[a].title",
            "document[a].source_uri",
            "document[a].attributes",
            "document[a].content_type",
        ];
        assert_eq!(fields(upload.finish().unwrap_err()), expected);
        assert_eq!(fields(Upload::new(LIMITS, "kb").finish().unwrap_err()), ["document"]);
    }

    #[test]
    fn the_list_of_faults_stays_short() {
        let limits = UploadLimits { documents: 1000, ..LIMITS };
        let mut upload = Upload::new(limits, "kb");
        for _ in 0..500 {
            upload.document(header(&"é".repeat(600))).unwrap();
        }
        let Refusal(faults) = upload.refuse("part", "odd".into());
        assert_eq!(faults.len(), TOLD + 1);
        assert_eq!(faults[TOLD - 1].field, "part");
        assert!(faults.iter().all(|fault| fault.field.len() <= 128));
    }
}
