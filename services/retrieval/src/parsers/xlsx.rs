//! Workbooks: a page for each sheet that is shown, cell by cell, so that a sheet of a million rows takes no more
//! memory than its text.

use std::io::Cursor;

use calamine::{Data, DataRef, Reader, SheetVisible, Xlsx, XlsxError};

use super::Parser;
use super::docx::core_title;
use crate::domain::reading::archive::Archive;
use crate::domain::reading::draft::{Draft, Table};
use crate::domain::reading::{ReadFailure, ReadLimits, Reading, Signals};
use crate::domain::source::Format;

/// This parser.
pub const ENTRY: Parser =
    Parser { format: Format::Xlsx, summary: "Excel: sheets as tables", apart: true, parse };

/// Columns of a row that are read.
const COLUMNS: usize = 256;

fn parse(bytes: &[u8], limits: &ReadLimits) -> Result<Reading, ReadFailure> {
    let mut archive = Archive::open(bytes, limits)?;
    let title = core_title(&mut archive)?;
    archive.check()?;
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(|error| broken(&error))?;
    let mut draft = Draft::new(limits);
    if let Some(title) = title {
        draft.title(&title);
    }
    let sheets = book.sheets_metadata().iter().filter(|sheet| sheet.visible == SheetVisible::Visible);
    let names: Vec<String> = sheets.map(|sheet| sheet.name.clone()).collect();
    for name in names {
        draft.begin_page()?;
        draft.heading(2, &name)?;
        let (rows, columns) = sheet(&mut book, &name, &mut draft)?;
        let signals = Signals { tables: usize::from(rows > 0), columns: 1, ..Signals::default() };
        let mut notes = vec![format!("sheet of {rows} rows")];
        if columns > COLUMNS {
            notes.push(format!("only the first {COLUMNS} of {columns} columns are read"));
        }
        draft.end_page(signals, notes);
    }
    Ok(draft.finish())
}

/// Writes a sheet and gives the numbers of its rows and of its columns. Charts and dialogues have no cells.
fn sheet(
    book: &mut Xlsx<Cursor<&[u8]>>,
    name: &str,
    draft: &mut Draft,
) -> Result<(usize, usize), ReadFailure> {
    let Ok(mut cells) = book.worksheet_cells_reader(name) else { return Ok((0, 0)) };
    let mut table = draft.table();
    let (mut row, mut at, mut rows, mut columns) = (Vec::new(), 0, 0, 0);
    while let Some(cell) = cells.next_cell().map_err(|error| broken(&error))? {
        let (line, column) = cell.get_position();
        if line != at {
            rows += usize::from(end_row(&mut table, &mut row)?);
            at = line;
        }
        let column = column as usize;
        columns = columns.max(column + 1);
        if column < COLUMNS {
            if row.len() <= column {
                row.resize(column + 1, String::new());
            }
            row[column] = words(cell.get_value());
        }
    }
    rows += usize::from(end_row(&mut table, &mut row)?);
    Ok((rows, columns))
}

fn end_row(table: &mut Table<'_>, row: &mut Vec<String>) -> Result<bool, ReadFailure> {
    let row = std::mem::take(row);
    let written = row.iter().any(|cell| !cell.trim().is_empty());
    if written {
        table.row(&row)?;
    }
    Ok(written)
}

/// A value as a person would write it.
fn words(value: &DataRef<'_>) -> String {
    match value {
        DataRef::DateTime(time) if time.is_datetime() => {
            let (year, month, day, hour, minute, second, _) = time.to_ymd_hms_milli();
            if (hour, minute, second) == (0, 0, 0) {
                format!("{year:04}-{month:02}-{day:02}")
            } else {
                format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
            }
        }
        DataRef::SharedString(text) => (*text).to_owned(),
        other => Data::from(other.clone()).to_string(),
    }
}

fn broken(error: &XlsxError) -> ReadFailure {
    match error {
        XlsxError::Password => crate::domain::reading::sniff::locked(),
        _ => ReadFailure::unreadable("is not a whole workbook"),
    }
}
