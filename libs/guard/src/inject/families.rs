//! What people write to a model when they want it to leave its task, by kind, in English and German and some phrases of
//! French and Spanish. One of them proves little; together they are features of the classifier.

use std::sync::LazyLock;

use regex::Regex;

use crate::pii::pattern;

/// Kinds, each by a pattern over folded text. Their order is part of the weight file's layout: append only.
const FAMILIES: [&str; 21] = [
    // To forget.
    r"\b(?:forget|ignore|disregard|abandon|drop|delete|erase|overlook|oubliez|olvida\w*|vergiss|vergessen|vergesse|ignorier\w*|missachte\w*|verwirf|ignorez)\b",
    // To forget what was said.
    r"\b(?:ignor\w*|vergiss|vergessen|forget|disregard|leave|lassen)\b.{0,60}\b(?:all\w*|everything|previous|above|before|prior|instruc\w*|anweisung\w*|befehl\w*|aufgab\w*|information\w*|task\w*|assignment\w*|obig\w*|bisher\w*|davor|vorher\w*|vorang\w*|oben|hinter)\b",
    // To be somebody.
    r"\b(?:you are|you're|du bist|sie sind|bist du|now you|you will be|you play|eres)\b",
    r"\b(?:act|behave|acts|agiere|agieren|fungier\w*|handle|handeln|verhalte\w*|simulate|simulier\w*|spiel\w* die rolle|role|rolle|roleplay|character|persona)\b.{0,20}\b(?:as|like|als|wie|of|von)\b",
    r"\b(?:pretend\w*|imagine|suppose|hypothetic\w*|theoretical\w*|stell\w* (?:dir|sie sich|euch)? ?vor|stellen sie sich|nimm an|tu so|angenommen|hypothetisch\w*)\b",
    // Another task.
    r"\b(?:new|next|following|another|more|neue\w*|folgende\w*|weitere\w*|nächste\w*)\b.{0,12}\b(?:task\w*|instruction\w*|assignment\w*|aufgabe\w*|anweisung\w*|instruktion\w*)\b",
    // To say something.
    r"\b(?:say|tell me|repeat|print|write|output|answer with|respond with|sag\w*|schreib\w*|wiederhol\w*|druck\w*|gib|antworte\w*|generate|generier\w*|formulier\w*|create|erstell\w*|execute|führe|compose|verfass\w*|spell)\b",
    // What the model was given.
    r"\b(?:prompt\w*|instruction\w*|anweisung\w*|instruktion\w*|system|context|kontext|document\w*|dokument\w*|text ?above|oben)\b",
    // Interruptions.
    r"\b(?:stop|stopp|achtung|attention|halt|important|wichtig|urgent\w*|dringend|sudo|override)\b",
    r"\b(?:very well done|well done|great job|good job|excellent|perfect|fantastic|great|toll|super|sehr gut|gut gemacht|ausgezeichnet\w*|danke|thanks|thank you|wow|okay|genug|enough|fertig)\b",
    r"\b(?:instead|rather|but (?:then|now)|nevertheless|despite|sondern|stattdessen|trotzdem|abweichend|jedoch|however|don'?t answer|do not answer|nicht beantwort\w*)\b",
    // Words to be repeated.
    r#"["'«].{2,80}["'»]"#,
    // What a house would not say.
    r"\b(?:hate|hates|hass\w*|hasst|love|liebe\w*|doof|stupid|dumm|crazy|scheiß\w*|beschissen\w*|shit|kill|hitler|nazi\w*|rassist\w*|racist|antisemit\w*|bomb\w*)\b",
    // Pressure.
    r"\b(?:die|stirb\w*|sterben|threat|consequence\w*|otherwise|sonst|oder du|or you|must|müssen|musst|have to)\b",
    r"\b(?:from now|now|jetzt|ab jetzt|nun|ab sofort|going forward)\b",
    // Code to be run.
    r"\b(?:python|javascript|sql|code|linux|terminal|console|interpreter|command|befehl\w*|script|html)\b",
    r"\b(?:i want you|ich möchte, dass (?:du|sie)|i would like you|you should|you must|you will|du sollst|sie sollen|du musst|du wirst|sie werden)\b",
    // Several questions at once.
    r"\?.*\?",
    // About the model.
    r"\b(?:who are you|wer bist du|who am i|wer bin ich|your (?:name|rules|instructions|prompt|initial))\b",
    // An order from the first word on.
    r"^\s*(?:act|be|write|say|print|forget|ignore|stop|generate|pretend|imagine|you|du|now|repeat|vergiss|schreib\w*|stell\w*|gib|sei)\b",
    // Two languages in one request.
    r"\b(?:ist|und|der|das|nicht|wie)\b.*\b(?:the|is|are|what|and|you)\b|\b(?:the|is|are|what|and|you)\b.*\b(?:ist|und|der|das|nicht|wie)\b",
];

/// Shouted words, in the text as it stands.
const SHOUTED: &str = r"\p{Lu}{4,}\s+\p{Lu}{2,}\s+\p{Lu}{2,}";

/// How many features [`families`] gives.
pub(super) const COUNT: usize = FAMILIES.len() + 1;

static PATTERNS: LazyLock<Vec<Option<Regex>>> = LazyLock::new(|| {
    FAMILIES.iter().map(|source| pattern(&format!("(?s){source}"))).chain([pattern(SHOUTED)]).collect()
});

/// Which families a text holds.
pub(super) fn families(exact: &str, folded: &str) -> [bool; COUNT] {
    let mut held = [false; COUNT];
    for (i, pattern) in PATTERNS.iter().enumerate() {
        let text = if i == FAMILIES.len() { exact } else { folded };
        held[i] = pattern.as_ref().is_some_and(|pattern| pattern.is_match(text));
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_compiles() {
        assert!(PATTERNS.iter().all(Option::is_some));
    }
}
