//! Lists that come in pages.

use super::{CallError, Ec2, Element};
use crate::ec2::endpoint::Params;

/// Pages of one list: more than a server has that is in its right mind.
const PAGES_MAX: usize = 10_000;

/// Calls a describing action until its last page; the entries of all of them.
pub fn describe(
    ec2: &mut dyn Ec2,
    action: &str,
    set: &str,
    params: &Params,
) -> Result<Vec<Element>, CallError> {
    let mut found = Vec::new();
    let mut token: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let mut page = params.clone();
        page.0.extend(token.iter().map(|token| ("NextToken".to_owned(), token.clone())));
        let mut reply = ec2.call(action, &page)?;
        let entries = reply.children.iter_mut().find(|child| child.name == set);
        found.extend(entries.map(|set| std::mem::take(&mut set.children)).unwrap_or_default());
        let next = reply.text_of("nextToken").filter(|next| !next.is_empty());
        match next {
            None => return Ok(found),
            Some(next) if Some(next) == token.as_deref() => break,
            Some(next) => token = Some(next.to_owned()),
        }
    }
    let why = format!("{action} has no end: its pages name no further one, again and again");
    Err(CallError::Unanswered(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages `1`, `2`, … up to a last one; beyond `u32::MAX` always the same.
    struct Book(u32);

    impl Ec2 for Book {
        fn call(&mut self, action: &str, params: &Params) -> Result<Element, CallError> {
            let token = params.0.iter().find(|(name, _)| name == "NextToken");
            let at: u32 = token.map_or(1, |(_, token)| token.parse().unwrap());
            let next = match at {
                _ if self.0 == u32::MAX => "<nextToken>2</nextToken>".to_owned(),
                at if at < self.0 => format!("<nextToken>{}</nextToken>", at + 1),
                _ => String::new(),
            };
            assert_eq!((action, params.0[0].0.as_str()), ("DescribeTags", "Filter.1.Name"));
            let xml = format!("<r><tagSet><item>{at}</item></tagSet>{next}</r>");
            Ok(Element::parse(&xml).unwrap())
        }
    }

    fn read(book: u32) -> Result<Vec<String>, CallError> {
        let params = Params(vec![("Filter.1.Name".to_owned(), "key".to_owned())]);
        let found = describe(&mut Book(book), "DescribeTags", "tagSet", &params)?;
        Ok(found.into_iter().map(|entry| entry.text).collect())
    }

    #[test]
    fn all_pages_are_read_and_a_circle_is_left() {
        assert_eq!(read(1).unwrap(), ["1"]);
        assert_eq!(read(3).unwrap(), ["1", "2", "3"]);
        assert!(read(u32::MAX).unwrap_err().to_string().contains("has no end"));
    }
}
