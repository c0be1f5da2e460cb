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
    /// Hands over each line that these bytes complete, without its end, which may be LF, CR or both. A line that lies
    /// in these bytes alone is not copied.
    ///
    /// # Errors
    /// A line is too long or no text, or `take` failed; nothing may be pushed after that.
    pub fn push<E: From<LineError>>(
        &mut self,
        mut bytes: &[u8],
        mut take: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_return) {
                bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            }
            let Some(end) = memchr::memchr2(b'\n', b'\r', bytes) else { return Ok(self.keep(bytes)?) };
            let (line, rest) = bytes.split_at(end);
            self.after_return = rest.starts_with(b"\r");
            bytes = rest.get(1..).unwrap_or_default();
            self.give(line, &mut take)?;
        }
        Ok(())
    }

    /// What stands after the last line end, if anything does.
    pub fn rest(&mut self) -> Result<Option<String>, LineError> {
        if self.pending.is_empty() {
            return Ok(None);
        }
        String::from_utf8(std::mem::take(&mut self.pending)).map(Some).map_err(|_| LineError::NotText)
    }

    fn give<E: From<LineError>>(
        &mut self,
        line: &[u8],
        take: &mut impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.pending.is_empty() && line.len() <= LONGEST {
            return take(std::str::from_utf8(line).map_err(|_| LineError::NotText)?);
        }
        self.keep(line)?;
        let result = take(std::str::from_utf8(&self.pending).map_err(|_| LineError::NotText)?);
        self.pending.clear();
        result
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), LineError> {
        if self.pending.len() + bytes.len() > LONGEST {
            return Err(LineError::TooLong);
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(lines: &mut Lines, bytes: &[u8]) -> Result<Vec<String>, LineError> {
        let mut found = Vec::new();
        lines.push(bytes, |line| {
            found.push(line.to_owned());
            Ok::<_, LineError>(())
        })?;
        Ok(found)
    }

    #[test]
    fn every_cut_gives_the_same_lines() {
        let text = "é\r\nzwei\rdrei\n\n\r\n終\n\r".as_bytes();
        for cut in 0..=text.len() {
            let mut lines = Lines::default();
            let mut found = push(&mut lines, &text[..cut]).unwrap();
            found.extend(push(&mut lines, &[]).unwrap());
            found.extend(push(&mut lines, &text[cut..]).unwrap());
            assert_eq!(found, ["é", "zwei", "drei", "", "", "終", ""], "cut at {cut}");
            assert_eq!(lines.rest(), Ok(None));
        }
    }

    #[test]
    fn keeps_an_unfinished_line_and_refuses_endless_ones() {
        let mut lines = Lines::default();
        assert_eq!(push(&mut lines, b"half"), Ok(vec![]));
        assert_eq!(lines.rest(), Ok(Some("half".into())));
        assert_eq!(push(&mut lines, &vec![b'a'; LONGEST + 1]), Err(LineError::TooLong));
        let mut long = vec![b'a'; LONGEST + 1];
        long.push(b'\n');
        assert_eq!(push(&mut Lines::default(), &long), Err(LineError::TooLong));
        assert_eq!(push(&mut Lines::default(), &[0xff, b'\n']), Err(LineError::NotText));
    }
}
