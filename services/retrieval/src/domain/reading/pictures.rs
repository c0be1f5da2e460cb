//! The pictures on a page of a PDF: how much of the page they cover, and the largest as a file.

use pdf_extract::{Dictionary, Document, Object, ObjectId, Stream, content::Content};

use super::png::{self, Samples};

/// What a page shows beside text.
#[derive(Debug, Default)]
pub struct PagePictures {
    /// How many pictures are drawn.
    pub count: usize,
    /// The part of the page that they cover, 0 to 1.
    pub covered: f64,
    /// The largest picture's media type and file, when it is one that a model can look at.
    pub largest: Option<(&'static str, Vec<u8>)>,
    /// Fonts that do not say which characters they show.
    pub unmapped_fonts: usize,
}

/// A larger picture is not unpacked, in pixels.
const PIXELS: i64 = 100_000_000;
/// Drawing steps of one page that are looked at.
const STEPS: usize = 1_000_000;

/// Looks at a page's drawing steps.
pub fn page_pictures(document: &Document, page: ObjectId) -> PagePictures {
    let mut found =
        PagePictures { unmapped_fonts: unmapped_fonts(document, page), ..PagePictures::default() };
    let Some(area) = page_area(document, page) else { return found };
    let Ok(content) = document.get_page_content(page) else { return found };
    let Ok(content) = Content::decode(&content) else { return found };
    let mut largest: Option<(f64, &Stream)> = None;
    let mut scale = Scale::default();
    for step in content.operations.iter().take(STEPS) {
        match (step.operator.as_str(), step.operands.as_slice()) {
            ("q", _) => scale.push(),
            ("Q", _) => scale.pop(),
            ("cm", matrix) => scale.multiply(matrix),
            ("Do", [Object::Name(name)]) => {
                if let Some(picture) = picture(document, page, name) {
                    found.count += 1;
                    found.covered += scale.area() / area;
                    if largest.is_none_or(|(held, _)| scale.area() > held) {
                        largest = Some((scale.area(), picture));
                    }
                }
            }
            _ => {}
        }
    }
    found.covered = found.covered.clamp(0.0, 1.0);
    found.largest = largest.and_then(|(_, picture)| file(document, picture));
    found
}

/// The current transformation and those that were set aside: only what says how large a unit square becomes.
struct Scale {
    now: [f64; 4],
    kept: Vec<[f64; 4]>,
}

impl Default for Scale {
    fn default() -> Self {
        Self { now: [1.0, 0.0, 0.0, 1.0], kept: Vec::new() }
    }
}

impl Scale {
    fn push(&mut self) {
        self.kept.push(self.now);
    }

    fn pop(&mut self) {
        self.now = self.kept.pop().unwrap_or(self.now);
    }

    fn multiply(&mut self, matrix: &[Object]) {
        let numbers: Vec<f64> =
            matrix.iter().filter_map(|number| number.as_float().ok()).map(f64::from).collect();
        if let [a, b, c, d, _, _] = numbers[..] {
            let [e, f, g, h] = self.now;
            self.now = [a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h];
        }
    }

    fn area(&self) -> f64 {
        let [a, b, c, d] = self.now;
        (a * d - b * c).abs()
    }
}

/// An attribute of a page, also when it stands at one of the nodes above.
fn inherited<'a>(document: &'a Document, page: ObjectId, key: &[u8]) -> Option<&'a Object> {
    let mut node = document.get_dictionary(page).ok()?;
    // Real trees are a few nodes deep; one that goes in circles is not followed for ever.
    for _ in 0..64 {
        if let Ok(value) = node.get(key) {
            return document.dereference(value).ok().map(|(_, value)| value);
        }
        node = document.get_dictionary(node.get(b"Parent").ok()?.as_reference().ok()?).ok()?;
    }
    None
}

