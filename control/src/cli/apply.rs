//! `linetap apply`: a template against what the API says there is.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::Args;

use super::endpoint::Endpoint;
use super::{Failure, assignments, say};
use crate::apply::{StackName, faults, plan};
use crate::client::objects;
use crate::fault::Faults;
use crate::load::load_template;
use crate::model::Model;

/// The command line of `linetap apply`.
#[derive(Debug, Args)]
pub(super) struct Apply {
    /// The CloudFormation template, YAML or JSON.
    #[arg(value_name = "TEMPLATE")]
    template: PathBuf,
    /// The name that its objects go by; those of this name that the template does not have any more
    /// are deleted [default: the file's name without its ending].
    #[arg(long, value_name = "NAME")]
    stack: Option<StackName>,
    /// Give a parameter of the template a value.
    #[arg(long = "parameter", value_name = "KEY=VALUE")]
    parameters: Vec<String>,
    /// Only show what would be changed.
    #[arg(long)]
    dry_run: bool,
    /// Delete and replace without asking; only at a terminal is asked at all.
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    endpoint: Endpoint,
}

impl Apply {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let (stack, wanted) = self.read()?;
        let mut ec2 = self.endpoint.connect()?;
        let present = objects(&mut ec2).context("what there is can't be learned")?;
        let plan = plan(&stack, &wanted, &present.model)
            .map_err(|conflicts| anyhow!("{}\nnothing was changed", conflicts.join("\n")))?;
        say(&plan.to_string());
        if self.dry_run || plan.is_empty() {
            return Ok(());
        }
        if !self.yes && plan.deletes() && !is_confirmed().context("nobody can be asked")? {
            return Err(anyhow!("nothing was changed").into());
        }
        Ok(plan.carry_out(&mut ec2, &mut say).map_err(anyhow::Error::new)?)
    }

    /// The stack's name and the template. Errors: all that is wrong with both.
    fn read(&self) -> Result<(StackName, Model), Faults> {
        let (parameters, mut wrong) = assignments(&self.parameters);
        let stack = self.stack.clone().or_else(|| StackName::of_file(&self.template));
        if stack.is_none() {
            let message = format!(
                "{}: its name can't be that of a stack; give one with --stack",
                self.template.display()
            );
            wrong.0.extend(Faults::of_arguments([message]).0);
        }
        let model = wrong.and(load_template(&self.template, &parameters, faults))?;
        // A stack without a name was a fault.
        let none = || Faults::of_arguments(["give the stack a name with --stack".to_owned()]);
        Ok((stack.ok_or_else(none)?, model))
    }
}

/// Asks whether a plan that deletes is to be carried out. Who is no person has decided already.
fn is_confirmed() -> io::Result<bool> {
    if !io::stdin().is_terminal() {
        return Ok(true);
    }
    let mut out = io::stderr().lock();
    write!(out, "This deletes or replaces objects. Go on? [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}
