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
    /// The time of the one that took longest.
    pub longest: Duration,
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
        longest: span.duration,
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
            Some(last) => absorb(last, node),
            None => merged.push(node),
        }
    }
    merged
}

fn absorb(into: &mut Node, node: Node) {
    into.count += node.count;
    into.duration += node.duration;
    lengthen(into, &node);
}

/// What is inside stays that of one parent; the times are those of the longest of them all.
fn lengthen(into: &mut Node, node: &Node) {
    into.longest = into.longest.max(node.longest);
    into.children.iter_mut().zip(&node.children).for_each(|(ours, theirs)| lengthen(ours, theirs));
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
            true => format!("{label:<78} {:>9.2} ms", node.longest.as_secs_f64() * 1e3),
            false => label,
        });
        write(&node.children, depth + 1, with_times, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_neighbours_show_the_time_of_the_longest() {
        let leaf = |ms| Node {
            name: "search".to_owned(),
            kind: "client".to_owned(),
            count: 1,
            duration: Duration::from_millis(ms),
            longest: Duration::from_millis(ms),
            children: Vec::new(),
        };
        let over = |ms| Node { children: vec![leaf(ms - 1)], ..leaf(ms) };
        let merged = merge(vec![over(5), over(9), over(7)]);
        assert_eq!((merged.len(), merged[0].count, merged[0].duration.as_millis()), (1, 3, 21));
        let drawn = lines(&merged, true);
        assert!(drawn[0].contains("search ×3") && drawn[0].ends_with(" 9.00 ms"), "{drawn:?}");
        assert!(drawn[1].ends_with(" 8.00 ms"), "{drawn:?}");
    }
}