fn page_area(document: &Document, page: ObjectId) -> Option<f64> {
    let corners: Vec<f64> = inherited(document, page, b"MediaBox")?
        .as_array()
        .ok()?
        .iter()
        .filter_map(|number| number.as_float().ok().map(f64::from))
        .collect();
    let [left, bottom, right, top] = corners[..] else { return None };
    let area = ((right - left) * (top - bottom)).abs();
    (area > 0.0).then_some(area)
}

fn resources<'a>(document: &'a Document, page: ObjectId, kind: &[u8]) -> Option<&'a Dictionary> {
    let resources = inherited(document, page, b"Resources")?.as_dict().ok()?;
    document.dereference(resources.get(kind).ok()?).ok()?.1.as_dict().ok()
}

fn picture<'a>(document: &'a Document, page: ObjectId, name: &[u8]) -> Option<&'a Stream> {
    let object = resources(document, page, b"XObject")?.get(name).ok()?;
    let stream = document.dereference(object).ok()?.1.as_stream().ok()?;
    (stream.dict.get(b"Subtype").ok()?.as_name().ok()? == b"Image").then_some(stream)
}

fn unmapped_fonts(document: &Document, page: ObjectId) -> usize {
    let Some(fonts) = resources(document, page, b"Font") else { return 0 };
    let unmapped = |font: &Dictionary| {
        let kind = font.get(b"Subtype").and_then(Object::as_name).unwrap_or_default();
        matches!(kind, b"Type0" | b"Type3") && font.get(b"ToUnicode").is_err()
    };
    let fonts = fonts.iter().filter_map(|(_, font)| document.dereference(font).ok()?.1.as_dict().ok());
    fonts.filter(|font| unmapped(font)).count()
}

/// A picture as a file: JPEG as it stands in the PDF, plain samples as PNG. Other codings need a renderer.
fn file(document: &Document, picture: &Stream) -> Option<(&'static str, Vec<u8>)> {
    let filters = picture.filters().unwrap_or_default();
    match filters.as_slice() {
        [only] if *only == b"DCTDecode" => Some(("image/jpeg", picture.content.clone())),
        [] | [b"FlateDecode"] | [b"LZWDecode"] => samples(document, picture, filters.is_empty()),
        _ => None,
    }
}

fn samples(document: &Document, picture: &Stream, plain: bool) -> Option<(&'static str, Vec<u8>)> {
    let number = |key: &[u8]| document.dereference(picture.dict.get(key).ok()?).ok()?.1.as_i64().ok();
    let (width, height) = (number(b"Width")?, number(b"Height")?);
    if width <= 0 || height <= 0 || width.checked_mul(height)? > PIXELS {
        return None;
    }
    let mask = picture.dict.get(b"ImageMask").and_then(Object::as_bool).unwrap_or(false);
    let bits = if mask { 1 } else { number(b"BitsPerComponent")? };
    let space = picture.dict.get(b"ColorSpace").ok().and_then(|space| document.dereference(space).ok());
    let channels = match space.map(|(_, space)| space) {
        Some(Object::Name(name)) if name == b"DeviceRGB" => 3,
        Some(Object::Name(name)) if name == b"DeviceGray" => 1,
        Some(Object::Array(parts)) => icc_channels(document, parts)?,
        None if mask => 1,
        _ => return None,
    };
    let rows = if plain { picture.content.clone() } else { picture.decompressed_content().ok()? };
    let (width, height) = (u32::try_from(width).ok()?, u32::try_from(height).ok()?);
    let samples = Samples { width, height, bits: u8::try_from(bits).ok()?, channels, rows: &rows };
    png::encode(&samples).map(|file| ("image/png", file))
}

/// How many samples a pixel of a calibrated colour space has.
fn icc_channels(document: &Document, parts: &[Object]) -> Option<u8> {
    match parts.first()?.as_name().ok()? {
        b"CalRGB" => Some(3),
        b"CalGray" => Some(1),
        b"ICCBased" => {
            let profile = document.dereference(parts.get(1)?).ok()?.1.as_stream().ok()?;
            u8::try_from(profile.dict.get(b"N").ok()?.as_i64().ok()?).ok().filter(|n| matches!(n, 1 | 3))
        }
        _ => None,
    }
}
