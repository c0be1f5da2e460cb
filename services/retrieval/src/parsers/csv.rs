//! Values with commas, semicolons, tabs or bars between them: a Markdown table whose header comes again and again.

use ::csv::{ByteRecord, ReaderBuilder};

use super::Parser;
use crate::domain::reading::draft::Draft;
use crate::domain::reading::{ReadFailure, ReadLimits, Reading, Signals};
use crate::domain::source::Format;

/// This parser.
pub const ENTRY: Parser = Parser {
    format: Format::Csv,
    summary: "rows of values, with the separator that the first lines show",
    apart: false,
    parse,
};

/// How much is looked at to find the separator.
const HEAD: usize = 8 * 1024;
/// Values of one row; as many as the largest sheets of spreadsheet programs have.
const COLUMNS: usize = 16_384;

fn parse(bytes: &[u8], limits: &ReadLimits) -> Result<Reading, ReadFailure> {
    let wide = matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]);
    let text = if wide { super::utf8(bytes)?.into_bytes() } else { bytes.to_vec() };
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    // Quotes that are never closed make the rest one value: the reader takes it, the text is not lost.
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator(&text[..text.len().min(HEAD)]))
        .from_reader(text);
    let mut draft = Draft::new(limits);
    draft.begin_page()?;
    let mut table = draft.table();
    let (mut record, mut rows) = (ByteRecord::new(), 0usize);
    while matches!(reader.read_byte_record(&mut record), Ok(true)) {
        if record.len() > COLUMNS {
            return Err(ReadFailure::unreadable(format!("has a row of more than {COLUMNS} values")));
        }
        let cells: Vec<String> = record.iter().map(words).collect();
        if cells.iter().any(|cell| !cell.trim().is_empty()) {
            table.row(&cells)?;
            rows += 1;
        }
    }
    draft.end_page(Signals { columns: 1, tables: usize::from(rows > 0), ..Signals::default() }, Vec::new());
    Ok(draft.finish())
}

/// UTF-8, else the code page that spreadsheets write in the west.
fn words(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned(),
    }
}

/// The separator that most lines have, as often in each; a comma when none does.
fn separator(head: &[u8]) -> u8 {
    let lines: Vec<&[u8]> =
        head.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).take(20).collect();
    let score = |mark: u8| {
        let counts: Vec<usize> =
            lines.iter().map(|line| line.iter().filter(|byte| **byte == mark).count()).collect();
        let first = counts.first().copied().unwrap_or_default();
        counts.iter().filter(|count| **count == first && first > 0).count() * 1000 + first.min(999)
    };
    [b',', b';', b'\t', b'|'].into_iter().rev().max_by_key(|mark| score(*mark)).unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> String {
        parse(bytes, &ReadLimits::default()).unwrap().text
    }

    #[test]
    fn rows_become_a_table() {
        let expected = "| Van | Price |\n|---|---|\n| Small, old | 100 |";
        assert_eq!(read(b"Van,Price\n\"Small, old\",100\n"), expected);
        assert_eq!(read("\u{feff}Van;Price\r\nSmall, old;100\r\n".as_bytes()), expected);
        assert_eq!(read(b"Van\tPrice\nSmall, old\t100"), expected);
    }

    #[test]
    fn broken_quotes_and_odd_bytes_lose_nothing() {
        let text = read(b"a,b\n\"open,1\nx,2\ny,\xe9\n");
        for word in ["open", "x", "2", "\u{e9}"] {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert_eq!(read(b""), "");
        let commas = parse(&[b','; COLUMNS], &ReadLimits::default()).unwrap_err();
        assert_eq!(commas.message, "has a row of more than 16384 values");
        assert_eq!(read(b"one\ntwo\nthree"), "| one |\n|---|\n| two |\n| three |");
    }
}
