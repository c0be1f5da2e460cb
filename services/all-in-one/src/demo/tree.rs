//! The spans of one request as a tree: where a call went, in order, alike for every run.
use std::collections::HashMap;
use std::time::Duration;

use copydesk_runtime::{SpanRecord, SpanStore};

/// A span with its children, in the order in which they began. Equal neighbours are one node with a count.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The operation.
    pub name: String,
    /// `client`, `server` or `internal`.
    pub kind: String,
    /// How many equal spans stand here.
    pub count: usize,
    /// The time of all of them together.
    pub duration: Duration,
    /// What was done inside.
    pub children: Vec<Node>,
}

/// The trees of a trace; one tree when nothing is broken.
pub fn of(spans: &SpanStore, trace_id: &str) -> Vec<Node> {
    let spans = spans.trace(trace_id);
    let known: Vec<&str> = spans.iter().map(|s| s.span_id.as_str()).collect();
    let mut children: HashMap<&str, Vec<&SpanRecord>> = HashMap::new();
    let mut roots = Vec::new();
    for span in &spans {
        match known.contains(&span.parent_id.as_str()) {
            true => children.entry(span.parent_id.as_str()).or_default().push(span),
            false => roots.push(span),
        }
    }
    merge(roots.into_iter().map(|root| node(root, &children)).collect())
}

fn node(span: &SpanRecord, children: &HashMap<&str, Vec<&SpanRecord>>) -> Node {
    let inner = children.get(span.span_id.as_str()).into_iter().flatten().map(|child| node(child, children));
    Node {
        name: short(&span.name),
        kind: span.kind.clone(),
        count: 1,
        duration: span.duration,
        children: merge(inner.collect()),
    }
}

fn short(name: &str) -> String {
    let name = name.strip_prefix("copydesk.").unwrap_or(name);
    name.replacen(".v1.", "/", 1).replacen("/", ".", 1)
}

/// Makes one node of neighbours with the same shape.
fn merge(nodes: Vec<Node>) -> Vec<Node> {
    let mut merged: Vec<Node> = Vec::new();
    for node in nodes {
        match merged.last_mut().filter(|last| same_shape(last, &node)) {
            Some(last) => {
                last.count += node.count;
                last.duration += node.duration;
            }
            None => merged.push(node),
        }
    }
    merged
}

fn same_shape(a: &Node, b: &Node) -> bool {
    a.name == b.name
        && a.kind == b.kind
        && a.children.len() == b.children.len()
        && a.children.iter().zip(&b.children).all(|(x, y)| same_shape(x, y))
}

/// The tree as indented lines, with times when they are wanted.
pub fn lines(nodes: &[Node], with_times: bool) -> Vec<String> {
    let mut out = Vec::new();
    write(nodes, 0, with_times, &mut out);
    out
}

fn write(nodes: &[Node], depth: usize, with_times: bool, out: &mut Vec<String>) {
    for node in nodes {
        let count = if node.count > 1 { format!(" ×{}", node.count) } else { String::new() };
        let arrow = if node.kind == "client" { "→ " } else { "" };
        let label = format!("{}{arrow}{}{count}", "  ".repeat(depth), node.name);
        out.push(match with_times {
            true => format!("{label:<78} {:>9.2} ms", node.duration.as_secs_f64() * 1e3),
            false => label,
        });
        write(&node.children, depth + 1, with_times, out);
    }
}
