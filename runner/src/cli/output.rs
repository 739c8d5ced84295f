//! Printing: tables for people, JSON for programs.

use std::io::Write;

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// A table.
    Table,
    /// JSON, as the worker answers it.
    Json,
}

/// Prints a line. A reader that has gone away (`| head`) is no error.
pub(super) fn line(text: &str) {
    let _ = try_line(text);
}

/// Prints a line, for those who stop once nobody reads what they print.
pub(super) fn try_line(text: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{text}")
}

/// Says something beside what is printed, on standard error.
pub(super) fn note(text: &str) {
    for line in text.lines() {
        let _ = writeln!(std::io::stderr(), "penstock: {line}");
    }
}

/// Prints objects with these fields as columns.
pub(super) fn rows(format: Format, value: &Value, columns: &[&str]) {
    if format == Format::Json {
        return json(value);
    }
    let one = std::slice::from_ref(value);
    let rows = value.as_array().map_or(one, Vec::as_slice);
    let mut table = Table::new();
    // Terminals of containers and of build servers may not say how wide they are.
    let arrangement = match table.width() {
        Some(0) => ContentArrangement::Disabled,
        _ => ContentArrangement::Dynamic,
    };
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(arrangement);
    table.set_header(columns.iter().map(|column| heading(column)));
    for row in rows {
        table.add_row(columns.iter().map(|column| cell(&row[*column])));
    }
    line(&table.trim_fmt());
}

/// A field's name as people read it: `schemaRef` is `SCHEMA REF`.
fn heading(field: &str) -> String {
    let mut words = String::new();
    for c in field.chars() {
        if c.is_uppercase() {
            words.push(' ');
        }
        words.push(if c == '_' {
            ' '
        } else {
            c.to_ascii_uppercase()
        });
    }
    words
}

/// Prints a value as indented JSON.
pub(super) fn json(value: &Value) {
    line(&serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string()));
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_words() {
        for (field, words) in [
            ("name", "NAME"),
            ("derived_from", "DERIVED FROM"),
            ("schemaRef", "SCHEMA REF"),
        ] {
            assert_eq!(heading(field), words);
        }
    }
}
