//! The map of one real request, drawn by the request itself and compared with the stored one: where CreateRun of a
//! social post goes, through all five services, to the outcome in learning. `COPYDESK_BLESS=1` draws it anew.
#![allow(clippy::expect_used, reason = "a test says what it expects")]
#[path = "black_box/support/mod.rs"]
mod support;

use std::path::Path;

use copydesk_all_in_one::demo::tree::{self, Node};
use support::*;

const BEGIN: &str = "<!-- span-tree -->";
const END: &str = "<!-- /span-tree -->";

/// What is begun together has no order of its own: the steps of the gathering phase, and the brand's figures and posts.
const TOGETHER: [&[&str]; 2] = [
    &["step brand_analysis", "step lessons", "step research"],
    &["learning.BrandService/GetBrandMetrics", "retrieval.SearchService/Search"],
];

/// The group of a node that has no order among its neighbours, and its place there.
fn place(node: &Node) -> Option<(usize, usize)> {
    let named = if node.name == "run.attempt" { node.children.first()? } else { node };
    let within = |group: &[&str]| group.iter().position(|name| *name == named.name);
    TOGETHER.iter().enumerate().find_map(|(group, names)| Some((group, within(names)?)))
}

fn settled(mut nodes: Vec<Node>) -> Vec<Node> {
    for node in &mut nodes {
        node.children = settled(std::mem::take(&mut node.children));
    }
    let group = |node: &Node| place(node).map(|(group, _)| group);
    for neighbours in nodes.chunk_by_mut(|a, b| group(a).is_some() && group(a) == group(b)) {
        neighbours.sort_by_key(place);
    }
    nodes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_map_is_drawn_from_the_territory() {
    let house = House::start().await;
    let client = &house.client;
    let brand = stocked_brand(client, "Chillwright", documents(&[""])).await;
    let run = write(client, post(&brand.brand_id)).await;
    outcome(client, &run.run_id).await;
    assert_eq!(run.trace_id.len(), 32);

    let spans = telemetry().spans().expect("spans are kept");
    // The last spans end a moment after what they did can be seen.
    let nodes = until("a tree with one root", async || {
        let nodes = settled(tree::of(spans, &run.trace_id));
        let drawn = tree::lines(&nodes, false).join("\n");
        (nodes.len() == 1 && drawn.contains("learning.record_outcome") && drawn.contains("runs.get"))
            .then_some(nodes)
    })
    .await;
    let known: Vec<String> = spans.trace(&run.trace_id).iter().map(|span| span.span_id.clone()).collect();
    let orphans: Vec<_> =
        spans.trace(&run.trace_id).into_iter().filter(|s| !known.contains(&s.parent_id)).collect();
    assert_eq!(orphans.len(), 1, "only the root has a parent that is not in the trace: {orphans:?}");
    assert!(spans.trace(&run.trace_id).iter().all(|span| !span.error), "no span ended in an error");

    let drawn = format!("{}\n", tree::lines(&nodes, false).join("\n"));
    let stored = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/span_tree.txt");
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let words = std::fs::read_to_string(&readme).expect("the README");
    let block = words.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).map(|(block, _)| block);
    if std::env::var_os("COPYDESK_BLESS").is_some() {
        std::fs::write(&stored, &drawn).expect("written");
        if let Some(block) = block {
            let fresh = format!("{BEGIN}\n```text\n{drawn}```\n{END}");
            std::fs::write(&readme, words.replace(&format!("{BEGIN}{block}{END}"), &fresh)).expect("written");
        }
        return;
    }
    let hint = "the map has changed: look whether it should, then run this test with COPYDESK_BLESS=1";
    assert_eq!(drawn, std::fs::read_to_string(&stored).unwrap_or_default(), "{hint}");
    for line in block
        .iter()
        .flat_map(|block| block.lines())
        .filter(|line| !line.starts_with("```") && !line.is_empty())
    {
        assert!(
            drawn.lines().any(|drawn| drawn == line),
            "the README's map has a line of its own: {line}; {hint}"
        );
    }
    let shown = block.map(|block| block.lines().filter(|l| !l.starts_with("```") && !l.is_empty()).count());
    assert!(shown.is_none_or(|shown| shown == drawn.lines().count()), "the README's map lacks lines; {hint}");
}
