//! Arguments that the commands of several kinds have.

use clap::Args;

use super::desk::{Desk, Step, tag_steps};
use super::form::Form;
use super::words::{Condition, Tag};
use crate::cli::Failure;
use crate::client::Noun;
use crate::fault::Faults;

/// What every new object can have.
#[derive(Debug, Clone, Args)]
pub(super) struct New {
    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// A tag; several if repeated. With the tag Name it can be called by that name.
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    tags: Vec<Tag>,
    /// Only tell whether it would be made.
    #[arg(long)]
    dry_run: bool,
    /// Print the object as `aws ec2 create-…` does.
    #[arg(long)]
    json: bool,
}

impl New {
    /// The same, and these tags.
    pub(super) fn and_tags(&self, tags: impl IntoIterator<Item = Tag>) -> Self {
        let mut all = self.clone();
        all.tags.extend(tags);
        all
    }

    /// Makes an object with this and what `form` has.
    pub(super) fn make(&self, desk: &mut Desk, form: Form) -> Result<(), Failure> {
        let form = form.maybe("Description", self.description.as_ref());
        let form = form.tags_of_new(desk.noun, &self.tags);
        desk.create(form, self.dry_run, self.json)
    }
}

/// What every change can have.
#[derive(Debug, Clone, Args)]
pub(super) struct Change {
    /// Set a tag; several if repeated.
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    tags: Vec<Tag>,
    /// Remove a tag; several if repeated.
    #[arg(long = "remove-tag", value_name = "KEY")]
    removed_tags: Vec<String>,
    /// Only tell whether it would be changed.
    #[arg(long)]
    dry_run: bool,
    /// Print the changed object as `aws ec2 describe-…` does.
    #[arg(long)]
    json: bool,
}

impl Change {
    /// The same; these tags are set and those with these keys removed, too.
    pub(super) fn and_tags(
        &self,
        set: impl IntoIterator<Item = Tag>,
        removed: impl IntoIterator<Item = String>,
    ) -> Self {
        let mut all = self.clone();
        all.tags.extend(set);
        all.removed_tags.extend(removed);
        all
    }

    /// Changes an object: this, and by `action` what `form` has, if anything.
    pub(super) fn make(
        &self,
        desk: &mut Desk,
        id: &str,
        action: &str,
        form: Form,
    ) -> Result<(), Failure> {
        let mut steps = tag_steps(id, &self.tags, &self.removed_tags);
        if !form.is_empty() {
            let form = form.with(desk.noun.id_parameter(), id);
            steps.insert(0, Step { action: action.to_owned(), form });
        }
        if steps.is_empty() {
            let told = "there is nothing to change; name at least one option (--help lists them)";
            return Err(Faults::of_arguments([told.to_owned()]).into());
        }
        desk.modify(id, &steps, self.dry_run, self.json)
    }
}

/// What is to be listed.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Conditions that all have to hold, as `aws ec2` takes them; `*` and `?` stand for others.
    #[arg(long, value_name = "Name=NAME,Values=VALUE,…", num_args = 1..)]
    filters: Vec<Condition>,
    /// Print what `aws ec2 describe-…` prints.
    #[arg(long)]
    pub(super) json: bool,
}

impl List {
    pub(super) fn form(&self) -> Form {
        Form::default().conditions(&self.filters)
    }
}

/// Which objects are to go.
#[derive(Debug, Args)]
pub(super) struct Delete {
    /// Their ids or names.
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// Only tell whether they would be deleted.
    #[arg(long)]
    dry_run: bool,
}

impl Delete {
    pub(super) fn run(&self, desk: &mut Desk) -> Result<(), Failure> {
        desk.delete(&self.ids, self.dry_run)
    }
}

/// Which object is to be shown.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// Its id or name.
    #[arg(value_name = "ID")]
    pub(super) id: String,
    /// Print what `aws ec2 describe-…` prints of it.
    #[arg(long)]
    pub(super) json: bool,
}

impl Desk {
    /// Prints the one object that is to be shown: as JSON, or by `show`.
    pub(super) fn show(
        &mut self,
        which: &Show,
        show: impl FnOnce(&mut Self, &crate::client::Element) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Noun { kind, .. } = self.noun;
        let id = self.id(*kind, &which.id)?;
        let object = self.one(*kind, &id)?;
        if which.json {
            self.say_json(&[object]);
            return Ok(());
        }
        show(self, &object)
    }

    /// Prints the objects that are to be listed: as JSON, or by `print`.
    pub(super) fn list(
        &mut self,
        which: &List,
        form: &Form,
        print: impl FnOnce(&[crate::client::Element]),
    ) -> Result<(), Failure> {
        let found = self.describe(self.noun.kind, form)?;
        if which.json {
            self.say_json(&found);
        } else {
            print(&found);
        }
        Ok(())
    }
}
