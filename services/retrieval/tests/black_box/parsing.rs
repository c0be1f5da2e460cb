//! Documents of every format through their parsers, good ones and hostile ones; the apart ones in a real process.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see helpers as tests")]

use crate::common::files;
use copydesk_retrieval::adapters::ProcessReader;
use copydesk_retrieval::domain::reading::{Complexity, Path, ReadFailure, ReadLimits, Reading};
use copydesk_retrieval::domain::source::Format;
use copydesk_retrieval::parsers;
use copydesk_retrieval::ports::Reader;
use files::Shown;

const LIMITS: ReadLimits =
    ReadLimits { pages: 2_000, unpacked_bytes: 64 << 20, memory_bytes: 512 << 20, millis: 1_200_000 };

/// Reads as the worker does: chooses by bytes and key, and reads apart what is to be read apart.
async fn read_within(key: &str, bytes: Vec<u8>, limits: ReadLimits) -> Result<Reading, ReadFailure> {
    let choice = parsers::choose(Format::Auto, key, &bytes)?;
    let reader = ProcessReader::new(Some(env!("CARGO_BIN_EXE_copydesk-parse-child").into()));
    let mut reading = reader.read(choice.format, bytes.into(), limits).await?;
    reading.pages[0].reasons.extend(choice.note);
    Ok(reading)
}

async fn read(key: &str, bytes: Vec<u8>) -> Result<Reading, ReadFailure> {
    read_within(key, bytes, LIMITS).await
}

async fn refused(key: &str, bytes: Vec<u8>) -> String {
    read(key, bytes).await.map(|reading| reading.text.len()).unwrap_err().reason
}

fn pages(reading: &Reading) -> Vec<&str> {
    reading.pages.iter().map(|page| &reading.text[page.span.clone()]).collect()
}

#[tokio::test]
async fn word_documents_keep_headings_lists_and_tables() {
    use files::paragraph;
    let cell = |text: &str| format!("<w:tc><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:tc>");
    let body = [
        paragraph("Heading1", "Cold &amp; dry"),
        "<w:p><w:r><w:t>One</w:t></w:r><w:r><w:t xml:space=\"preserve\"> two.</w:t></w:r></w:p>".into(),
        "<w:p><w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:r><w:t>kept</w:t></w:r></w:p>".into(),
        paragraph("ListParagraph", "first"),
        paragraph("ListParagraph", "second"),
        format!(
            "<w:tbl><w:tr>{}{}</w:tr><w:tr>{}{}</w:tr></w:tbl>",
            cell("Van"),
            cell("Price"),
            cell("Small"),
            cell("1|0")
        ),
    ]
    .concat();
    let reading = read("a.docx", files::docx(&body)).await.unwrap();
    let expected = "# Cold & dry\n\nOne two.\n\nkept\n\n- first\n- second\n\n| Van | Price |\n|---|---|\n| Small | 1\\|0 |";
    assert_eq!((reading.text.as_str(), reading.title.as_deref()), (expected, Some("The title")));
    assert_eq!((reading.pages[0].complexity, reading.pages[0].path), (Complexity::Medium, Path::Layout));
}

#[tokio::test]
async fn slides_and_sheets_are_pages() {
    let reading = read("a.pptx", files::pptx(&[("Vans", "cold"), ("Prices", "low")])).await.unwrap();
    assert_eq!(pages(&reading), ["## Vans\n\n- cold", "## Prices\n\n- low"]);
    assert_eq!(reading.title.as_deref(), Some("Vans"));
    let rows = [["Van", "Price"], ["Small", "100"], ["Large", "250.5"]];
    let rows = rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect());
    let reading = read("a.xlsx", files::xlsx(rows)).await.unwrap();
    assert_eq!(
        pages(&reading),
        ["## Prices\n\n| Van | Price |\n|---|---|\n| Small | 100 |\n| Large | 250.5 |"]
    );
}

#[tokio::test]
async fn pages_of_a_pdf_are_judged_and_arranged_one_by_one() {
    let mut columns = Vec::new();
    let (left, right): (Vec<String>, Vec<String>) = (0..12)
        .map(|n| (format!("left words that fill the line {n}"), format!("right words that fill it too {n}")))
        .unzip();
    for (row, (left, right)) in left.iter().zip(&right).enumerate() {
        columns.push((50, 700 - row as u32 * 14, 12, left.as_str()));
        columns.push((320, 700 - row as u32 * 14, 12, right.as_str()));
    }
    let text = [
        (50, 740, 20, "Cold vans"),
        (50, 700, 12, "The vans stayed cold on every day of the year, as the"),
        (50, 686, 12, "readings of all sensors show."),
    ];
    let bytes =
        files::pdf(&[Shown::Lines(&text), Shown::Lines(&columns), Shown::Scan(9), Shown::Lines(&[])], false);
    let reading = read("a.pdf", bytes).await.unwrap();
    let judged: Vec<_> = reading.pages.iter().map(|page| (page.complexity, page.path)).collect();
    let expected = [
        (Complexity::Low, Path::Text),
        (Complexity::Medium, Path::Layout),
        (Complexity::Extreme, Path::Ocr),
        (Complexity::Low, Path::Text),
    ];
    assert_eq!(judged, expected, "{:#?}", reading.pages);
    let texts = pages(&reading);
    assert_eq!(
        texts[0],
        "## Cold vans\n\nThe vans stayed cold on every day of the year, as the\nreadings of all sensors show."
    );
    let (left, right) = (texts[1].find("line 11").unwrap(), texts[1].find("right words").unwrap());
    assert!(left < right, "columns are read one after the other: {}", texts[1]);
    assert_eq!(reading.pages[2].reasons, ["0 characters", "1 pictures over 100 % of the page"]);
    assert_eq!((reading.pictures.len(), reading.pictures[0].page), (1, 3));
    assert!(reading.pictures[0].bytes.starts_with(b"\x89PNG"));
}

