//! Standard output, read by people and by pipes. A reader that has seen enough (`copydesk … | head`) is no error.
use std::fmt::Arguments;
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Lines narrower or wider than this, in columns, are hard to read.
const WIDTHS: std::ops::RangeInclusive<usize> = 60..=120;

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

/// The width that lines on the terminal should have, in columns. `None` when standard output is no terminal, or nobody
/// knows.
pub(crate) fn width() -> Option<usize> {
    static WIDTH: OnceLock<Option<usize>> = OnceLock::new();
    *WIDTH.get_or_init(|| if io::stdout().is_terminal() { ask_terminal() } else { None })
}

/// `stty` knows without a system call of ours, which would need unsafe code.
fn ask_terminal() -> Option<usize> {
    let terminal = File::open("/dev/tty").ok()?;
    let asked = Command::new("stty").arg("size").stdin(terminal).stderr(Stdio::null()).output().ok()?;
    columns(std::str::from_utf8(&asked.stdout).ok()?)
}

/// The columns of `rows columns`; 0 is what a terminal of unknown size says.
fn columns(size: &str) -> Option<usize> {
    let columns: usize = size.split_whitespace().nth(1)?.parse().ok()?;
    (columns > 0).then(|| columns.clamp(*WIDTHS.start(), *WIDTHS.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_of_a_terminal_stays_readable() {
        for (size, width) in
            [("24 80\n", Some(80)), ("50 200", Some(120)), ("24 20", Some(60)), ("0 0", None)]
        {
            assert_eq!(columns(size), width, "{size}");
        }
        assert_eq!(columns(""), None);
    }
}
