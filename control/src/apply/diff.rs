//! A plan as people read it: what is made, changed, replaced and deleted, property by property.

use std::borrow::Cow;
use std::fmt;

use super::ownership::{LOGICAL_ID, STACK};
use super::plan::{Change, Mark, Plan};
use super::properties::{Difference, Value};
use crate::fault::printable;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in &self.changes {
            writeln!(f, "{change}")?;
        }
        for note in &self.notes {
            writeln!(f, "  {note}")?;
        }
        let stack = self.stack.as_str();
        if self.is_empty() {
            return write!(f, "stack {stack}: nothing to change");
        }
        let count = |mark: fn(&Mark) -> bool| {
            self.changes.iter().filter(|change| mark(&change.mark)).count()
        };
        write!(
            f,
            "stack {stack}: {} to create, {} to modify, {} to replace, {} to delete",
            count(|mark| *mark == Mark::Create),
            count(|mark| *mark == Mark::Modify),
            count(|mark| matches!(mark, Mark::Replace(_))),
            count(|mark| *mark == Mark::Delete),
        )
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match &self.mark {
            Mark::Create => "+",
            Mark::Modify => "~",
            Mark::Replace(_) => "-/+",
            Mark::Delete => "-",
        };
        write!(f, "{sign} {} {}", self.kind, printable(&self.logical_id))?;
        if let Some(id) = &self.id {
            write!(f, " ({id})")?;
        }
        if let Mark::Replace(forced) = &self.mark {
            write!(f, ", because of {}", forced.join(" and "))?;
        }
        let text = |value: &Option<Value>| value.as_ref().map(ToString::to_string);
        for Difference { name, old, new } in &self.differences {
            self.line(f, name, text(old).as_deref(), text(new).as_deref())?;
        }
        let is_own = |key: &str| key == STACK || key == LOGICAL_ID;
        for (key, value) in self.tags.set.iter().filter(|(key, _)| !is_own(key)) {
            let old = self.tags.old.iter().find(|(other, _)| other == key);
            self.line(
                f,
                &format!("Tags.{key}"),
                old.map(|(_, value)| value.as_str()),
                Some(value),
            )?;
        }
        for (key, value) in self.tags.unset.iter().filter(|(key, _)| !is_own(key)) {
            self.line(f, &format!("Tags.{key}"), Some(value), None)?;
        }
        Ok(())
    }
}

impl Change {
    /// A property; of new objects there is nothing old to tell.
    fn line(
        &self,
        f: &mut fmt::Formatter<'_>,
        name: &str,
        old: Option<&str>,
        new: Option<&str>,
    ) -> fmt::Result {
        write!(f, "\n    {}: ", printable(name))?;
        if self.mark != Mark::Create {
            write!(f, "{} -> ", shown(old))?;
        }
        f.write_str(&shown(new))
    }
}

fn shown(value: Option<&str>) -> Cow<'_, str> {
    value.map_or("none".into(), printable)
}
