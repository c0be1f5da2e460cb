//! The command line. Every word of `--help` is written here.
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

mod client;
mod eval;
mod guard;
mod safety;

pub use eval::{EvalAction, RetrievalEvalArgs};
pub use guard::{GuardAction, GuardEvalArgs, GuardFitArgs};
pub use safety::{FitInjectionArgs, SafetyEvalArgs};

pub use client::{ClientArgs, ContentKind, FeedbackArgs, GenerateArgs, IngestArgs, KeysAction, Verdict};

/// Turns a brand's own documents into grounded, reviewed content, and proves every claim against its source.
#[derive(Debug, Parser)]
#[command(
    name = "copydesk",
    version,
    max_term_width = 110,
    after_help = "\
Start here:
  copydesk demo                     see it work on bundled documents, without any key
  copydesk up                       keep it running on 127.0.0.1:7700
  copydesk ingest ./docs --brand Acme
  copydesk generate \"why cold chains break\" --brand Acme --type social

With OPENAI_API_KEY, ANTHROPIC_API_KEY or GROQ_API_KEY set, or an Ollama on this machine, that model writes and is \
sent passages of your documents; without, the offline writer composes from the documents' own sentences and says so."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the whole mesh in this process until it is told to stop.
    Up(ServeArgs),
    /// Run one service of the mesh; its peers are found by configuration (`peers.*`).
    Serve {
        /// Which one.
        service: ServiceName,
        /// How.
        #[command(flatten)]
        args: ServeArgs,
    },
    /// Show the main job on bundled documents or your own: ingest, write a post and an article, learn from feedback.
    Demo(DemoArgs),
    /// Put documents (Markdown, text, HTML, PDF, Word, PowerPoint, Excel, CSV; folders are walked) into a brand's
    /// knowledge base.
    Ingest(IngestArgs),
    /// Write about a topic and show the text with its citations.
    Generate(GenerateArgs),
    /// Follow a run to its end and show its result.
    Watch {
        /// The run, `run_…`.
        run: String,
        /// Where the mesh is.
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Say what you think of a run's text; the next one heeds it.
    Feedback(FeedbackArgs),
    /// API keys of your tenant.
    Keys {
        /// What to do with them.
        #[command(subcommand)]
        action: KeysAction,
        /// Where the mesh is.
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Identity tokens, for calling a service directly.
    Token {
        /// What to do.
        #[command(subcommand)]
        action: TokenAction,
    },
    /// Key pairs with which the services know each other.
    Identity {
        /// What to do.
        #[command(subcommand)]
        action: IdentityAction,
    },
    /// The configuration: defaults < file < environment (COPYDESK__PART__KEY) < flags.
    Config {
        /// What to show.
        action: ConfigAction,
        /// From where.
        #[command(flatten)]
        source: SourceArgs,
    },
    /// Measure quality on data with judgements, in a temporary folder.
    Eval {
        /// Of what.
        #[command(subcommand)]
        action: EvalAction,
    },
    /// The guard's statistical models.
    Guard {
        /// What to do.
        #[command(subcommand)]
        action: GuardAction,
    },
    /// Check everything that Copydesk depends on, and say how to mend what is wrong.
    Doctor(SourceArgs),
    /// Ask a running Copydesk whether it is ready; exits with 0 or 1. For containers.
    Healthcheck {
        /// The admin address, `host:port`.
        #[arg(long, default_value = "127.0.0.1:7790", env = "COPYDESK_ADMIN")]
        admin: String,
    },
    /// Print completions for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// Where the configuration comes from.
#[derive(Debug, Clone, Args)]
pub struct SourceArgs {
    /// The data folder: databases, keys, the development key.
    #[arg(long, default_value = crate::config::DEFAULT_DATA, env = "COPYDESK_DATA")]
    pub data: PathBuf,
    /// A TOML file. Default: `copydesk.toml` in the data folder, when it is there.
    #[arg(long, env = "COPYDESK_CONFIG")]
    pub config: Option<PathBuf>,
    /// One setting, for example `--set gateway.rate_limits.generate=100`. May be given again.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    pub settings: Vec<(String, String)>,
}

/// How to run services.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// From where to take settings.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Where to listen for gRPC, `address:port`; port 0 takes a free one. Default: 127.0.0.1:7700, single services 7701 to 7704.
    #[arg(long)]
    pub listen: Option<String>,
    /// Where to listen for metrics and health, `address:port`. Default: 127.0.0.1, 7790 for `up` and the gateway, 7791 to
    /// 7794 for the other services.
    #[arg(long)]
    pub admin: Option<String>,
}

/// A service of the mesh.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ServiceName {
    /// The front door.
    Gateway,
    /// Models.
    LlmRouter,
    /// Documents and search.
    Retrieval,
    /// Runs and agents.
    AgentOrchestrator,
    /// Brands, feedback, lessons.
    Learning,
}

/// What the demo works on.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Your own documents instead of the bundled ones: a folder of Markdown, text, HTML, PDF, Word, PowerPoint, Excel
    /// and CSV.
    #[arg(long)]
    pub docs: Option<PathBuf>,
    /// What to write about. Default: the bundled topic; with `--docs` the title of their README, else the brand's name.
    #[arg(long, allow_hyphen_values = true)]
    pub topic: Option<String>,
    /// The brand's name; default: the bundled one, or the folder's name.
    #[arg(long)]
    pub brand: Option<String>,
    /// Print one JSON document instead of the report.
    #[arg(long)]
    pub json: bool,
    /// One setting, as for `up`. Database and identity are the demo's own.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    pub settings: Vec<(String, String)>,
}

/// What to do with tokens.
#[derive(Debug, Clone, Subcommand)]
pub enum TokenAction {
    /// Print a token that the services of this data folder believe.
    Mint {
        /// The tenant, `ten_…`.
        #[arg(long)]
        tenant: String,
        /// What it may do.
        #[arg(long = "scope", default_value = "*")]
        scopes: Vec<String>,
        /// How long it holds, in seconds, up to a day.
        #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
        ttl: u64,
        /// The folder of the gateway's key. Default: `identity` in the data folder.
        #[arg(long)]
        identity: Option<PathBuf>,
        /// The data folder.
        #[arg(long, default_value = crate::config::DEFAULT_DATA, env = "COPYDESK_DATA")]
        data: PathBuf,
    },
}

/// What to do with identities.
#[derive(Debug, Clone, Subcommand)]
pub enum IdentityAction {
    /// Make the key pairs that are missing.
    Init {
        /// Where.
        #[arg(long)]
        dir: PathBuf,
    },
}

/// What to show of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConfigAction {
    /// What is in force, secrets hidden.
    Show,
    /// Whether it is good; every fault is named.
    Check,
    /// The defaults, as a file to begin with.
    Default,
    /// The JSON schema of the file.
    Schema,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("is not of the form KEY=VALUE".to_owned()),
    }
}

impl ServiceName {
    /// The service's one name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => copydesk_gateway::NAME,
            Self::LlmRouter => copydesk_llm_router::NAME,
            Self::Retrieval => copydesk_retrieval::NAME,
            Self::AgentOrchestrator => copydesk_agent_orchestrator::NAME,
            Self::Learning => copydesk_learning::NAME,
        }
    }
}
