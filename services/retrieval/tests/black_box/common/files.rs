//! Documents of every format, made as their programs make them, and as no program ever would.

#![allow(dead_code, reason = "each suite uses its part")]

use std::fmt::Write as _;
use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A zip archive of these entries.
pub fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, content) in entries {
        zip.start_file(*name, options).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A Word document with this body.
pub fn docx(body: &str) -> Vec<u8> {
    let document = format!(
        "<?xml version=\"1.0\"?><w:document xmlns:w=\"w\"><w:body>{body}<w:sectPr/></w:body></w:document>"
    );
    let core =
        "<c:coreProperties xmlns:c=\"c\" xmlns:dc=\"d\"><dc:title>The title</dc:title></c:coreProperties>";
    zip(&[("word/document.xml", document.as_bytes()), ("docProps/core.xml", core.as_bytes())])
}

/// A paragraph of Word with a style.
pub fn paragraph(style: &str, text: &str) -> String {
    format!("<w:p><w:pPr><w:pStyle w:val=\"{style}\"/></w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>")
}

/// A presentation of slides, each a title and a line, shown in the order given though stored in another.
pub fn pptx(slides: &[(&str, &str)]) -> Vec<u8> {
    let (mut ids, mut links) = (String::new(), String::new());
    let mut parts = Vec::new();
    for (at, (title, line)) in slides.iter().enumerate() {
        let file = slides.len() - at;
        write!(ids, "<p:sldId id=\"{}\" r:id=\"rId{file}\"/>", 256 + at).unwrap();
        write!(links, "<Relationship Id=\"rId{file}\" Target=\"slides/slide{file}.xml\"/>").unwrap();
        let shape = |kind: &str, text: &str| {
            format!(
                "<p:sp><p:nvSpPr><p:nvPr><p:ph type=\"{kind}\"/></p:nvPr></p:nvSpPr>\
                 <p:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp>"
            )
        };
        let xml = format!(
            "<p:sld xmlns:p=\"p\" xmlns:a=\"a\">{}{}{}</p:sld>",
            shape("title", title),
            shape("body", line),
            shape("sldNum", "7")
        );
        parts.push((format!("ppt/slides/slide{file}.xml"), xml));
    }
    let presentation = format!(
        "<p:presentation xmlns:p=\"p\" xmlns:r=\"r\"><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>"
    );
    let links = format!("<Relationships>{links}</Relationships>");
    let mut entries: Vec<(&str, &[u8])> = vec![
        ("ppt/presentation.xml", presentation.as_bytes()),
        ("ppt/_rels/presentation.xml.rels", links.as_bytes()),
    ];
    entries.extend(parts.iter().map(|(name, xml)| (name.as_str(), xml.as_bytes())));
    zip(&entries)
}

/// A workbook of one sheet with these rows of numbers and words.
pub fn xlsx(rows: impl Iterator<Item = Vec<String>>) -> Vec<u8> {
    let mut sheet = String::from(
        "<worksheet xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"><sheetData>",
    );
    for (row, cells) in rows.enumerate() {
        write!(sheet, "<row r=\"{}\">", row + 1).unwrap();
        for cell in cells {
            match cell.parse::<f64>() {
                Ok(number) => write!(sheet, "<c><v>{number}</v></c>").unwrap(),
                Err(_) => write!(sheet, "<c t=\"inlineStr\"><is><t>{cell}</t></is></c>").unwrap(),
            }
        }
        sheet.push_str("</row>");
    }
    sheet.push_str("</sheetData></worksheet>");
    let workbook = "<workbook xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" \
        xmlns:r=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships\">\
        <sheets><sheet name=\"Prices\" sheetId=\"1\" r:id=\"rId1\"/></sheets></workbook>";
    let links = "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">\
        <Relationship Id=\"rId1\" \
        Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet\" \
        Target=\"worksheets/sheet1.xml\"/></Relationships>";
    let root = "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">\
        <Relationship Id=\"rId1\" \
        Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument\" \
        Target=\"xl/workbook.xml\"/></Relationships>";
    zip(&[
        ("_rels/.rels", root.as_bytes()),
        ("xl/workbook.xml", workbook.as_bytes()),
        ("xl/_rels/workbook.xml.rels", links.as_bytes()),
        ("xl/worksheets/sheet1.xml", sheet.as_bytes()),
    ])
}

/// What a page of a PDF shows.
pub enum Shown<'a> {
    /// Lines at places: from the left, from below, the letters' size, the words.
    Lines(&'a [(u32, u32, u32, &'a str)]),
    /// A picture over the whole page: grey samples of 8 by 8.
    Scan(u8),
}

