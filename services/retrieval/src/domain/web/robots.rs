//! What a site asks of crawlers: robots.txt as RFC 9309 has it, with the wildcards of its section 2.2.3.

use std::borrow::Cow;

use memchr::memmem;

/// Most bytes of a file that are read, RFC 9309 section 2.5; the rest is passed over.
pub const LARGEST: usize = 500 * 1024;

/// The rules for one crawler.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Robots {
    rules: Vec<Rule>,
    nothing: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    allow: bool,
    pattern: String,
}

/// One meaningful line.
enum Line<'a> {
    Agent(&'a str),
    Rule(bool, &'a str),
}

impl Robots {
    /// Everything may be asked: there is no file.
    pub const fn everything() -> Self {
        Self { rules: Vec::new(), nothing: false }
    }

    /// Nothing may be asked: whether there is a file cannot be told.
    pub const fn nothing() -> Self {
        Self { rules: Vec::new(), nothing: true }
    }

    /// Reads a file for the crawler of this name: the rules of all groups that name it, or else of those for `*`.
    pub fn parse(file: &[u8], crawler: &str) -> Self {
        let file = String::from_utf8_lossy(&file[..file.len().min(LARGEST)]);
        let file = file.strip_prefix('\u{feff}').unwrap_or(&file);
        let (mut own, mut others) = (Vec::new(), Vec::new());
        let (mut named, mut to_own, mut to_others, mut in_rules) = (false, false, false, false);
        for line in file.split(['\n', '\r']).filter_map(line) {
            match line {
                Line::Agent(agent) => {
                    // A rule has ended the list of names: this one begins another group.
                    if std::mem::take(&mut in_rules) {
                        (to_own, to_others) = (false, false);
                    }
                    let mine = product(agent).eq_ignore_ascii_case(crawler);
                    to_own |= mine;
                    named |= mine;
                    to_others |= agent.starts_with('*');
                }
                Line::Rule(allow, path) => {
                    in_rules = true;
                    let rule = || Rule { allow, pattern: normal(path).into_owned() };
                    // A rule without a path says nothing.
                    if !path.is_empty() && to_own {
                        own.push(rule());
                    }
                    if !path.is_empty() && to_others {
                        others.push(rule());
                    }
                }
            }
        }
        Self { rules: if named { own } else { others }, nothing: false }
    }

    /// Whether there are no rules because none could be had.
    pub const fn is_unknown(&self) -> bool {
        self.nothing
    }

    /// Whether this path, its query included, may be asked: the longest rule that fits decides, of two as long the one
    /// that allows.
    pub fn allows(&self, path: &str) -> bool {
        if path == "/robots.txt" {
            return true;
        }
        let path = normal(path);
        let fitting = self.rules.iter().filter(|rule| fits(&rule.pattern, &path));
        let best = fitting.max_by_key(|rule| (rule.pattern.len(), rule.allow));
        best.map_or(!self.nothing, |rule| rule.allow)
    }
}

fn line(line: &str) -> Option<Line<'_>> {
    let line = line.split('#').next().unwrap_or_default();
    let (name, value) = line.split_once(':')?;
    let (name, value) = (name.trim(), value.trim());
    let is = |word: &str| name.eq_ignore_ascii_case(word);
    match () {
        () if is("user-agent") => Some(Line::Agent(value)),
        () if is("allow") => Some(Line::Rule(true, value)),
        () if is("disallow") => Some(Line::Rule(false, value)),
        () => None,
    }
}

/// The name at the head of what may be a name with a version.
fn product(agent: &str) -> &str {
    let end = agent.find(|c: char| !(c.is_ascii_alphabetic() || c == '-' || c == '_'));
    &agent[..end.unwrap_or(agent.len())]
}

/// Paths are compared byte by byte with what needs no escape written plainly, what needs one escaped, and escapes in
/// capitals, RFC 9309 section 2.2.2.
fn normal(path: &str) -> Cow<'_, str> {
    let plain = |b: u8| b.is_ascii_graphic() && b != b'%';
    if path.bytes().all(plain) {
        return Cow::Borrowed(path);
    }
    let bytes = path.as_bytes();
    let mut out = String::with_capacity(path.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escaped = (*byte == b'%').then(|| hex(bytes.get(at + 1..at + 3)?)).flatten();
        at += if escaped.is_some() { 3 } else { 1 };
        match (escaped, *byte) {
            (Some(byte), _) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                out.push(char::from(byte))
            }
            (Some(byte), _) => push_escaped(&mut out, byte),
            (None, byte) if byte.is_ascii_graphic() => out.push(char::from(byte)),
            (None, byte) => push_escaped(&mut out, byte),
        }
    }
    Cow::Owned(out)
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits).ok()?;
    let all = digits.bytes().all(|b| b.is_ascii_hexdigit());
    all.then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

