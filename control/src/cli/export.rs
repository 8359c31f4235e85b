//! `linetap export`: what the API says there is, as a template.

use std::io::{self, Write};

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};

use super::Failure;
use super::endpoint::Endpoint;
use crate::apply::StackName;
use crate::client::objects;
use crate::export::{self, export};
use crate::fault::quoted;

/// The command line of `linetap export`.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// Only what `linetap apply` made under this name, and what that uses.
    #[arg(long, value_name = "NAME")]
    stack: Option<StackName>,
    /// The language.
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    format: Format,
    #[command(flatten)]
    endpoint: Endpoint,
}

/// What templates are written in.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// With `!Ref`.
    Yaml,
    /// Indented.
    Json,
}

impl Export {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let mut ec2 = self.endpoint.connect()?;
        let objects = objects(&mut ec2).context("what there is can't be learned")?;
        let format = match self.format {
            Format::Yaml => export::Format::Yaml,
            Format::Json => export::Format::Json,
        };
        if let Some(stack) = &self.stack
            && !stack.is_of(&objects.model)
        {
            let name = quoted(stack.as_str());
            let message =
                anyhow!("there is nothing of a stack {name}; without --stack all is told");
            return Err(message.into());
        }
        let text = export(&objects, self.stack.as_ref(), format);
        // Half a template is worse than none: who reads it has to learn that it broke off.
        let mut out = io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        Ok(written.context("the template can't be printed")?)
    }
}
