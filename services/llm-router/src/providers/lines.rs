//! Lines out of bytes that arrive in any cut: shared by server-sent events and newline-separated JSON.

/// The longest line that is taken, in bytes: an answer in one piece fits, an endless line does not.
pub const LONGEST: usize = 4 << 20;

/// Gathers bytes and gives whole lines, so that a character cut in two by the network is whole again.
#[derive(Debug, Default)]
pub struct Lines {
    pending: Vec<u8>,
    after_return: bool,
}

/// A line is longer than [`LONGEST`], or is not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Longer than [`LONGEST`].
    #[error("a line is too long")]
    TooLong,
    /// Not UTF-8.
    #[error("a line is not UTF-8")]
    NotText,
}

impl Lines {
    /// The lines that these bytes complete, without their ends, which may be LF, CR or both.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<String>, LineError> {
        let mut found = Vec::new();
        for &byte in bytes {
            let second_half = byte == b'\n' && self.after_return;
            self.after_return = byte == b'\r';
            match byte {
                b'\n' if second_half => {}
                b'\n' | b'\r' => found.push(self.take()?),
                _ if self.pending.len() >= LONGEST => return Err(LineError::TooLong),
                _ => self.pending.push(byte),
            }
        }
        Ok(found)
    }

    /// What stands after the last line end, if anything does.
    pub fn rest(&mut self) -> Result<Option<String>, LineError> {
        if self.pending.is_empty() { Ok(None) } else { self.take().map(Some) }
    }

    fn take(&mut self) -> Result<String, LineError> {
        String::from_utf8(std::mem::take(&mut self.pending)).map_err(|_| LineError::NotText)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_gives_the_same_lines() {
        let text = "é\r\nzwei\rdrei\n\n終\n".as_bytes();
        for cut in 0..=text.len() {
            let mut lines = Lines::default();
            let mut found = lines.push(&text[..cut]).unwrap();
            found.extend(lines.push(&text[cut..]).unwrap());
            assert_eq!(found, ["é", "zwei", "drei", "", "終"], "cut at {cut}");
            assert_eq!(lines.rest(), Ok(None));
        }
    }

    #[test]
    fn keeps_an_unfinished_line_and_refuses_endless_ones() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"half"), Ok(vec![]));
        assert_eq!(lines.rest(), Ok(Some("half".into())));
        assert_eq!(lines.push(&vec![b'a'; LONGEST + 1]), Err(LineError::TooLong));
        assert_eq!(Lines::default().push(&[0xff, b'\n']), Err(LineError::NotText));
    }
}
