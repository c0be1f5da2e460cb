//! English stop words: words that carry grammar rather than content.

use std::collections::HashSet;
use std::sync::LazyLock;

use foldhash::fast::RandomState;

static STOP: LazyLock<HashSet<&'static str, RandomState>> =
    LazyLock::new(|| LIST.split_whitespace().collect());

const LIST: &str = "
a an the this that these those such same own other another each either neither both any some
i me my mine myself we us our ours ourselves you your yours yourself yourselves
he him his himself she her hers herself it its itself they them their theirs themselves one ones
who whom whose which what when where why how whether whatever whoever whenever wherever
am is are was were be been being do does did doing done have has had having
will would shall should can could may might must ought need cannot
not no nor and or but if then else than so as yet though although because since while until unless
of at by for with without about against between among into onto through during before after above below
to from up down in out on off over under again further within upon via per toward towards across along around
here there now just only also too very even still ever never always often quite rather much many more most
few less least all every several enough almost already once etc
get gets got let lets like said say says
dont doesnt didnt isnt arent wasnt werent wont cant couldnt shouldnt wouldnt hasnt havent hadnt im ive id youre theyre
";

/// Whether a lower-cased word carries grammar rather than content. Contractions count as their first word.
pub fn is_stop_word(word_lower: &str) -> bool {
    if STOP.contains(word_lower) {
        return true;
    }
    // Most words have no such ending, and looking for it takes longer than for the word.
    let mut ending = word_lower.bytes().rev().skip(1).take(2);
    if !ending.any(|b| b == b'\'') {
        return false;
    }
    match word_lower.split_once('\'') {
        Some((_, "t")) => true,
        Some((base, "s" | "re" | "ll" | "ve" | "d" | "m")) => STOP.contains(base),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar_is_stopped_and_content_is_not() {
        for word in ["the", "don't", "we're", "they", "cannot"] {
            assert!(is_stop_word(word), "{word}");
        }
        for word in ["build", "o'reilly", "acme", "", "45%", "first"] {
            assert!(!is_stop_word(word), "{word}");
        }
    }
}