/// A PDF of these pages; `locked` names a lock that no password here opens.
pub fn pdf(pages: &[Shown<'_>], locked: bool) -> Vec<u8> {
    // 1: catalogue, 2: pages, 3: font, then three objects a page.
    let kids: Vec<String> = (0..pages.len()).map(|page| format!("{} 0 R", 4 + page * 3)).collect();
    let mut objects: Vec<Vec<u8>> = vec![
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        format!("<< /Type /Pages /Kids [{}] /Count {} >>", kids.join(" "), pages.len()).into_bytes(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_vec(),
    ];
    for (at, page) in pages.iter().enumerate() {
        let (content, picture) = (5 + at * 3, 6 + at * 3);
        objects.push(
            format!(
                "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents {content} 0 R /Resources \
                 << /Font << /F1 3 0 R >> /XObject << /Im1 {picture} 0 R >> >> >>"
            )
            .into_bytes(),
        );
        let (steps, samples) = match page {
            Shown::Lines(lines) => {
                let line = |(x, y, size, text): &(u32, u32, u32, &str)| {
                    format!("BT /F1 {size} Tf {x} {y} Td ({text}) Tj ET\n")
                };
                (lines.iter().map(line).collect::<String>(), vec![0; 64])
            }
            Shown::Scan(grey) => ("q 600 0 0 800 0 0 cm /Im1 Do Q\n".to_owned(), vec![*grey; 64]),
        };
        objects.push(stream("", steps.as_bytes()));
        let picture =
            "/Type /XObject /Subtype /Image /Width 8 /Height 8 /ColorSpace /DeviceGray /BitsPerComponent 8";
        objects.push(stream(picture, &samples));
    }
    let lock = "<< /Filter /Standard /V 2 /R 3 /Length 128 /P -1 /O <00112233445566778899aabbccddeeff\
        00112233445566778899aabbccddeeff> /U <0102030405060708090a0b0c0d0e0f10\
        0102030405060708090a0b0c0d0e0f10> >>";
    let mut trailer = String::from("/Root 1 0 R");
    if locked {
        objects.push(lock.as_bytes().to_vec());
        write!(trailer, " /Encrypt {} 0 R /ID [<aa> <aa>]", objects.len()).unwrap();
    }
    written(&objects, &trailer)
}

/// A PDF of one page whose drawing steps are these bytes, packed.
pub fn pdf_of_content(content: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(content).unwrap();
    let objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_vec(),
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R /Resources << >> >>".to_vec(),
        stream("/Filter /FlateDecode", &packed.finish().unwrap()),
    ];
    written(&objects, "/Root 1 0 R")
}

fn stream(head: &str, content: &[u8]) -> Vec<u8> {
    let mut object = format!("<< {head} /Length {} >>\nstream\n", content.len()).into_bytes();
    object.extend_from_slice(content);
    object.extend_from_slice(b"\nendstream");
    object
}

fn written(objects: &[Vec<u8>], trailer: &str) -> Vec<u8> {
    let mut file = b"%PDF-1.5\n".to_vec();
    let mut places = Vec::new();
    for (at, object) in objects.iter().enumerate() {
        places.push(file.len());
        file.extend(format!("{} 0 obj\n", at + 1).bytes());
        file.extend_from_slice(object);
        file.extend_from_slice(b"\nendobj\n");
    }
    let start = file.len();
    file.extend(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).bytes());
    places.iter().for_each(|place| file.extend(format!("{place:010} 00000 n \n").bytes()));
    let size = objects.len() + 1;
    file.extend(format!("trailer\n<< /Size {size} {trailer} >>\nstartxref\n{start}\n%%EOF\n").bytes());
    file
}
