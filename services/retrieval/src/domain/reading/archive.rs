//! The zip archive that an Office document is, unpacked within a limit whatever its headers claim.

use std::borrow::Cow;
use std::io::{Cursor, Read};

use quick_xml::events::Event;
use quick_xml::{Reader, XmlVersion};
use zip::ZipArchive;
use zip::result::ZipError;

use super::{ReadFailure, ReadLimits};
use crate::domain::source::Format;

/// An open archive.
pub struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    limit: u64,
    left: u64,
}

impl<'a> Archive<'a> {
    /// Opens an archive; all that is read from it together stays below the limit of unpacked bytes.
    ///
    /// # Errors
    /// `UNREADABLE` when it is none.
    pub fn open(bytes: &'a [u8], limits: &ReadLimits) -> Result<Self, ReadFailure> {
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| broken(&error))?;
        Ok(Self { zip, limit: limits.unpacked_bytes, left: limits.unpacked_bytes })
    }

    /// The names of its entries.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.zip.file_names().flatten().map(Cow::into_owned)
    }

    /// An entry as text; `None` when it is absent. Bytes that are not UTF-8 become replacement characters.
    ///
    /// # Errors
    /// `TOO_LARGE` over the limit, `ENCRYPTED`, `UNREADABLE`.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, ReadFailure> {
        let mut bytes = Vec::new();
        if !self.unpack(name, |part| bytes.extend_from_slice(part))? {
            return Ok(None);
        }
        Ok(Some(
            String::from_utf8(bytes)
                .unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned()),
        ))
    }

    /// Unpacks every entry once and keeps nothing: afterwards a reader that knows no limit may have the archive.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn check(&mut self) -> Result<(), ReadFailure> {
        let names: Vec<String> = self.names().collect();
        for name in names {
            self.unpack(&name, |_| ())?;
        }
        Ok(())
    }

    fn unpack(&mut self, name: &str, mut part: impl FnMut(&[u8])) -> Result<bool, ReadFailure> {
        let mut entry = match self.zip.by_name(name) {
            Ok(entry) => entry,
            Err(ZipError::FileNotFound) => return Ok(false),
            Err(error) => return Err(broken(&error)),
        };
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match entry.read(&mut buffer) {
                Ok(0) => return Ok(true),
                Ok(read) => {
                    self.left = self
                        .left
                        .checked_sub(read as u64)
                        .ok_or_else(|| ReadFailure::too_large(self.limit))?;
                    part(&buffer[..read]);
                }
                Err(_) => return Err(ReadFailure::unreadable("a part of it cannot be unpacked")),
            }
        }
    }
}

/// Which Office document an archive is, if it is one.
pub fn office(bytes: &[u8]) -> Option<Format> {
    let archive = Archive::open(bytes, &ReadLimits::default()).ok()?;
    let parts = [
        ("word/document.xml", Format::Docx),
        ("ppt/presentation.xml", Format::Pptx),
        ("xl/workbook.xml", Format::Xlsx),
    ];
    let names: Vec<String> = archive.names().collect();
    parts.iter().find(|(part, _)| names.iter().any(|name| name == part)).map(|(_, format)| *format)
}

fn broken(error: &ZipError) -> ReadFailure {
    match error {
        ZipError::UnsupportedArchive(text) if *text == ZipError::PASSWORD_REQUIRED => super::sniff::locked(),
        _ => ReadFailure::unreadable("is not a whole zip archive"),
    }
}

/// A step through an XML text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// An element begins: its name without prefix, and its attributes without prefixes.
    Open(String, Vec<(String, String)>),
    /// An element ends.
    Close(String),
    /// Words.
    Text(String),
}

/// Walks through an XML text; an empty element is opened and closed. Depth costs nothing.
///
/// # Errors
/// `UNREADABLE` when it is not XML, and what `visit` gives.
pub fn walk(xml: &str, mut visit: impl FnMut(Step) -> Result<(), ReadFailure>) -> Result<(), ReadFailure> {
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_end_names = false;
    loop {
        let event = reader.read_event().map_err(|_| ReadFailure::unreadable("a part of it is not XML"))?;
        match event {
            Event::Start(tag) => visit(opened(&tag))?,
            Event::Empty(tag) => {
                visit(opened(&tag))?;
                visit(Step::Close(tag.local_name().as_ref().to_owned()))?;
            }
            Event::End(tag) => visit(Step::Close(tag.local_name().as_ref().to_owned()))?,
            Event::Text(text) => visit(Step::Text(text.xml10_content().into_owned()))?,
            Event::CData(text) => visit(Step::Text(text.xml10_content().into_owned()))?,
            Event::GeneralRef(reference) => visit(Step::Text(resolved(&reference)))?,
            Event::Eof => return Ok(()),
            _ => {}
        }
    }
}

fn opened(tag: &quick_xml::events::BytesStart<'_>) -> Step {
    let attributes = tag.attributes().flatten().map(|attribute| {
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).map(Cow::into_owned);
        (attribute.key.local_name().as_ref().to_owned(), value.unwrap_or_default())
    });
    Step::Open(tag.local_name().as_ref().to_owned(), attributes.collect())
}

/// The predefined and the numeric references; others say nothing: entities are never expanded.
fn resolved(reference: &str) -> String {
    let number = reference.strip_prefix('#').and_then(|digits| match digits.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => digits.parse().ok(),
    });
    match (reference, number.and_then(char::from_u32)) {
        (_, Some(c)) => c.to_string(),
        ("amp", _) => "&".into(),
        ("lt", _) => "<".into(),
        ("gt", _) => ">".into(),
        ("quot", _) => "\"".into(),
        ("apos", _) => "'".into(),
        _ => String::new(),
    }
}

/// The value of an attribute.
pub fn attribute<'a>(attributes: &'a [(String, String)], name: &str) -> Option<&'a str> {
    attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}
