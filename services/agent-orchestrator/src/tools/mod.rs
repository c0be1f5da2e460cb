//! The tools: what agents may look things up with.
//!
//! A tool is one file with its `TOOL` and its call, and one entry in [`TOOLS`]. It names the agents that may call it;
//! the desk refuses all others.
pub mod brand_metrics;
pub mod knowledge_search;
pub mod lessons;
pub mod web_search;

/// A tool.
#[derive(Debug, PartialEq, Eq)]
pub struct Tool {
    /// Its name, unique.
    pub name: &'static str,
    /// What it is good for.
    pub summary: &'static str,
    /// The agents that may call it.
    pub agents: &'static [&'static str],
}

/// Every tool.
pub const TOOLS: [&Tool; 4] =
    [&knowledge_search::TOOL, &brand_metrics::TOOL, &lessons::TOOL, &web_search::TOOL];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_file_is_listed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tools");
        let files = std::fs::read_dir(folder).expect("folder").filter_map(Result::ok);
        let names = files.map(|f| f.file_name().to_string_lossy().trim_end_matches(".rs").to_owned());
        for name in names.filter(|n| n != "mod") {
            assert!(TOOLS.iter().any(|t| t.name == name), "{name} is not in TOOLS");
        }
    }
}
