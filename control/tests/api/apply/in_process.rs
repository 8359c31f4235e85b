//! The API in the same process, as what `linetap apply` calls.

use control::apply::{Plan, StackName, plan};
use control::client::{CallError, Ec2, Element, Objects, objects};
use control::ec2::{Access, Answer, Params};
use control::model::Model;

use crate::bench::{ALICE, Bench};

/// Answers calls until it has made so many changes.
pub(crate) struct InProcess<'b> {
    bench: &'b Bench,
    changes_left: usize,
}

impl Ec2 for InProcess<'_> {
    fn call(&mut self, action: &str, params: &Params) -> Result<Element, CallError> {
        if !action.starts_with("Describe") {
            let none = || CallError::Unanswered("the connection is lost".to_owned());
            self.changes_left = self.changes_left.checked_sub(1).ok_or_else(none)?;
        }
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut all = vec![pair("Version", "2016-11-15"), pair("Action", action)];
        all.extend(params.0.iter().cloned());
        let Answer { status, body } = self.bench.answer(ALICE, Access::ReadWrite, &Params(all));
        let root = Element::parse(&body).unwrap();
        if status == 200 {
            return Ok(root);
        }
        let error = root.child("Errors").and_then(|errors| errors.child("Error")).unwrap();
        let text = |name| error.text_of(name).unwrap().to_owned();
        Err(CallError::Refused { code: text("Code"), message: text("Message") })
    }
}

impl Bench {
    fn ec2(&self, changes_left: usize) -> InProcess<'_> {
        InProcess { bench: self, changes_left }
    }

    /// All objects.
    pub(crate) fn objects(&self) -> Objects {
        objects(&mut self.ec2(0)).unwrap()
    }

    /// What would be done.
    pub(crate) fn plan(&self, stack: &StackName, wanted: &Model) -> Plan {
        plan(stack, wanted, &self.objects().model).unwrap()
    }

    /// Makes a model true, but no more than so many changes. True when that was enough.
    pub(crate) fn apply(&self, stack: &StackName, wanted: &Model, changes: usize) -> bool {
        let plan = self.plan(stack, wanted);
        let shown = plan.to_string();
        match plan.carry_out(&mut self.ec2(changes), &mut |_| ()) {
            Ok(()) => true,
            Err(stopped) => {
                let told = stopped.to_string();
                assert!(told.contains("the connection is lost"), "{told}\n{shown}");
                false
            }
        }
    }
}
