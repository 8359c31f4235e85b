//! Objects as rows of tables.

use super::names::name_of;
use crate::cli::say;
use crate::client::Element;
use crate::explain::protocol_name;
use crate::fault::printable;
use crate::report::grid;

/// What stands where there is nothing.
const NOTHING: &str = "-";

/// Prints a table. Headings that begin with a space are of numbers.
pub(super) fn print(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    say(&text(headings, rows));
}

/// The same as text.
pub(super) fn text(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = grid::table(headings);
    for row in rows {
        // A cell is one line, whatever a tag has in it.
        table.add_row(row.iter().map(|cell| printable(cell).into_owned()));
    }
    grid::lines(&table)
}

/// A value, or a mark that there is none.
pub(super) fn cell(object: &Element, element: &str) -> String {
    object.text_of(element).filter(|text| !text.is_empty()).unwrap_or(NOTHING).to_owned()
}

pub(super) fn name(object: &Element) -> String {
    name_of(object).filter(|name| !name.is_empty()).unwrap_or(NOTHING).to_owned()
}

/// Words of a set.
pub(super) fn words(object: &Element, set: &str) -> String {
    let words: Vec<&str> = object.items(set).map(|word| word.text.as_str()).collect();
    if words.is_empty() { NOTHING.to_owned() } else { words.join(", ") }
}

/// Where a target sends to.
pub(super) fn destination(target: &Element) -> String {
    let ways = ["networkInterfaceId", "networkLoadBalancerArn", "gatewayLoadBalancerEndpointId"];
    let id = ways.into_iter().find_map(|way| target.text_of(way));
    id.unwrap_or(NOTHING).to_owned()
}

/// The headings of [`rule`].
pub(super) const RULE: [&str; 7] =
    [" NUMBER", "ACTION", "PROTOCOL", "SOURCE", "PORTS", "DESTINATION", "PORTS"];

/// What a rule says, but for its direction.
pub(super) fn rule(rule: &Element) -> Vec<String> {
    let protocol = match rule.text_of("protocol") {
        None => "all".to_owned(),
        Some(text) => text.parse().map_or_else(|_| text.to_owned(), protocol_name),
    };
    vec![
        cell(rule, "ruleNumber"),
        cell(rule, "ruleAction"),
        protocol,
        cell(rule, "sourceCidrBlock"),
        ports(rule, "sourcePortRange"),
        cell(rule, "destinationCidrBlock"),
        ports(rule, "destinationPortRange"),
    ]
}

fn ports(rule: &Element, element: &str) -> String {
    let Some(range) = rule.child(element) else { return "all".to_owned() };
    match (range.text_of("fromPort"), range.text_of("toPort")) {
        (Some(from), Some(to)) if from == to => from.to_owned(),
        (from, to) => format!("{}-{}", from.unwrap_or_default(), to.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_one_line_and_fit_for_a_terminal() {
        let xml = "<item><ruleNumber>7</ruleNumber><ruleAction>accept</ruleAction>\
            <protocol>6</protocol><sourceCidrBlock>::/0</sourceCidrBlock><destinationCidrBlock>\
            2001:db8::/32</destinationCidrBlock><destinationPortRange><fromPort>1</fromPort>\
            <toPort>2</toPort></destinationPortRange><description>a&#10;b&#27;[2J</description>\
            </item>";
        let item = Element::parse(xml).unwrap();
        let row = [rule(&item), vec![cell(&item, "description"), name(&item)]].concat();
        let headings = [&RULE[..], &["DESCRIPTION", "NAME"]].concat();
        let told = text(&headings, [row]);
        let lines: Vec<Vec<&str>> =
            told.lines().map(|line| line.split_whitespace().collect()).collect();
        let want = "7 accept tcp ::/0 all 2001:db8::/32 1-2 a\\nb\\u{1b}[2J -";
        assert_eq!(lines.len(), 2, "{told}");
        assert_eq!(lines[1].join(" "), want);
    }
}
