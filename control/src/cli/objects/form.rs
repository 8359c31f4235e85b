//! The parameters of a call, gathered one by one.

use std::fmt::Display;

use engine::rule::PortRange;

use super::words::{Condition, Tag};
use crate::client::Noun;
use crate::ec2::endpoint::Params;

/// Parameters, by EC2's names.
#[derive(Debug, Clone, Default)]
pub(super) struct Form(pub(super) Params);

impl Form {
    /// One more.
    pub(super) fn with(mut self, name: impl Into<String>, value: impl Display) -> Self {
        self.0.0.push((name.into(), value.to_string()));
        self
    }

    /// One more, if there is a value.
    pub(super) fn maybe(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// A list: its entries are numbered from 1.
    pub(super) fn list(self, name: &str, values: impl IntoIterator<Item = impl Display>) -> Self {
        let numbered = values.into_iter().zip(1..);
        numbered.fold(self, |form, (value, at)| form.with(format!("{name}.{at}"), value))
    }

    /// Both ends of a range.
    pub(super) fn ports(self, name: &str, range: Option<PortRange>) -> Self {
        let Some(PortRange { from, to }) = range else { return self };
        self.with(format!("{name}.FromPort"), from).with(format!("{name}.ToPort"), to)
    }

    /// Tags in a list of this name.
    pub(super) fn tags(self, list: &str, tags: &[Tag]) -> Self {
        tags.iter().zip(1..).fold(self, |form, (tag, at)| {
            form.with(format!("{list}.{at}.Key"), &tag.key)
                .with(format!("{list}.{at}.Value"), &tag.value)
        })
    }

    /// Tags of an object that is to be made.
    pub(super) fn tags_of_new(self, noun: &Noun, tags: &[Tag]) -> Self {
        if tags.is_empty() {
            return self;
        }
        self.with("TagSpecification.1.ResourceType", noun.resource)
            .tags("TagSpecification.1.Tag", tags)
    }

    /// Conditions of a list.
    pub(super) fn conditions(self, conditions: &[Condition]) -> Self {
        conditions.iter().zip(1..).fold(self, |form, (condition, at)| {
            form.with(format!("Filter.{at}.Name"), &condition.name)
                .list(&format!("Filter.{at}.Value"), &condition.values)
        })
    }

    /// True when nothing was gathered.
    pub(super) fn is_empty(&self) -> bool {
        self.0.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;

    #[test]
    fn parameters_have_their_names_on_the_wire() {
        let tag = Tag { key: "k".to_owned(), value: String::new() };
        let condition = "Name=n,Values=a,b".parse().unwrap();
        let form = Form::default()
            .maybe("Protocol", None::<u8>)
            .ports("SourcePortRange", Some(PortRange { from: 1, to: 2 }))
            .tags_of_new(Noun::of(Kind::Rule), &[tag])
            .conditions(&[condition]);
        let told: Vec<String> = form.0.0.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(
            told,
            [
                "SourcePortRange.FromPort=1",
                "SourcePortRange.ToPort=2",
                "TagSpecification.1.ResourceType=traffic-mirror-filter-rule",
                "TagSpecification.1.Tag.1.Key=k",
                "TagSpecification.1.Tag.1.Value=",
                "Filter.1.Name=n",
                "Filter.1.Value.1=a",
                "Filter.1.Value.2=b",
            ]
        );
        assert!(Form::default().tags_of_new(Noun::of(Kind::Rule), &[]).is_empty());
    }
}
