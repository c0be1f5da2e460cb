//! Server-sent events, as the WHATWG text defines them; `id` and `retry` are of no use here and skipped.
use super::lines::{LineError, Lines};

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// Its name; empty when it has none.
    pub name: String,
    /// Its data, lines joined by LF.
    pub data: String,
}

/// Makes events out of bytes that arrive in any cut.
#[derive(Debug, Default)]
pub struct Decoder {
    lines: Lines,
    name: String,
    data: Option<String>,
    begun: bool,
}

impl Decoder {
    /// The events that these bytes complete. An event without data is none; one that the end of the body cuts off
    /// is never given.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Event>, LineError> {
        let mut events = Vec::new();
        for line in self.lines.push(bytes)? {
            let line = if self.begun { line.as_str() } else { line.trim_start_matches('\u{feff}') };
            self.begun = true;
            if line.is_empty() {
                let name = std::mem::take(&mut self.name);
                events.extend(self.data.take().map(|data| Event { name, data }));
            } else {
                self.field(line)?;
            }
        }
        Ok(events)
    }

    fn field(&mut self, line: &str) -> Result<(), LineError> {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => self.name = value.to_owned(),
            "data" => match &mut self.data {
                Some(data) if data.len() + value.len() > super::lines::LONGEST => {
                    return Err(LineError::TooLong);
                }
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            // A comment has an empty name; other names mean nothing to us.
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &str, cut: usize) -> Vec<(String, String)> {
        let mut decoder = Decoder::default();
        let mut events = decoder.push(&text.as_bytes()[..cut]).unwrap();
        events.extend(decoder.push(&text.as_bytes()[cut..]).unwrap());
        events.into_iter().map(|e| (e.name, e.data)).collect()
    }

    #[test]
    fn every_cut_gives_the_same_events() {
        let text = "\u{feff}: hello\r\nevent: a\r\ndata: {\"x\":\"é終\"}\r\n\r\ndata:one\ndata: two\n\nid: 3\nretry: 5\n\nevent: lost\n\ndata\n\ndata: cut off";
        let expected = [("a", "{\"x\":\"é終\"}"), ("", "one\ntwo"), ("", "")];
        for cut in 0..=text.len() {
            let events = decode(text, cut);
            let events: Vec<(&str, &str)> = events.iter().map(|(n, d)| (n.as_str(), d.as_str())).collect();
            assert_eq!(events, expected, "cut at {cut}");
        }
    }

    #[test]
    fn only_one_blank_after_the_colon_goes() {
        assert_eq!(decode("data:  x \n\n", 3), [(String::new(), " x ".to_owned())]);
    }
}