fn push_escaped(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

/// Whether a pattern fits the head of a path: `*` stands for anything, `$` at its end for the path's end. Each piece
/// between stars is looked for once, behind the piece before: no pattern makes this slow.
fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, to_end) = match pattern.strip_suffix('$') {
        Some(pattern) => (pattern, true),
        None => (pattern, false),
    };
    let mut pieces = pattern.split('*');
    let head = pieces.next().unwrap_or_default();
    let Some(mut rest) = path.strip_prefix(head) else { return false };
    let Some(last) = pieces.next_back() else { return !to_end || rest.is_empty() };
    for piece in pieces {
        match memmem::find(rest.as_bytes(), piece.as_bytes()) {
            Some(at) => rest = rest.get(at + piece.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    if to_end { rest.ends_with(last) } else { memmem::find(rest.as_bytes(), last.as_bytes()).is_some() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn allows(file: &str, path: &str) -> bool {
        Robots::parse(file.as_bytes(), "copydesk").allows(path)
    }

    #[test]
    fn groups_are_chosen_by_name_and_put_together() {
        let file = "User-agent: *\nDisallow: /\n\nUser-Agent: CopyDesk/2.0\nDisallow: /a\n\nuser-agent: other\n\
                    user-agent: copydesk\nDisallow: /b\n# a remark\nSitemap: https://x/s.xml\nAllow: /b/c\n";
        assert!(allows(file, "/"));
        assert!(!allows(file, "/a") && !allows(file, "/b/x"));
        assert!(allows(file, "/b/c"));
        assert!(!Robots::parse(file.as_bytes(), "stranger").allows("/x"));
        assert!(
            allows("User-agent: copydesk-image\nDisallow: /", "/"),
            "another's name only begins with ours"
        );
        assert!(allows("Disallow: /", "/"), "rules before any name are nobody's");
        assert!(
            allows("User-agent: *\nDisallow: /\nUser-agent: copydesk\nDisallow:\n", "/"),
            "an empty group of ours"
        );
        assert!(!allows("\u{feff}user-agent : *\r\ndisallow : /x # why\r\n", "/x"));
        assert!(allows("user-agent: *\ndisallow: /", "/robots.txt"));
    }

    #[test]
    fn the_longest_rule_decides_as_the_rfc_shows() {
        let file = "User-Agent: *\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif\n";
        assert!(allows(file, "/example/page/x") && !allows(file, "/example/page/disallowed.gif"));
        assert!(allows("user-agent: *\nallow: /x\ndisallow: /x", "/x"), "of two as long the one that allows");
        let stars = "user-agent: *\ndisallow: *.gif$\ndisallow: /pri*/x\nallow: /publications/";
        assert!(!allows(stars, "/a/b.gif") && allows(stars, "/a/b.gif?x"));
        assert!(!allows(stars, "/private/x/y") && allows(stars, "/private/y"));
        assert!(
            allows("user-agent: *\ndisallow: /a$", "/ab") && !allows("user-agent: *\ndisallow: /a$", "/a")
        );
        assert!(!allows("user-agent: *\ndisallow: /a?b=*", "/a?b=c"));
    }

    #[test]
    fn escapes_do_not_hide_a_path() {
        let file = "user-agent: *\ndisallow: /caf\u{e9}/%7ejoe\ndisallow: /a%2fb\n";
        assert!(!allows(file, "/caf%c3%a9/~joe") && !allows(file, "/caf%C3%A9/%7Ejoe"));
        assert!(!allows(file, "/a%2Fb") && allows(file, "/a/b"), "an escaped slash is no slash");
        assert!(allows("user-agent: *\ndisallow: /%zz", "/a"), "what is no escape is taken as it stands");
    }

    #[test]
    fn without_a_file_everything_or_nothing() {
        assert!(Robots::everything().allows("/x") && !Robots::nothing().allows("/x"));
        assert!(Robots::nothing().allows("/robots.txt"));
    }

    /// The same by trying everything.
    fn slow(pattern: &[u8], path: &[u8]) -> bool {
        match pattern {
            [] => true,
            [b'$'] => path.is_empty(),
            [b'*', rest @ ..] => (0..=path.len()).any(|at| slow(rest, &path[at..])),
            [byte, rest @ ..] => path.first() == Some(byte) && slow(rest, &path[1..]),
        }
    }

    proptest! {
        #[test]
        fn patterns_fit_as_their_meaning_says(pattern in "[ab*]{0,8}[$]?", path in "[ab]{0,10}") {
            prop_assert_eq!(fits(&pattern, &path), slow(pattern.as_bytes(), path.as_bytes()));
        }

        #[test]
        fn no_file_is_too_odd(
            file in prop::collection::vec(prop::sample::select(vec![
                "user-agent", "copydesk", "*", ":", "\n", "disallow", "allow", "/", "%2", "$", "#", "\u{e9}", " ", "x",
            ]), 0..60),
            noise in prop::collection::vec(any::<u8>(), 0..200), path in "/\\PC{0,20}",
        ) {
            let file = file.concat();
            let robots = Robots::parse(file.as_bytes(), "copydesk");
            let _ = robots.allows(&path);
            let _ = Robots::parse(&noise, "copydesk").allows(&path);
            if !file.contains("disallow") {
                prop_assert!(robots.allows(&path));
            }
        }
    }
}
