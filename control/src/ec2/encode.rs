//! EC2's XML, and ELB's: elements by their wire names, absent values left out, empty sets kept.

use std::borrow::Cow;
use std::fmt::Display;
use std::io;

use quick_xml::Writer;
use quick_xml::escape::partial_escape;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use super::endpoint::Dialect;

/// A document on its way.
pub(super) struct Xml {
    writer: Writer<Vec<u8>>,
    dialect: Dialect,
    request_id: String,
}

impl Xml {
    fn new(dialect: Dialect, request_id: &str) -> io::Result<Self> {
        let (writer, request_id) = (Writer::new(Vec::new()), request_id.to_owned());
        let mut xml = Self { writer, dialect, request_id };
        xml.write(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        Ok(xml)
    }

    /// The answer to an action, as far as all have it.
    pub(super) fn begin(dialect: Dialect, action: &str, request_id: &str) -> io::Result<Self> {
        let mut xml = Self::new(dialect, request_id)?;
        xml.open_root(&format!("{action}Response"))?;
        match dialect {
            Dialect::Ec2 => xml.text("requestId", request_id)?,
            Dialect::Elb => {
                xml.write(Event::Start(BytesStart::new(format!("{action}Result"))))?;
            }
        }
        Ok(xml)
    }

    fn open_root(&mut self, name: &str) -> io::Result<()> {
        let service = match self.dialect {
            Dialect::Ec2 => "ec2",
            Dialect::Elb => "elasticloadbalancing",
        };
        let version = self.dialect.version();
        let namespace = format!("http://{service}.amazonaws.com/doc/{version}/");
        let root = BytesStart::new(name);
        self.write(Event::Start(root.with_attributes([("xmlns", namespace.as_str())])))
    }

    /// The whole document.
    pub(super) fn finish(mut self, action: &str) -> io::Result<String> {
        if self.dialect == Dialect::Elb {
            self.write(Event::End(BytesEnd::new(format!("{action}Result"))))?;
            let request_id = self.request_id.clone();
            self.nest("ResponseMetadata", |xml| xml.text("RequestId", &request_id))?;
        }
        self.write(Event::End(BytesEnd::new(format!("{action}Response"))))?;
        self.into_text()
    }

    fn into_text(self) -> io::Result<String> {
        String::from_utf8(self.writer.into_inner()).map_err(io::Error::other)
    }

    fn write(&mut self, event: Event<'_>) -> io::Result<()> {
        self.writer.write_event(event)
    }

    /// An element with others in it.
    pub(super) fn nest(
        &mut self,
        name: &str,
        inner: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> io::Result<()> {
        self.write(Event::Start(BytesStart::new(name)))?;
        inner(self)?;
        self.write(Event::End(BytesEnd::new(name)))
    }

    /// An element with text in it.
    pub(super) fn text(&mut self, name: &str, text: &str) -> io::Result<()> {
        self.nest(name, |xml| xml.write(Event::Text(BytesText::from_escaped(escaped(text)))))
    }

    /// An element with a value in it; none when there is none: an empty number breaks clients.
    pub(super) fn optional(&mut self, name: &str, value: Option<impl Display>) -> io::Result<()> {
        value.map_or(Ok(()), |value| self.text(name, &value.to_string()))
    }

    /// A list, each entry in an `item`. It is there when it is empty, too: scripts look into it.
    pub(super) fn set<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut each: impl FnMut(&mut Self, T) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut items = items.into_iter().peekable();
        if items.peek().is_none() {
            return self.write(Event::Empty(BytesStart::new(name)));
        }
        self.nest(name, |xml| items.try_for_each(|item| xml.nest("item", |xml| each(xml, item))))
    }

    /// A list of words.
    pub(super) fn words<'t>(
        &mut self,
        name: &str,
        words: impl IntoIterator<Item = &'t str>,
    ) -> io::Result<()> {
        let mut words = words.into_iter().peekable();
        if words.peek().is_none() {
            return self.write(Event::Empty(BytesStart::new(name)));
        }
        self.nest(name, |xml| words.try_for_each(|word| xml.text("item", word)))
    }
}

/// Text as it may stand between two tags, so that every parser gives back the same.
fn escaped(text: &str) -> String {
    let is_odd = |letter: char| letter == '\r' || !is_xml(letter);
    if !text.contains(is_odd) {
        return partial_escape(text).into_owned();
    }
    let clean: Cow<'_, str> =
        text.chars().map(|it| if is_xml(it) { it } else { '\u{fffd}' }).collect();
    // Parsers make line feeds of carriage returns that are written as they are (XML 1.0 §2.11).
    partial_escape(clean.as_ref()).replace('\r', "&#13;")
}

/// True for what XML can hold, if escaped (XML 1.0 §2.2).
pub(super) fn is_xml(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
        || letter >= '\u{10000}'
}

/// An error, as the service puts it: EC2 with other names than answers have, and no namespace.
pub(super) fn error(dialect: Dialect, code: &str, message: &str, request_id: &str) -> String {
    let written = || -> io::Result<String> {
        let mut xml = Xml::new(dialect, request_id)?;
        match dialect {
            Dialect::Ec2 => xml.nest("Response", |xml| {
                xml.nest("Errors", |xml| {
                    xml.nest("Error", |xml| {
                        xml.text("Code", code)?;
                        xml.text("Message", message)
                    })
                })?;
                xml.text("RequestID", request_id)
            })?,
            Dialect::Elb => {
                xml.open_root("ErrorResponse")?;
                xml.nest("Error", |xml| {
                    xml.text("Type", "Sender")?;
                    xml.text("Code", code)?;
                    xml.text("Message", message)
                })?;
                xml.text("RequestId", request_id)?;
                xml.write(Event::End(BytesEnd::new("ErrorResponse")))?;
            }
        }
        xml.into_text()
    };
    // Memory takes everything.
    written().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        let mut xml = Xml::begin(Dialect::Ec2, "A", "r").unwrap();
        xml.text("t", "</t>&amp;<!--\"'\r\n\t ]]>\u{1}").unwrap();
        xml.set("none", [] as [u8; 0], |_, _| Ok(())).unwrap();
        xml.optional("absent", None::<u8>).unwrap();
        let body = xml.finish("A").unwrap();
        let want = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
                    <AResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>r</requestId>\
                    <t>&lt;/t&gt;&amp;amp;&lt;!--\"'&#13;\n\t ]]&gt;\u{fffd}</t><none/></AResponse>";
        assert_eq!(body, want);
    }
}
