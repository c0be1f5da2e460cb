//! What a provider says, made fit to be passed on.
use copydesk_types::Secret;

use crate::providers::ProviderError;

/// The most of a provider's sentence that is passed on, in characters.
const LONGEST_MESSAGE: usize = 300;

/// Hides the key in what a provider says, and shortens it: some quote the key back.
#[derive(Debug, Clone, Default)]
pub struct Veil(pub Option<Secret>);

impl Veil {
    /// The same error, fit to be shown to the caller.
    pub fn over(&self, mut error: ProviderError) -> ProviderError {
        error.message = error.message.map(|message| self.sentence(&message)).filter(|text| !text.is_empty());
        error
    }

    fn sentence(&self, message: &str) -> String {
        let visible = |c: char| match c {
            '\n' | '\r' | '\t' => Some(' '),
            c => (!c.is_control()).then_some(c),
        };
        let mut text: String = message.chars().filter_map(visible).collect();
        if let Some(key) = self.0.as_ref().map(Secret::expose).filter(|key| !key.is_empty()) {
            text = text.replace(key, "***");
        }
        text.trim().chars().take(LONGEST_MESSAGE).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_short_and_hides_the_key() {
        let veil = Veil(Some(Secret::new("k-123")));
        assert_eq!(veil.sentence(" no\nkey\u{7}: k-123, k-123 "), "no key: ***, ***");
        assert_eq!(veil.sentence(&"é".repeat(400)).chars().count(), 300);
        // The key goes before the cut, or a part of it would stay at the edge.
        assert!(!veil.sentence(&format!("{}k-123", "a".repeat(297))).contains('k'));
    }
}
