//! An [`super::outcome::Outcome`] for people: tables for a terminal, and a page with plots.

pub mod figures;
pub mod mirror;
pub mod table;
mod plot;
mod plots;
pub mod page;

#[cfg(test)]
mod tests;
