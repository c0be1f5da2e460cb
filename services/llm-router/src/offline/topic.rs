//! Whether a topic is an English noun phrase: then a question can be made of it.
use copydesk_guard::text;

use super::verbs::is_verb;

/// The most words of a topic that a question can hold, and of one part between two small words.
const WORDS: usize = 10;
const PART: usize = 4;

/// Words that join the parts of a noun phrase, or begin one.
const JOINING: &str = "of for in on at with without by from to between across under over during per and or via into \
    against among about within before after through beyond a an the our your their my its";

/// Words that make a clause of it, or of which no question can be made.
const CLAUSE: &str = "is are was were be been being am do does did has have had will would can could should must may \
    might shall cannot not never that which who whom whose what when where why how whether if because while although \
    though than so i we you they he she it there this these those please let better faster cheaper";

/// Small words of languages that are written with the same letters, and are no English words.
const FOREIGN: &str = "und der das nicht ist ein eine einen wie warum für mit auf zu zum zur bei von wir sie ihr im \
    le les des du une est et pour avec dans sur sans comment pourquoi et aux el los las una unos para por con cómo y \
    que il gli della delle di più perché het een voor met niet zonder bij och att för med inte og ikke til på w się \
    nie dla jest do uma os dos das não em ve için bir";

/// Whether "How do you handle …?" can be asked about it.
pub(super) fn is_noun_phrase(topic: &str) -> bool {
    let words: Vec<String> = text::words(topic).into_iter().map(|word| word.lower).collect();
    let joined = |c: char| c.is_alphanumeric() || c.is_whitespace() || "-'’&,".contains(c);
    let name = words.len() == 1 && topic.starts_with(char::is_uppercase);
    (1..=WORDS).contains(&words.len())
        && topic.chars().all(joined)
        && !name
        && english(topic, &words)
        && !words.iter().any(|word| listed(CLAUSE, word))
        && words.split(|word| listed(JOINING, word)).all(part)
        && words.last().is_some_and(|word| !listed(JOINING, word))
}

/// Nouns behind one another: only the last is a plural, and only the first a participle. "Pump saves water" and "drivers
/// muted phones" have it otherwise, because they have a verb.
fn part(words: &[String]) -> bool {
    let plural =
        |word: &str| word.ends_with('s') && !["ss", "us", "is", "ics"].iter().any(|e| word.ends_with(e));
    let before_last = words.split_last().map_or(&[][..], |(_, before)| before);
    words.len() <= PART
        && !words.iter().any(|word| is_verb(word))
        && !before_last.iter().any(|word| plural(word))
        && !words.iter().skip(1).any(|word| word.ends_with("ed"))
}

fn english(topic: &str, words: &[String]) -> bool {
    let letters = topic.chars().filter(|c| c.is_alphabetic()).count();
    let strange = words.iter().filter(|word| !word.is_ascii()).count();
    // Beyond the Latin letters is another script: one word of it is enough.
    let script = topic.chars().any(|c| c.is_alphabetic() && c > '\u{24f}');
    letters > 0 && !script && strange * 2 < words.len() && !words.iter().any(|word| listed(FOREIGN, word))
}

fn listed(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|w| w == word)
}

#[cfg(test)]
mod tests {
    use super::is_noun_phrase;

    #[test]
    fn tells_phrases_from_clauses_and_languages() {
        for good in [
            "graded temperature alerts",
            "route planning for small fleets",
            "logging temperatures without mobile coverage",
            "API limits for small fleets",
            "the temperature log of a van",
        ] {
            assert!(is_noun_phrase(good), "{good}");
        }
        for bad in [
            "temperature alerts that drivers do not ignore",
            "Drivers ignore alerts",
            "the pump sips water",
            "drivers muted phones",
            "Save water with pumps",
            "ways to reduce waste",
            "what does it cost?",
            "Cold chain: a guide",
            "we grew",
            "warum Fahrer Warnungen ignorieren und was hilft",
            "gestion des alertes",
            "температура в фургоне",
            "冷藏车",
            "насос Rillo pump",
            "Chillwright",
            "alerts for",
            "",
        ] {
            assert!(!is_noun_phrase(bad), "{bad}");
        }
    }
}
