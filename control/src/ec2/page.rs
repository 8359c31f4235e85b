//! `MaxResults` and `NextToken`: a long list in pieces.
//!
//! A token names the last entry that was shown, by a place in an order that never changes. So what
//! is made and deleted between two pages neither hides nor doubles what was there all the time.

use ring::digest::{Context, SHA256};

use super::decode::Request;
use super::error::Error;

/// EC2 API Reference: `MaxResults` is 5 to 1000. Without it there are as many as it may be: an
/// answer has a limit, and clients go on by themselves.
const RESULTS_MIN: usize = 5;
const RESULTS_MAX: usize = 1000;
/// Bytes of a token that tell what it is for.
const MARK_BYTES: usize = 4;

/// Which piece is wanted.
#[derive(Debug)]
pub(super) struct Page {
    max: usize,
    /// The place of the last entry shown.
    behind: Option<String>,
    /// What list of whom it is a piece of.
    list: String,
}

impl Page {
    /// Reads both parameters. Errors: out of range, or a token of another list.
    pub(super) fn of(request: &Request<'_>, list: &str, account: &str) -> Result<Self, Error> {
        let max = match request.text("MaxResults")? {
            None => RESULTS_MAX,
            Some(text) => {
                let max = text.parse().ok().filter(|max| (RESULTS_MIN..=RESULTS_MAX).contains(max));
                max.ok_or_else(|| {
                    let message = format!(
                        "Value ({text}) for parameter MaxResults is invalid. Give a whole number \
                         from {RESULTS_MIN} to {RESULTS_MAX}."
                    );
                    Error::new("InvalidMaxResults", 400, message)
                })?
            }
        };
        let list = format!("{list} {account}");
        let behind = match request.text("NextToken")?.filter(|token| !token.is_empty()) {
            None => None,
            Some(token) => Some(place_of(&token, &list).ok_or_else(Self::bad_token)?),
        };
        Ok(Self { max, behind, list })
    }

    fn bad_token() -> Error {
        let message = "The NextToken is not valid here: give the one of the last answer, to the \
                       same action.";
        Error::new("InvalidNextToken", 400, message)
    }

    /// The place behind which this page begins.
    pub(super) fn behind(&self) -> Option<&str> {
        self.behind.as_deref()
    }

    /// The same for places that are numbers. Errors: it is none.
    pub(super) fn behind_number(&self) -> Result<Option<u64>, Error> {
        let number = |place: &str| u64::from_str_radix(place, 16).map_err(|_| Self::bad_token());
        self.behind().map(number).transpose()
    }

    /// Fills the page with entries from behind its place, and gives the next one's token.
    pub(super) fn fill<T>(
        &self,
        entries: impl IntoIterator<Item = T>,
        place: impl Fn(&T) -> String,
    ) -> (Vec<T>, Option<String>) {
        let mut entries = entries.into_iter();
        let shown: Vec<T> = entries.by_ref().take(self.max).collect();
        let next = entries.next().and(shown.last()).map(|last| token(&place(last), &self.list));
        (shown, next)
    }
}

/// A number as a place.
pub(super) fn number_place(number: u64) -> String {
    format!("{number:x}")
}

fn token(place: &str, list: &str) -> String {
    format!("{}{}", hex::encode(mark(place, list)), hex::encode(place))
}

fn place_of(token: &str, list: &str) -> Option<String> {
    let bytes = hex::decode(token).ok()?;
    let (found, place) = bytes.split_at_checked(MARK_BYTES)?;
    let place = String::from_utf8(place.to_vec()).ok()?;
    (mark(&place, list) == found).then_some(place)
}

fn mark(place: &str, list: &str) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    for part in [list, "\n", place] {
        context.update(part.as_bytes());
    }
    context.finish().as_ref().iter().take(MARK_BYTES).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::Params;

    fn page(pairs: &[(&str, &str)], list: &str) -> Result<Page, Error> {
        let pairs = pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        Page::of(&Request::of(&Params(pairs.collect())).unwrap(), list, "1")
    }

    #[test]
    fn pages_join_without_gap_or_overlap_and_end() {
        let mut behind: Option<String> = None;
        let mut seen = Vec::new();
        for size in [5, 5, 2] {
            let mut pairs = vec![("MaxResults", "5")];
            pairs.extend(behind.as_deref().map(|token| ("NextToken", token)));
            let page = page(&pairs, "a").unwrap();
            let from = page.behind_number().unwrap().map_or(0, |place| place + 1);
            let (shown, next) = page.fill(from..12u64, |at| number_place(*at));
            assert_eq!(shown.len(), size);
            seen.extend(shown);
            behind = next;
        }
        assert_eq!(seen, (0..12).collect::<Vec<_>>());
        assert_eq!(behind, None, "the last page has no token");
        let (_, next) = page(&[("MaxResults", "5")], "a").unwrap().fill(0..5, |_| String::new());
        assert_eq!(next, None, "a full last page neither");
    }

    #[test]
    fn tokens_of_other_lists_and_forged_ones_are_refused() {
        let good = token("7", "a 1");
        assert!(page(&[("NextToken", &good)], "a").is_ok());
        assert_eq!(page(&[("NextToken", &good)], "b").unwrap_err().code(), "InvalidNextToken");
        for bad in ["tok-page-2", "00", "zz", "é", &good[1..], &format!("{good}00")] {
            let refused = page(&[("NextToken", bad)], "a").unwrap_err();
            assert_eq!(refused.code(), "InvalidNextToken", "{bad}");
        }
    }

    #[test]
    fn sizes_of_pages_have_limits() {
        for bad in ["4", "1001", "", "-5", "x"] {
            let refused = page(&[("MaxResults", bad)], "a").unwrap_err();
            assert_eq!(refused.code(), "InvalidMaxResults", "{bad}");
        }
        assert!(page(&[("MaxResults", "5")], "a").is_ok());
        assert!(page(&[("MaxResults", "1000")], "a").is_ok());
    }
}
