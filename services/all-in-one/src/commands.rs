//! What the binary does. A command is one file; errors end here, as one message and an exit code.
use std::process::ExitCode;

use clap::CommandFactory;

use crate::cli::{Cli, Command, EvalAction, GuardAction};

mod config;
mod content;
mod doctor;
mod keys;
mod serve;

pub(crate) use serve::{discover, writer};

/// Runs a command. Exit code 0 is success, 1 a failure that was explained on standard error.
pub fn run(cli: Cli) -> ExitCode {
    // One TLS implementation for every client of the process; a second call finds it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let result = runtime.block_on(dispatch(cli.command));
    // What still runs then is not worth waiting for: a blocked name lookup must not hold the exit.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("copydesk: {error:#}");
    ExitCode::FAILURE
}

async fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(args) => serve::up(args).await?,
        Command::Serve { service, args } => serve::one(service, args).await?,
        Command::Demo(args) => crate::demo::run(args).await?,
        Command::Ingest(args) => content::ingest(args).await?,
        Command::Generate(args) => return content::generate(args).await,
        Command::Watch { run, client } => return content::watch(&run, &client).await,
        Command::Feedback(args) => content::feedback(args).await?,
        Command::Keys { action, client } => keys::keys(action, &client).await?,
        Command::Token { action } => keys::token(action)?,
        Command::Identity { action } => keys::identity(action)?,
        Command::Config { action, source } => config::config(action, &source)?,
        Command::Eval { action: EvalAction::Retrieval(args) } => crate::eval::run(args).await?,
        Command::Eval { action: EvalAction::Guard(args) } => crate::guard::eval(&args)?,
        Command::Eval { action: EvalAction::Safety(args) } => crate::safety::eval(&args)?,
        Command::Guard { action: GuardAction::Fit(args) } => crate::guard::fit(&args)?,
        Command::Guard { action: GuardAction::FitInjection(args) } => crate::safety::fit_injection(&args)?,
        Command::Doctor(source) => return doctor::doctor(&source).await,
        Command::Healthcheck { admin } => return doctor::healthcheck(&admin).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "copydesk", &mut script);
            crate::out::text(&script)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
