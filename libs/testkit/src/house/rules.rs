//! The rules themselves, one function each.
use super::{House, Member, SourceFile};

/// A rule: its name, and the faults that it finds, each with what to do instead.
pub type Rule = (&'static str, fn(&House) -> Vec<String>);

/// Every rule.
pub const RULES: [Rule; 8] = [
    ("a crate uses only what its row of the table allows", dependencies),
    ("no lib uses testkit", testkit_is_for_the_rooms),
    ("services do not know each other, not even in tests", strangers_in_tests),
    ("every crate has the workspace's lints", lints),
    ("files stay small", size),
    ("nothing is named for its vagueness", names),
    ("the domain is pure", purity),
    ("a family lists all of its files", families),
];

const LIBS: [&str; 6] = ["types", "proto", "rpc", "runtime", "store", "guard"];
const ROOMS: [&str; 5] = ["gateway", "llm-router", "retrieval", "agent-orchestrator", "learning"];
const PROGRAM: &str = "all-in-one";
const TESTKIT: &str = "testkit";

const LONGEST: usize = 500;
const VAGUE: [&str; 9] =
    ["common", "commons", "core", "util", "utils", "helper", "helpers", "shared", "misc"];
const IMPURE: [&str; 6] = ["async fn", "tonic", "sqlx", "hyper_util", "SystemTime::now", "Instant::now"];
const FAMILIES: [&str; 6] = ["providers", "chunkers", "embedders", "agents", "tools", "exporters"];

/// What a crate may be built from; `None` for a crate that the table does not know.
fn may_use(name: &str) -> Option<Vec<&'static str>> {
    Some(match name {
        "types" | "guard" => Vec::new(),
        "proto" | "rpc" | "store" => vec!["types"],
        "runtime" => vec!["rpc", "types"],
        TESTKIT => LIBS.to_vec(),
        PROGRAM => LIBS.into_iter().chain(ROOMS).collect(),
        room if ROOMS.contains(&room) => vec!["types", "proto", "rpc", "store", "guard"],
        _ => return None,
    })
}

fn dependencies(house: &House) -> Vec<String> {
    let mut faults = Vec::new();
    for member in &house.members {
        let Some(allowed) = may_use(&member.name) else {
            let words =
                "is not in the table: is a new crate really needed? If so, add its row here and to the style";
            faults.push(format!("{}: {words}", member.folder));
            continue;
        };
        for used in member.uses.iter().filter(|used| !allowed.contains(&used.as_str())) {
            faults.push(format!(
                "{} uses {used}: move what is needed down into a lib that both may use, or call the service over its \
                 contract",
                member.folder
            ));
        }
    }
    faults
}

fn testkit_is_for_the_rooms(house: &House) -> Vec<String> {
    let libs = house.members.iter().filter(|member| LIBS.contains(&member.name.as_str()));
    libs.filter(|member| member.test_uses.contains(TESTKIT))
        .map(|member| {
            format!(
                "{} tests with testkit: the circle compiles it twice; put the double beside its tests",
                member.folder
            )
        })
        .collect()
}

fn strangers_in_tests(house: &House) -> Vec<String> {
    let known = |member: &Member, used: &str| {
        member.name == PROGRAM || LIBS.contains(&used) || used == TESTKIT || used == member.name
    };
    let mut faults = Vec::new();
    for member in &house.members {
        for used in member.test_uses.iter().filter(|used| !known(member, used)) {
            faults.push(format!(
                "{} tests with {used}: script its contract in the test, or test both in services/all-in-one/tests",
                member.folder
            ));
        }
    }
    faults
}

fn lints(house: &House) -> Vec<String> {
    let without = house.members.iter().filter(|member| !member.inherits_lints);
    without
        .map(|member| format!("{}/Cargo.toml: add `[lints]` with `workspace = true`", member.folder))
        .collect()
}

fn size(house: &House) -> Vec<String> {
    let long =
        files(house).map(|file| (file, file.text.lines().count())).filter(|(_, lines)| *lines > LONGEST);
    long.map(|(file, lines)| {
        format!(
            "{} has {lines} lines: make it a folder of files with one subject each ({LONGEST} at most)",
            file.path
        )
    })
    .collect()
}

fn names(house: &House) -> Vec<String> {
    let vague = |words: &str| words.split(['-', '_', '/', '.']).any(|word| VAGUE.contains(&word));
    let crates = house.members.iter().map(|member| member.name.as_str()).filter(|name| vague(name));
    let modules = files(house).map(|file| file.path.as_str()).filter(|path| vague(path));
    crates
        .chain(modules)
        .map(|name| {
            format!(
                "{name}: name it for what it holds, and put it beside its caller or into the lib of its noun"
            )
        })
        .collect()
}

fn purity(house: &House) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files(house)
        .filter(|file| file.path.contains("/src/domain/") || file.path.ends_with("/src/domain.rs"))
    {
        for (number, line) in file.text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for word in IMPURE.into_iter().filter(|word| has_word(code, word)) {
                faults.push(format!(
                    "{}:{}: `{word}` in the domain: take time, ids and answers as arguments and do the rest in app/",
                    file.path,
                    number + 1
                ));
            }
        }
    }
    faults
}

/// Whether a word stands in a line by itself: `tonic` is not in `monotonic`.
fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        !before.ends_with(part) && !after.starts_with(part)
    })
}

fn families(house: &House) -> Vec<String> {
    let mut faults = Vec::new();
    for member in &house.members {
        for family in FAMILIES {
            let folder = format!("{}/src/{family}/", member.folder);
            let inside = |file: &&SourceFile| file.path.starts_with(&folder);
            let Some(list) = member.files.iter().find(|file| file.path == format!("{folder}mod.rs")) else {
                if member.files.iter().any(|file| inside(&file)) {
                    faults
                        .push(format!("{folder} has no mod.rs: a family has one list, and it stands there"));
                }
                continue;
            };
            for file in member.files.iter().filter(inside).filter(|file| file.path != list.path) {
                faults.extend(unlisted(&folder, list, file));
            }
        }
    }
    faults
}

fn unlisted(folder: &str, list: &SourceFile, file: &SourceFile) -> Option<String> {
    let name = file.path.strip_prefix(folder)?.strip_suffix(".rs")?;
    // A file of a folder below belongs to that folder's own module.
    let module = name.split('/').next()?;
    let declared = list.text.lines().any(|line| {
        let line = line.trim().trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ");
        line.trim_start_matches("pub ").strip_prefix("mod ").is_some_and(|rest| rest == format!("{module};"))
    });
    if !declared {
        return Some(format!("{}: add `mod {module};` to {}", file.path, list.path));
    }
    let entry = file.text.contains("const ENTRY:") && !list.text.contains(&format!("{module}::ENTRY"));
    entry.then(|| format!("{}: add `{module}::ENTRY` to the list in {}", file.path, list.path))
}

fn files(house: &House) -> impl Iterator<Item = &SourceFile> {
    house.members.iter().flat_map(|member| &member.files)
}
