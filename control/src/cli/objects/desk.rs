//! What all commands for objects do: ask, make, change, take away, print.

use anyhow::anyhow;
use serde_json::{Map, Value};

use super::form::Form;
use super::words::Tag;
use super::{names, remedy};
use crate::cli::endpoint::Endpoint;
use crate::cli::{Failure, complain, say};
use crate::client::{CallError, Connection, Ec2, Element, Noun, describe};
use crate::model::Kind;

/// The answer of EC2 to what would have been done.
const DRY_RUN: &str = "DryRunOperation";

/// One call of a change.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) action: String,
    pub(super) form: Form,
}

/// Where calls are made, for a command about one kind of objects.
#[derive(Debug)]
pub(super) struct Desk {
    connection: Connection,
    /// Nobody answered: nobody will answer what comes next.
    is_lost: bool,
    pub(super) noun: &'static Noun,
}

impl Desk {
    pub(super) fn open(kind: Kind, endpoint: &Endpoint) -> Result<Self, Failure> {
        let connection = endpoint.connect()?;
        Ok(Self { connection, is_lost: false, noun: Noun::of(kind) })
    }

    /// The objects of a kind that EC2 tells of.
    pub(super) fn describe(&mut self, kind: Kind, form: &Form) -> Result<Vec<Element>, Failure> {
        self.try_describe(kind, form).map_err(remedy::failure)
    }

    /// The same; the error is EC2's.
    fn try_describe(&mut self, kind: Kind, form: &Form) -> Result<Vec<Element>, CallError> {
        let Noun { base, element, .. } = Noun::of(kind);
        self.read(&format!("Describe{base}s"), &format!("{element}Set"), form)
    }

    fn read(&mut self, action: &str, set: &str, form: &Form) -> Result<Vec<Element>, CallError> {
        let found = describe(&mut self.connection, action, set, &form.0);
        self.is_lost |= matches!(found, Err(CallError::Unanswered(_)));
        found
    }

    /// The only object with this id.
    pub(super) fn one(&mut self, kind: Kind, id: &str) -> Result<Element, Failure> {
        let form = Form::default().list(&Noun::of(kind).id_parameter(), [id]);
        let found = self.describe(kind, &form)?.into_iter().next();
        found.ok_or_else(|| anyhow!("EC2 tells nothing of {id}").into())
    }

    /// The interface with this id, if the appliance file has it.
    pub(super) fn interface(&mut self, id: &str) -> Result<Option<Element>, Failure> {
        let form = Form::default().list("NetworkInterfaceId", [id]);
        first(self.read("DescribeNetworkInterfaces", "networkInterfaceSet", &form))
    }

    /// The object with this id, unless it is hidden: another account's may be.
    pub(super) fn seen(&mut self, kind: Kind, id: &str) -> Result<Option<Element>, Failure> {
        let form = Form::default().list(&Noun::of(kind).id_parameter(), [id]);
        first(self.try_describe(kind, &form))
    }

    /// The id behind a name, which may be an id itself.
    pub(super) fn id(&mut self, kind: Kind, name: &str) -> Result<String, Failure> {
        names::resolve(self, kind, name)
    }

    /// The same for a name that need not be given.
    pub(super) fn id_if_any(
        &mut self,
        kind: Kind,
        name: Option<&String>,
    ) -> Result<Option<String>, Failure> {
        name.map(|name| self.id(kind, name)).transpose()
    }

    /// Makes a call that changes something; with `is_dry`, only asks whether it would.
    fn change(&mut self, step: &Step, is_dry: bool) -> Result<Option<Element>, CallError> {
        let form = step.form.clone().maybe("DryRun", is_dry.then_some(true));
        match self.connection.call(&step.action, &form.0) {
            Err(CallError::Refused { code, .. }) if is_dry && code == DRY_RUN => Ok(None),
            outcome => {
                self.is_lost |= matches!(outcome, Err(CallError::Unanswered(_)));
                outcome.map(Some)
            }
        }
    }

