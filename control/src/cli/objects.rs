//! `linetap target|filter|rule|session`: the four kinds of objects, through the EC2 API; and
//! `linetap tool`: the members behind targets, through the same one.
//!
//! Options are named as EC2's fields, in short; the spelling of `aws ec2` is taken, too. Objects are
//! named by their ids, or by the tag `Name` where only one has it ([`names`]).

mod words;
mod form;
mod remedy;
mod desk;
mod names;
mod arguments;
mod rows;
mod show;
mod target;
mod filter;
mod rule;
mod session;
mod tool;

pub(super) use filter::Filter;
pub(super) use rule::Rule;
pub(super) use session::Session;
pub(super) use target::Target;
pub(super) use tool::Tool;
