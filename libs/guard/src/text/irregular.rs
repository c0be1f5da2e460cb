//! Irregular verb forms, which no suffix rule reaches.

use std::collections::HashMap;
use std::sync::LazyLock;

use foldhash::fast::RandomState;

static BASES: LazyLock<HashMap<&'static str, &'static str, RandomState>> = LazyLock::new(|| {
    FORMS
        .lines()
        .filter_map(|line| line.split_once(' '))
        .flat_map(|(base, forms)| forms.split(' ').map(move |form| (form, base)))
        .collect()
});

/// The base of an irregular verb form, if it is one that is rarely anything else (`saw` and `left` are not here).
pub(super) fn base(lower: &str) -> Option<&'static str> {
    BASES.get(lower).copied()
}

/// Base first, then its forms.
const FORMS: &str = "become became
begin began begun
break broke broken
bring brought
build built
buy bought
catch caught
choose chose chosen
come came
deal dealt
draw drew drawn
drive drove driven
eat ate eaten
fall fell fallen
feed fed
fight fought
forget forgot forgotten
freeze froze frozen
give gave given
go went gone
grow grew grown
hide hid hidden
hold held
keep kept
know knew known
lead led
learn learnt
lose lost
make made
mean meant
meet met
pay paid
run ran
sell sold
send sent
shake shook shaken
shrink shrank shrunk
sleep slept
speak spoke spoken
spend spent
stand stood
steal stole stolen
swim swam
take took taken
teach taught
tell told
think thought
throw threw thrown
understand understood
wear wore worn
win won
write wrote written
child children
woman women
man men
analysis analyses
index indices
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_have_their_base() {
        assert_eq!(base("kept"), Some("keep"));
        assert_eq!(base("written"), Some("write"));
        assert_eq!(base("keep"), None);
    }
}