#[tokio::test]
async fn what_is_locked_broken_or_something_else_is_told_by_its_reason() {
    let page = || Shown::Lines(&[(50, 700, 12, "words")]);
    let pdf = files::pdf(&[page()], false);
    let docx = files::docx("<w:p/>");
    for (key, bytes, reason) in [
        ("empty.pdf", Vec::new(), "EMPTY"),
        ("blank.md", b" \n\t ".to_vec(), "EMPTY"),
        ("locked.pdf", files::pdf(&[page()], true), "ENCRYPTED"),
        ("short.pdf", pdf[..pdf.len() / 2].to_vec(), "UNREADABLE"),
        ("short.docx", docx[..docx.len() / 2].to_vec(), "UNSUPPORTED"),
        ("no.docx", files::zip(&[("readme.txt", b"hi")]), "UNSUPPORTED"),
        ("old.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 words".to_vec(), "UNSUPPORTED"),
        ("latin.txt", b"caf\xe9".to_vec(), "UNREADABLE"),
        ("program", b"\x7fELF\x02\x01".to_vec(), "UNSUPPORTED"),
        ("not.xml.docx", files::zip(&[("word/document.xml", b"<a><b attr=></a>&&<")]), "UNREADABLE"),
    ] {
        assert_eq!(refused(key, bytes).await, reason, "{key}");
    }
    let named = read("scan.png", pdf).await.unwrap();
    assert!(named.pages[0].reasons.contains(&"named as image, is pdf".to_owned()), "{:?}", named.pages);
    let said = parsers::choose(Format::Pdf, "a.pdf", b"words").unwrap_err();
    assert_eq!(
        (said.reason.as_str(), said.message.as_str()),
        ("UNREADABLE", "is not pdf: its bytes are text")
    );
}

#[tokio::test]
async fn bombs_break_their_limit_and_nothing_else() {
    // 600 MiB of blanks in less than 1 MiB.
    let blanks = vec![b' '; 600 << 20];
    let bomb = files::zip(&[("word/document.xml", &blanks)]);
    drop(blanks);
    assert!(bomb.len() < 1 << 20);
    assert_eq!(refused("bomb.docx", bomb).await, "TOO_LARGE");
    let pages: Vec<Shown<'_>> = (0..10_000).map(|_| Shown::Lines(&[(50, 700, 12, "x")])).collect();
    assert_eq!(refused("long.pdf", files::pdf(&pages, false)).await, "TOO_MANY_PAGES");
    // Ten billion laughs: entities are never expanded.
    let laughs = "<!DOCTYPE a [<!ENTITY b \"ha\"><!ENTITY c \"&b;&b;&b;&b;\">]><w:document><w:p><w:r><w:t>a&c;z</w:t></w:r></w:p></w:document>";
    let reading = read("laughs.docx", files::zip(&[("word/document.xml", laughs.as_bytes())])).await.unwrap();
    assert_eq!(reading.text, "az");
}

#[tokio::test]
async fn too_little_memory_and_too_little_time_are_told_apart() {
    let rows = || (0..50_000).map(|row| vec![row.to_string(), format!("words of row {row}")]);
    let bytes = files::xlsx(rows());
    // Less than the program itself takes: the first larger table of the reader's own is refused.
    let poor = ReadLimits { memory_bytes: 0, unpacked_bytes: 1 << 30, ..LIMITS };
    let swollen = files::xlsx((0..200_000).map(|_| vec!["x".repeat(400)]));
    let failure = read_within("a.xlsx", swollen, poor).await.map(|reading| reading.text.len());
    assert_eq!(failure.unwrap_err().reason, "MEMORY");
    let brief = ReadLimits { millis: 1, ..LIMITS };
    let failure = read_within("a.xlsx", bytes, brief).await.map(|reading| reading.text.len());
    assert_eq!(failure.unwrap_err().reason, "TIMEOUT");
}

#[tokio::test]
async fn a_long_sheet_takes_no_more_memory_than_its_text() {
    let rows = (0..250_000u32).map(|row| vec![row.to_string(), "7".to_owned()]);
    let limits = ReadLimits { memory_bytes: 32 << 20, ..LIMITS };
    let reading = read_within("a.xlsx", files::xlsx(rows), limits).await.unwrap();
    assert_eq!(reading.pages[0].reasons[0], "sheet of 250000 rows");
    assert!(reading.text.contains("| 249999 | 7 |"));
}

#[tokio::test]
async fn large_and_deep_texts_are_read_in_process() {
    let line = "x ".repeat(25 << 20);
    let length = line.len();
    assert_eq!(read("line.txt", line.into_bytes()).await.unwrap().text.len(), length);
    let deep = format!("<html>{}words", "<div><b><table>".repeat(100_000));
    assert_eq!(read("deep.html", deep.into_bytes()).await.unwrap().pages.len(), 1);
    let quotes = format!("a,b\n{}", "\"x,\"y\n".repeat(200_000));
    assert!(read("quotes.csv", quotes.into_bytes()).await.unwrap().text.contains('x'));
}

#[tokio::test]
async fn a_program_that_is_no_reader_fails_the_document_only() {
    let reader = ProcessReader::new(Some("/bin/false".into()));
    let failure = reader.read(Format::Pdf, vec![1].into(), LIMITS).await.unwrap_err();
    assert_eq!(failure.reason, "UNREADABLE");
    let reader = ProcessReader::new(Some("/does/not/exist".into()));
    assert_eq!(reader.read(Format::Pdf, vec![1].into(), LIMITS).await.unwrap_err().reason, "INTERNAL");
}
