//! Bytes into text: the parser, and a vision model for the pages that are pictures.

use std::collections::{HashMap, HashSet};

use futures_util::StreamExt;

use super::Desk;
use super::embed::{FIRST_WAIT, LONGEST_WAIT};
use crate::config::OcrConfig;
use crate::domain::reading::{NO_MODEL, Path, Picture, ReadFailure, Reading};
use crate::domain::records::{StagedDocument, reason};
use crate::domain::source::Format;
use crate::error::Error;
use crate::parsers;
use crate::ports::{Job, Ocr, OcrError};

/// A document that was read.
pub(super) struct Read {
    /// What it was read as.
    pub format: Format,
    /// Its text and pages.
    pub reading: Reading,
    /// Hashes of the pictures that were read, by page.
    pub pictures: HashMap<u32, String>,
}

/// Reads a document; the inner error is the document's own.
pub(super) async fn read(
    desk: &Desk,
    job: &Job,
    staged: &StagedDocument,
) -> Result<Result<Read, ReadFailure>, Error> {
    let (given, key, bytes) = (staged.format, staged.key.clone(), staged.content.clone());
    let chosen = tokio::task::spawn_blocking(move || parsers::choose(given, &key, &bytes)).await?;
    let choice = match chosen {
        Ok(choice) => choice,
        Err(failure) => return Ok(Err(failure)),
    };
    let limits = desk.config.parsing.limits();
    let mut reading = match desk.reader.read(choice.format, staged.content.clone(), limits).await {
        Ok(reading) => reading,
        Err(failure) => return Ok(Err(failure)),
    };
    if let (Some(note), Some(page)) = (choice.note, reading.pages.first_mut()) {
        page.reasons.insert(0, note);
    }
    let mut pictures = HashMap::new();
    if reading.unread().next().is_some()
        && let Err(failure) = read_pictures(desk, job, &mut reading, &mut pictures).await?
    {
        return Ok(Err(failure));
    }
    Ok(Ok(Read { format: choice.format, reading: reading.without_nul(), pictures }))
}

/// Reads the pages that are pictures, and puts their texts in.
async fn read_pictures(
    desk: &Desk,
    job: &Job,
    reading: &mut Reading,
    hashes: &mut HashMap<u32, String>,
) -> Result<Result<(), ReadFailure>, Error> {
    let pictures = std::mem::take(&mut reading.pictures);
    let Some((ocr, config)) = desk.ocr.as_deref().zip(desk.config.ocr.as_ref()) else {
        return Ok(without(reading, |_| true, NO_MODEL));
    };
    let without_picture = |number: u32| !pictures.iter().any(|picture: &Picture| picture.page == number);
    let note = "not read: the file holds no picture of the page that can be taken out";
    if let Err(failure) = without(reading, without_picture, note) {
        return Ok(Err(failure));
    }
    if pictures.len() > config.max_pages as usize {
        let message =
            format!("has {} pages that are pictures; at most {} are read", pictures.len(), config.max_pages);
        return Ok(Err(ReadFailure::new(reason::TOO_MANY_PAGES, message)));
    }
    match texts(desk, job, ocr, config, &pictures, hashes).await? {
        Ok(texts) => {
            reading.put(&texts);
            Ok(Ok(()))
        }
        Err(failure) => Ok(Err(failure)),
    }
}

/// Notes why pages are not read; a failure when these are all the document has.
fn without(reading: &mut Reading, which: impl Fn(u32) -> bool, note: &str) -> Result<(), ReadFailure> {
    let unread = reading.pages.iter_mut().filter(|page| page.path == Path::Ocr && which(page.number));
    let mut count = 0;
    for page in unread {
        page.reasons.push(note.to_owned());
        count += 1;
    }
    let others = reading.unread().any(|page| !which(page.number));
    if count > 0 && reading.text.trim().is_empty() && !others {
        let message = format!("its text stands in pictures; {count} pages {note}");
        return Err(ReadFailure::new(reason::NEEDS_OCR, message));
    }
    Ok(())
}

/// The texts of pictures, by page; each different picture is read once.
async fn texts(
    desk: &Desk,
    job: &Job,
    ocr: &dyn Ocr,
    config: &OcrConfig,
    pictures: &[Picture],
    hashes: &mut HashMap<u32, String>,
) -> Result<Result<Vec<(u32, String)>, ReadFailure>, Error> {
    let (mut seen, mut shown) = (HashSet::new(), Vec::new());
    for picture in pictures {
        let hash = blake3::hash(&picture.bytes).to_hex().to_string();
        if seen.insert(hash.clone()) {
            shown.push((hash.clone(), picture));
        }
        hashes.insert(picture.page, hash);
    }
    let asked = Asked { ocr, attempts: config.attempts };
    let work: Vec<_> =
        shown.into_iter().map(|(hash, picture)| text(desk, job, &asked, hash, picture)).collect();
    let mut results = futures_util::stream::iter(work).buffered(config.at_once as usize);
    let mut texts = HashMap::new();
    while let Some(result) = results.next().await {
        match result? {
            (_, hash, Ok(text)) => texts.insert(hash, text),
            (page, _, Err(error)) => {
                let message = format!("page {page}: {error}");
                return Ok(Err(ReadFailure::new(reason::OCR_FAILED, message)));
            }
        };
    }
    let of = |picture: &Picture| Some((picture.page, texts.get(hashes.get(&picture.page)?)?.clone()));
    Ok(Ok(pictures.iter().filter_map(of).collect()))
}

/// The page, hash and text of a picture: as it was read before, else by the model.
async fn text(
    desk: &Desk,
    job: &Job,
    asked: &Asked<'_>,
    hash: String,
    picture: &Picture,
) -> Result<(u32, String, Result<String, OcrError>), Error> {
    let reader = asked.ocr.id();
    if let Some(text) = desk.ocr_texts.ocr_text(job.tenant, &hash, reader).await? {
        return Ok((picture.page, hash, Ok(text)));
    }
    let read = asked.read(picture).await;
    if let Ok(text) = &read {
        let (tenant, base, now) = (job.tenant, job.knowledge_base, desk.clock.now());
        desk.ocr_texts.keep_ocr_text(tenant, base, &hash, reader, text, now).await?;
    }
    Ok((picture.page, hash, read))
}

/// A model, and how often it is asked for one page.
struct Asked<'a> {
    ocr: &'a dyn Ocr,
    attempts: u32,
}

impl Asked<'_> {
    /// Asks, and again while the failure may pass.
    async fn read(&self, picture: &Picture) -> Result<String, OcrError> {
        let mut wait = FIRST_WAIT;
        for _ in 1..self.attempts {
            match self.ocr.read(picture).await {
                Err(OcrError { again: Some(after), reason }) => {
                    let pause = after.clamp(wait, LONGEST_WAIT);
                    tracing::warn!(
                        reason,
                        wait_ms = pause.as_millis() as u64,
                        "the vision model is asked again"
                    );
                    tokio::time::sleep(pause).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                answer => return answer,
            }
        }
        self.ocr.read(picture).await
    }
}
