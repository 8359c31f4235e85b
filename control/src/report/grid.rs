//! Tables for a terminal.

use comfy_table::{CellAlignment, Table, presets};

use crate::fault::printable;

/// A table whose columns are to the right where their heading begins with a space.
pub(crate) fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(headings.iter().map(|text| text.trim()));
    for (column, heading) in table.column_iter_mut().zip(headings) {
        column.set_padding((0, 2));
        if heading.starts_with(' ') {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Its lines. Whatever names hold, it is fit for a terminal.
pub(crate) fn lines(table: &Table) -> String {
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(&printable(line.trim_end()));
        text.push('\n');
    }
    text
}