    /// Makes an object and prints its id; with `json`, what EC2 answered.
    pub(super) fn create(&mut self, form: Form, is_dry: bool, json: bool) -> Result<(), Failure> {
        let Noun { base, element, shape, .. } = self.noun;
        let step = Step { action: format!("Create{base}"), form };
        let reply = self.change(&step, is_dry).map_err(remedy::failure)?;
        let Some(reply) = reply else {
            say_dry("it would be made");
            return Ok(());
        };
        let made = reply.child(element).cloned().unwrap_or_default();
        if json {
            let mut map = Map::new();
            map.insert((*base).to_owned(), shape.to_json(&made));
            let token = reply.text_of("clientToken").map(Value::from);
            map.extend(token.map(|token| ("ClientToken".to_owned(), token)));
            say(&format!("{:#}", Value::Object(map)));
        } else {
            say(self.noun.id_of(&made));
        }
        Ok(())
    }

    /// Makes all changes to one object, or none that EC2 would refuse now. Prints its id; with
    /// `json`, what became of it.
    pub(super) fn modify(
        &mut self,
        id: &str,
        steps: &[Step],
        is_dry: bool,
        json: bool,
    ) -> Result<(), Failure> {
        if is_dry || steps.len() > 1 {
            for step in steps {
                self.change(step, true).map_err(remedy::failure)?;
            }
        }
        if is_dry {
            say_dry("it would be changed");
            return Ok(());
        }
        for step in steps {
            self.change(step, false).map_err(remedy::failure)?;
        }
        if json {
            let object = self.one(self.noun.kind, id)?;
            say(&format!("{:#}", self.noun.to_json(&[object])));
        } else {
            say(id);
        }
        Ok(())
    }

    /// Deletes objects and prints the ids of those that are gone. What can't be deleted is told, and
    /// keeps none of the others.
    pub(super) fn delete(&mut self, named: &[String], is_dry: bool) -> Result<(), Failure> {
        let mut left = 0;
        // All names first: one may stand for what another deletes.
        let mut ids: Vec<String> = Vec::new();
        for name in named {
            let id = self.id(self.noun.kind, name);
            match self.tell(name, id, &mut left)? {
                Some(id) if !ids.contains(&id) => ids.push(id),
                _ => {}
            }
        }
        for id in ids {
            let form = Form::default().with(self.noun.id_parameter(), &id);
            let step = Step { action: format!("Delete{}", self.noun.base), form };
            let outcome = self.change(&step, is_dry).map_err(remedy::failure);
            match self.tell(&id, outcome, &mut left)? {
                Some(Some(_)) => say(&id),
                Some(None) => say_dry(&format!("{id} would be deleted")),
                None => {}
            }
        }
        if left == 0 {
            return Ok(());
        }
        let count = named.len();
        Err(anyhow!("{left} of {count} {} not deleted", if count == 1 { "is" } else { "are" })
            .into())
    }

    /// Tells why one of several came to nothing, and counts it. Errors: nobody answers, so none of
    /// them will come to anything.
    fn tell<T>(
        &self,
        name: &str,
        outcome: Result<T, Failure>,
        left: &mut usize,
    ) -> Result<Option<T>, Failure> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(Failure::Runtime(why)) if !self.is_lost => {
                *left += 1;
                complain(&format_args!("{name}: {why}"));
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Prints objects as `aws ec2 describe-…` does.
    pub(super) fn say_json(&self, objects: &[Element]) {
        say(&format!("{:#}", self.noun.to_json(objects)));
    }
}

/// The only entry of a list; none when EC2 knows none of what it was asked for.
fn first(found: Result<Vec<Element>, CallError>) -> Result<Option<Element>, Failure> {
    match found {
        Ok(found) => Ok(found.into_iter().next()),
        Err(CallError::Refused { .. }) => Ok(None),
        Err(error) => Err(remedy::failure(error)),
    }
}

fn say_dry(what: &str) {
    say(&format!("dry run: {what}; nothing was changed"));
}

/// The changes of an object's tags.
pub(super) fn tag_steps(id: &str, set: &[Tag], removed: &[String]) -> Vec<Step> {
    let of = || Form::default().list("ResourceId", [id]);
    let mut steps = Vec::new();
    if !set.is_empty() {
        steps.push(Step { action: "CreateTags".to_owned(), form: of().tags("Tag", set) });
    }
    if !removed.is_empty() {
        let keys = removed.iter().zip(1..);
        let form = keys.fold(of(), |form, (key, at)| form.with(format!("Tag.{at}.Key"), key));
        steps.push(Step { action: "DeleteTags".to_owned(), form });
    }
    steps
}
