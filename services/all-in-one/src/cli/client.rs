//! What the commands take that ask a running mesh.
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Where the mesh is, and who asks.
#[derive(Debug, Clone, Args)]
pub struct ClientArgs {
    /// The gateway. Default: the one that runs on the data folder, else http://127.0.0.1:7700.
    #[arg(long, env = "COPYDESK_GATEWAY", global = true)]
    pub gateway: Option<String>,
    /// Your API key. Default: the development key in the data folder.
    #[arg(long, env = "COPYDESK_KEY", hide_env_values = true, global = true)]
    pub key: Option<String>,
    /// The data folder of the running mesh.
    #[arg(long, default_value = crate::config::DEFAULT_DATA, env = "COPYDESK_DATA", global = true)]
    pub data: PathBuf,
}

/// What to ingest.
#[derive(Debug, Clone, Args)]
pub struct IngestArgs {
    /// Files and folders; of folders, what ends in .md, .txt, .html, .pdf, .docx, .pptx, .xlsx or .csv. Pictures (.png,
    /// .jpg, .webp, .gif) and scans need a vision model, see the setting `retrieval.ocr`; pictures are to be named, not
    /// their folder. Given several, each document's name begins with that of its folder. What begins with http:// or
    /// https:// is a page of the web, which the mesh fetches.
    #[arg(required_unless_present_any = ["git", "issues"])]
    pub paths: Vec<PathBuf>,
    /// A git repository: an https URL, or a path on the mesh's machine below one of its `retrieval.sources.git_roots`.
    #[arg(long, value_name = "REPOSITORY")]
    pub git: Vec<String>,
    /// The issues of a repository on GitHub, `owner/name`.
    #[arg(long, value_name = "OWNER/NAME")]
    pub issues: Vec<String>,
    /// Take commit messages of git repositories too.
    #[arg(long, requires = "git")]
    pub commits: bool,
    /// Delete what pages, repositories and issues brought earlier and have no more.
    #[arg(long)]
    pub mirror: bool,
    /// The brand's name; it and its knowledge base are made when they are new.
    #[arg(long)]
    pub brand: String,
    /// The brand's voice in a few words, when it is new.
    #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    pub voice: String,
    /// Its readers, when it is new.
    #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    pub audience: String,
    /// Where the mesh is.
    #[command(flatten)]
    pub client: ClientArgs,
}

/// What to write.
#[derive(Debug, Clone, Args)]
pub struct GenerateArgs {
    /// What to write about.
    #[arg(allow_hyphen_values = true)]
    pub topic: String,
    /// The brand, by name or `brd_…`.
    #[arg(long)]
    pub brand: String,
    /// What kind of content.
    #[arg(long = "type", value_enum, default_value = "social")]
    pub content_type: ContentKind,
    /// Tone, for example `plain`.
    #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    pub tone: String,
    /// Style, for example `story`.
    #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    pub style: String,
    /// The most it may cost, in dollars.
    #[arg(long, allow_hyphen_values = true)]
    pub budget: Option<String>,
    /// Let research send the topic to the web's search provider. What the web says is never evidence.
    #[arg(long)]
    pub web: bool,
    /// Print the run as JSON.
    #[arg(long)]
    pub json: bool,
    /// Where the mesh is.
    #[command(flatten)]
    pub client: ClientArgs,
}

/// A kind of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ContentKind {
    /// A blog article in Markdown.
    Blog,
    /// A social post.
    Social,
    /// A short advertisement.
    Ad,
}

/// A verdict on a run.
#[derive(Debug, Clone, Args)]
pub struct FeedbackArgs {
    /// The run, `run_…`.
    pub run: String,
    /// The verdict.
    #[arg(value_enum)]
    pub verdict: Verdict,
    /// Why; needed for `reject`.
    #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    pub comment: String,
    /// A file with the text as you would have it; needed for `edit`.
    #[arg(long)]
    pub edited: Option<PathBuf>,
    /// 1 to 5; needed for `rate`.
    #[arg(long, default_value_t = 0, hide_default_value = true, allow_hyphen_values = true)]
    pub rating: u32,
    /// Where the mesh is.
    #[command(flatten)]
    pub client: ClientArgs,
}

/// The five verdicts.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Verdict {
    /// Good as it is.
    Approve,
    /// Good after my changes.
    Edit,
    /// Not usable.
    Reject,
    /// Write it again.
    Regenerate,
    /// A mark from 1 to 5.
    Rate,
}

/// What to do with keys.
#[derive(Debug, Clone, Subcommand)]
pub enum KeysAction {
    /// Make a key. Its secret is shown once.
    Create {
        /// Its name.
        name: String,
        /// What it may do, for example `runs:write`; `*` is everything but the platform's own.
        #[arg(long = "scope", default_value = "*")]
        scopes: Vec<String>,
    },
    /// List the tenant's keys.
    List,
    /// End a key.
    Revoke {
        /// The key, `key_…`.
        // Not `key`: that is the caller's own, an argument of every command that calls.
        #[arg(value_name = "KEY")]
        key_id: String,
    },
}
