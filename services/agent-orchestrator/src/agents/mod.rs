//! The agents: who they are and what they are told. Their words are data; nothing here decides or calls.
//!
//! An agent is one file with its `AGENT` and its prompts, and one entry in [`AGENTS`].
pub mod analyst;
pub mod judge;
pub mod researcher;
pub mod reviewer;
pub mod strategist;
pub mod writer;

mod prompt;

pub use prompt::Scene;

/// Temperature of agents that write.
pub const CREATIVE: f64 = 0.8;
/// Temperature of agents that judge.
pub const ANALYTICAL: f64 = 0.5;

/// An agent.
#[derive(Debug, PartialEq)]
pub struct Agent {
    /// Its name, unique.
    pub name: &'static str,
    /// Name and version; changes with any word below or in its prompts.
    pub version: &'static str,
    /// What it is.
    pub role: &'static str,
    /// What it is after.
    pub goal: &'static str,
    /// Where it comes from.
    pub backstory: &'static str,
    /// Names of the tools it may call.
    pub tools: &'static [&'static str],
    /// Sampling temperature of its calls.
    pub temperature: f64,
}

/// Every agent.
pub const AGENTS: [&Agent; 6] = [
    &researcher::AGENT,
    &analyst::AGENT,
    &strategist::AGENT,
    &writer::AGENT,
    &reviewer::AGENT,
    &judge::AGENT,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::step::StepKey;
    use crate::tools::TOOLS;

    #[test]
    fn every_agent_file_is_listed_and_every_step_has_its_agent() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/agents");
        let files = std::fs::read_dir(folder).expect("folder").filter_map(Result::ok);
        let names = files.map(|f| f.file_name().to_string_lossy().trim_end_matches(".rs").to_owned());
        for name in names.filter(|n| n != "mod" && n != "prompt") {
            assert!(AGENTS.iter().any(|a| a.name == name), "{name} is not in AGENTS");
        }
        for step in
            [StepKey::Research, StepKey::Lessons, StepKey::Strategy, StepKey::Draft, StepKey::Review(1)]
        {
            assert!(AGENTS.iter().any(|a| a.name == step.agent()), "{step}");
        }
    }

    #[test]
    fn agents_and_tools_agree_on_who_may_call_what() {
        for agent in AGENTS {
            assert!(agent.version.starts_with(&format!("{}@", agent.name)), "{}", agent.version);
            for tool in TOOLS {
                assert_eq!(
                    agent.tools.contains(&tool.name),
                    tool.agents.contains(&agent.name),
                    "{} {}",
                    agent.name,
                    tool.name
                );
            }
            assert!(agent.tools.iter().all(|name| TOOLS.iter().any(|t| t.name == *name)), "{}", agent.name);
        }
    }
}
