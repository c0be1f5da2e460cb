//! Server-sent events, as the WHATWG text defines them. Only the data matters here: every protocol of the family
//! repeats in it what the event's name says, and `id` and `retry` are of no use.
use super::lines::{LONGEST, LineError, Lines};

/// Makes events out of bytes that arrive in any cut.
#[derive(Debug, Default)]
pub struct Decoder {
    lines: Lines,
    event: Unfinished,
}

/// The event whose lines are arriving. Its buffer serves one event after another.
#[derive(Debug, Default)]
struct Unfinished {
    data: String,
    has_data: bool,
    begun: bool,
}

impl Decoder {
    /// Hands over the data of each event that these bytes complete, its lines joined by LF. An event without data is
    /// none; one that the end of the body cuts off is never given.
    ///
    /// # Errors
    /// A line or an event is too long or no text, or `take` failed; nothing may be pushed after that.
    pub fn push<E: From<LineError>>(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { lines, event } = self;
        lines.push(bytes, |line| {
            if !event.add(line)? {
                return Ok(());
            }
            take(&event.data)?;
            event.data.clear();
            Ok(())
        })
    }
}

impl Unfinished {
    /// Takes a line; true when it ends an event that has data.
    fn add(&mut self, line: &str) -> Result<bool, LineError> {
        let begun = std::mem::replace(&mut self.begun, true);
        let line = if begun { line } else { line.trim_start_matches('\u{feff}') };
        if line.is_empty() {
            return Ok(std::mem::take(&mut self.has_data));
        }
        // A comment has an empty name; other names mean nothing to us.
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        if name != "data" {
            return Ok(false);
        }
        let value = value.strip_prefix(' ').unwrap_or(value);
        if self.data.len() + value.len() > LONGEST {
            return Err(LineError::TooLong);
        }
        if std::mem::replace(&mut self.has_data, true) {
            self.data.push('\n');
        }
        self.data.push_str(value);
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &str, cut: usize) -> Vec<String> {
        let mut decoder = Decoder::default();
        let mut events = Vec::new();
        for part in [&text.as_bytes()[..cut], &text.as_bytes()[cut..]] {
            let take = |data: &str| {
                events.push(data.to_owned());
                Ok::<_, LineError>(())
            };
            decoder.push(part, take).unwrap();
        }
        events
    }

    #[test]
    fn every_cut_gives_the_same_events() {
        let text = "\u{feff}: hello\r\nevent: a\r\ndata: {\"x\":\"é終\"}\r\n\r\ndata:one\ndata: two\n\nid: 3\nretry: 5\n\nevent: lost\n\ndata\n\ndata: cut off";
        for cut in 0..=text.len() {
            assert_eq!(decode(text, cut), ["{\"x\":\"é終\"}", "one\ntwo", ""], "cut at {cut}");
        }
    }

    #[test]
    fn only_one_blank_after_the_colon_goes() {
        assert_eq!(decode("data:  x \n\n", 3), [" x "]);
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut decoder = Decoder::default();
        let line = format!("data: {}\n", "a".repeat(LONGEST / 2));
        let mut push = || decoder.push(line.as_bytes(), |_| Ok::<_, LineError>(()));
        assert_eq!([push(), push(), push()], [Ok(()), Ok(()), Err(LineError::TooLong)]);
    }
}
