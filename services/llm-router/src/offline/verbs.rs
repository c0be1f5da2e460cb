//! Words that are verbs and hardly ever nouns. Words that are both ("plan", "cost") are not here.

/// In the form that follows "to"; the endings are added by [`is_verb`].
const VERBS: &str = "accept achieve acknowledge add adopt advise agree allow announce appear apply arrive ask avoid become \
    begin behave believe bring buy carry choose collect compare complain confirm connect consider contain continue \
    create decide deliver depend describe detect develop disable discover eat eliminate enable ensure exceed exist \
    expect explain finish follow forget generate get give go grow handle happen have hear ignore imagine improve include \
    install introduce involve keep know learn leave lose maintain make manage marry mean measure meet mute need obey obtain \
    offer open operate optimise optimize own pay perform persuade plug prefer prepare prevent produce protect prove provide \
    put reach read receive recognise recognize recommend reduce remain remember remove replace require respond run save \
    say see seem sell send serve share solve speak spend stay store suffer take tell think transform trust try understand \
    use want waste write";

/// Forms that have no rule.
const IRREGULAR: &str = "became began bought broke brought built came chose cut did drove fell felt found gave got grew \
    had heard held kept knew led left lost made meant met paid ran rose said saw sent shut sold spent spoke stood threw \
    told took taught thought understood went won wore wrote";

/// Whether a lower-case word is a verb, told by the word alone. A past form with a rule ("saved") may be an adjective
/// and is none here.
pub(super) fn is_verb(word: &str) -> bool {
    let listed = |list: &str, form: &str| list.split_whitespace().any(|w| w == form);
    let third = word.strip_suffix('s').is_some_and(|base| {
        listed(VERBS, base)
            || base.strip_suffix('e').is_some_and(|base| listed(VERBS, base))
            || base.strip_suffix("ie").is_some_and(|stem| listed(VERBS, &format!("{stem}y")))
    });
    third || listed(VERBS, word) || listed(IRREGULAR, word)
}

/// Whether a word is what was done with something: "ignored", "saved".
pub(super) fn is_participle(word: &str) -> bool {
    let base = [word.strip_suffix("d"), word.strip_suffix("ed")];
    base.into_iter().flatten().any(|base| VERBS.split_whitespace().any(|verb| verb == base))
}

#[cfg(test)]
mod tests {
    use super::{is_participle, is_verb};

    #[test]
    fn verbs_and_no_nouns() {
        for verb in ["ignore", "ignores", "reduces", "applies", "goes", "told", "makes"] {
            assert!(is_verb(verb), "{verb}");
        }
        for noun in ["alerts", "plan", "planning", "cost", "van", "boxes", "saved", ""] {
            assert!(!is_verb(noun), "{noun}");
        }
        assert!(is_participle("ignored") && is_participle("protected") && !is_participle("graded"));
    }
}
