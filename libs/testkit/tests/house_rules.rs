//! The workspace keeps its own rules, and every rule can be broken: a rule that finds nothing in a bad house would
//! find nothing in ours.
use std::path::Path;

use copydesk_testkit::house::{House, Member, RULES, SourceFile};

#[test]
fn the_workspace_keeps_its_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let house = House::read(&root).expect("the workspace");
    assert_eq!(house.members.len(), 13, "thirteen crates, no more without a reason");
    assert!(house.members.iter().all(|member| !member.files.is_empty()), "every crate has sources");
    let faults: Vec<String> = RULES
        .iter()
        .flat_map(|(rule, check)| check(&house).into_iter().map(move |fault| format!("{rule}\n    {fault}")))
        .collect();
    assert!(faults.is_empty(), "the house rules are broken:\n  {}", faults.join("\n  "));
}

fn member(name: &str, folder: &str) -> Member {
    Member { name: name.to_owned(), folder: folder.to_owned(), inherits_lints: true, ..Member::default() }
}

fn file(path: &str, text: &str) -> SourceFile {
    SourceFile { path: path.to_owned(), text: text.to_owned() }
}

/// The rules that a house with this one member breaks.
fn broken(change: impl FnOnce(&mut Member)) -> Vec<&'static str> {
    let mut room = member("retrieval", "services/retrieval");
    room.uses = ["types", "proto", "rpc", "store", "guard"].map(str::to_owned).into();
    room.test_uses = ["testkit".to_owned()].into();
    room.files = vec![
        file("services/retrieval/src/lib.rs", "mod domain;\n"),
        file("services/retrieval/src/domain/clock.rs", "// never Instant::now\nfn monotonic() {}\n"),
        file("services/retrieval/src/chunkers/mod.rs", "mod text;\nconst ALL: [Entry; 1] = [text::ENTRY];\n"),
        file("services/retrieval/src/chunkers/text.rs", "pub const ENTRY: Entry = Entry {};\n"),
    ];
    change(&mut room);
    let house = House { members: vec![room] };
    RULES.iter().filter(|(_, check)| !check(&house).is_empty()).map(|(rule, _)| *rule).collect()
}

fn add(path: &str, text: &str) -> Vec<&'static str> {
    broken(|room| room.files.push(file(path, text)))
}

#[test]
fn a_good_house_breaks_none() {
    assert_eq!(broken(|_| ()), Vec::<&str>::new());
}

#[test]
fn dependencies_follow_the_table() {
    let rule = ["a crate uses only what its row of the table allows"];
    for used in ["learning", "runtime", "testkit", "all-in-one"] {
        assert_eq!(broken(|room| room.uses.extend([used.to_owned()])), rule, "{used}");
    }
    assert_eq!(broken(|room| room.name = "exports".to_owned()), rule);
    for lib in ["types", "proto", "rpc", "store", "guard", "runtime"] {
        let found = broken(|room| {
            room.name = lib.to_owned();
            room.uses = ["retrieval".to_owned()].into();
            room.test_uses.clear();
        });
        assert_eq!(found, rule, "{lib}");
    }
}

#[test]
fn tests_keep_to_their_own_room() {
    let learning = broken(|room| room.test_uses.extend(["learning".to_owned()]));
    assert_eq!(learning, ["services do not know each other, not even in tests"]);
    let lib = broken(|room| {
        room.name = "rpc".to_owned();
        room.uses = ["types".to_owned()].into();
    });
    assert_eq!(lib, ["no lib uses testkit"]);
}

#[test]
fn lints_size_and_names_are_seen() {
    assert_eq!(broken(|room| room.inherits_lints = false), ["every crate has the workspace's lints"]);
    let long = "//\n".repeat(501);
    assert_eq!(add("services/retrieval/src/long.rs", &long), ["files stay small"]);
    assert_eq!(add("services/retrieval/src/long.rs", &"//\n".repeat(500)), Vec::<&str>::new());
    for path in [
        "services/retrieval/src/utils.rs",
        "services/retrieval/src/shared/mod.rs",
        "services/retrieval/src/text_helpers.rs",
    ] {
        assert_eq!(add(path, ""), ["nothing is named for its vagueness"], "{path}");
    }
}

#[test]
fn the_domain_is_pure() {
    for line in
        ["use tonic::Status;", "async fn find() {}", "let now = Instant::now();", "fn f(c: &sqlx::Pool) {}"]
    {
        assert_eq!(add("services/retrieval/src/domain/find.rs", line), ["the domain is pure"], "{line}");
        assert_eq!(add("services/retrieval/src/domain.rs", line), ["the domain is pure"], "{line}");
        assert_eq!(add("services/retrieval/src/app/find.rs", line), Vec::<&str>::new(), "{line}");
    }
}

#[test]
fn families_are_listed() {
    let rule = ["a family lists all of its files"];
    assert_eq!(add("services/retrieval/src/chunkers/html.rs", ""), rule);
    assert_eq!(add("services/retrieval/src/tools/html.rs", ""), rule, "a family without a list");
    let without_entry = broken(|room| room.files[2].text = "mod text;\n".to_owned());
    assert_eq!(without_entry, rule);
}
