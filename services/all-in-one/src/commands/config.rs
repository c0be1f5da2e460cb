//! `config`: what is in force, whether it is good, what could be set.
use anyhow::Context;

use crate::cli::{ConfigAction, SourceArgs};
use crate::config::Config;

pub(super) fn config(action: ConfigAction, source: &SourceArgs) -> anyhow::Result<()> {
    let load = || Config::load(source.config.as_deref(), &source.data, source.settings.clone());
    match action {
        // Secrets serialise as ***.
        ConfigAction::Show => {
            let text = toml::to_string_pretty(&load()?).context("cannot write the configuration")?;
            crate::out::text(text.as_bytes())?;
        }
        ConfigAction::Check => {
            load()?;
            outln!("the configuration is good")?;
        }
        ConfigAction::Default => {
            let text = toml::to_string_pretty(&Config::default()).context("cannot write the defaults")?;
            outln!(
                "# Every setting with its default. `copydesk config schema` says what each means.\n{text}"
            )?;
        }
        ConfigAction::Schema => outln!("{}", serde_json::to_string_pretty(&schemars::schema_for!(Config))?)?,
    }
    Ok(())
}
