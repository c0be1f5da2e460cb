//! Standard output, read by people and by pipes. A reader that has seen enough (`copydesk … | head`) is no error.
use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};

/// Writes text as it is.
///
/// # Errors
/// When it cannot be written, unless the reader has gone.
pub(crate) fn text(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    forgiven(out.write_all(text).and_then(|()| out.flush()))
}

/// Writes a line.
///
/// # Errors
/// When it cannot be written, unless the reader has gone.
pub(crate) fn line(line: Arguments<'_>) -> io::Result<()> {
    text(format!("{line}\n").as_bytes())
}

fn forgiven(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
