//! EC2's XML as a tree: elements, their text and what is in them.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;
use thiserror::Error;

/// Elements in each other, at most. EC2's own replies have six.
const DEPTH_MAX: usize = 32;

/// What is no reply of EC2.
#[derive(Debug, Error)]
pub enum BadReply {
    /// No XML.
    #[error("it is not XML: {0}")]
    Xml(#[from] quick_xml::Error),
    /// XML of another kind.
    #[error("{0}")]
    Form(&'static str),
}

/// An element: a value with text, or others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    /// Its name on the wire, without a namespace.
    pub name: String,
    /// The text in it, references resolved.
    pub text: String,
    /// The elements in it, in order.
    pub children: Vec<Element>,
}

impl Element {
    /// Reads a whole document; its root.
    pub fn parse(xml: &str) -> Result<Self, BadReply> {
        let mut reader = Reader::from_str(xml);
        // The elements that are open; the first holds the root in the end.
        let mut open = vec![Self::default()];
        loop {
            match reader.read_event()? {
                Event::Start(start) => {
                    if open.len() > DEPTH_MAX {
                        return Err(BadReply::Form("its elements are too deep in each other"));
                    }
                    open.push(Self::named(start.local_name().into_inner()));
                }
                Event::Empty(start) => {
                    Self::last(&mut open)?
                        .children
                        .push(Self::named(start.local_name().into_inner()));
                }
                Event::End(_) => {
                    let done = open.pop().ok_or(BadReply::Form("it ends too often"))?;
                    Self::last(&mut open)?.children.push(done);
                }
                Event::Text(text) => Self::last(&mut open)?.text.push_str(&text.xml10_content()),
                Event::CData(text) => Self::last(&mut open)?.text.push_str(&text.xml10_content()),
                Event::GeneralRef(reference) => {
                    let number = reference.resolve_char_ref()?;
                    let name = reference.xml10_content();
                    let text = &mut Self::last(&mut open)?.text;
                    match (number, resolve_predefined_entity(&name)) {
                        (Some(number), _) => text.push(number),
                        (None, Some(known)) => text.push_str(known),
                        (None, None) => return Err(BadReply::Form("it has an unknown reference")),
                    }
                }
                Event::Eof => break,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
        match (open.len(), open.pop().and_then(|mut outside| outside.children.pop())) {
            (1, Some(root)) => Ok(root),
            _ => Err(BadReply::Form("it ends in the middle")),
        }
    }

    fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    fn last(open: &mut [Self]) -> Result<&mut Self, BadReply> {
        open.last_mut().ok_or(BadReply::Form("it ends too often"))
    }

    /// The first element of this name in it.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first element of this name in it. `None`: it has none.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// The entries of a set in it; none when there is no such set.
    pub fn items<'a>(&'a self, set: &str) -> impl Iterator<Item = &'a Self> {
        self.child(set).into_iter().flat_map(|set| &set.children)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_sets_and_references_are_read() {
        let xml = "<?xml version=\"1.0\"?>\n<R xmlns=\"x\"><requestId>a&amp;b&#x41; </requestId>\
                   <set><item><k>1</k></item><item><k/></item></set><empty/><![CDATA[<]]></R>";
        let root = Element::parse(xml).unwrap();
        assert_eq!(
            (root.name.as_str(), root.text_of("requestId"), root.text.as_str()),
            ("R", Some("a&bA "), "<")
        );
        let found: Vec<_> = root.items("set").map(|item| item.text_of("k")).collect();
        assert_eq!(found, [Some("1"), Some("")]);
        assert_eq!((root.items("empty").count(), root.items("none").count()), (0, 0));
        assert_eq!(root.text_of("none"), None);
    }

    #[test]
    fn what_is_no_reply_is_told() {
        let deep = "<a>".repeat(100_000);
        for odd in
            ["", "no", "<a>", "<a><b></a>", "</a>", "<a>&what;</a>", "<a>&#xD800;</a>", &deep]
        {
            assert!(Element::parse(odd).is_err(), "{odd:.20}");
        }
    }
}
