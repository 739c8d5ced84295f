#![allow(clippy::unwrap_used)]
use std::io::Cursor;

use proptest::prelude::*;
use tokio::io::BufReader;

use super::*;

const CSV: RowFormat = RowFormat::Csv {
    delimiter: b',',
    quote: Some(b'"'),
};

/// A row as it was read: what was found, its line, its values (or the line), and the place after it.
#[derive(Clone, Debug, PartialEq)]
struct Read {
    found: Found,
    line: u64,
    values: Vec<String>,
    after: (u64, u64),
}

/// Reads everything from a place on, in pieces of `piece` bytes.
fn read(text: &str, format: RowFormat, max: usize, piece: usize, from: (u64, u64)) -> Vec<Read> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let rest = text.as_bytes()[from.0 as usize..].to_vec();
    let input: Input = Box::pin(BufReader::with_capacity(piece, Cursor::new(rest)));
    let mut rows = Rows::new(input, format, max, from);
    let mut read = Vec::new();
    loop {
        let found = runtime.block_on(rows.next()).unwrap();
        if found == Found::End {
            return read;
        }
        let (values, ends) = rows.values();
        let mut start = 0;
        let mut values: Vec<String> = ends
            .iter()
            .take_while(|_| found == Found::Row)
            .map(|end| {
                let value = String::from_utf8(values[start..*end].to_vec()).unwrap();
                start = *end;
                value
            })
            .collect();
        if format == RowFormat::Lines {
            values = vec![String::from_utf8(rows.raw().to_vec()).unwrap()];
        }
        let (line, after) = (rows.line(), rows.place());
        read.push(Read {
            found,
            line,
            values,
            after,
        });
    }
}

fn shown(text: &str, format: RowFormat, max: usize) -> Vec<String> {
    read(text, format, max, 3, (0, 0))
        .iter()
        .map(|row| match row.found {
            Found::Row => format!("{}: {}", row.line, row.values.join("|")),
            other => format!("{}: {other:?}", row.line),
        })
        .collect()
}

#[test]
fn rows_know_the_line_that_they_begin_on() {
    for (text, expected) in [
        ("a,b\n1,2\n", vec!["1: a|b", "2: 1|2"]),
        ("a,b\r\n1,2\r\n3,4", vec!["1: a|b", "2: 1|2", "3: 3|4"]),
        ("\n\na\n\n\r\nb\n", vec!["3: a", "6: b"]),
        (
            "\"a\nb\",\"c \"\"d\"\"\"\ne,f\n",
            vec!["1: a\nb|c \"d\"", "3: e|f"],
        ),
        ("a,\n,b\n", vec!["1: a|", "2: |b"]),
        ("a b\" c\n", vec!["1: a b\" c"]),
        ("a b\" c", vec!["1: a b\" c"]),
        ("a\n\"b,\nc\nd", vec!["1: a", "2: OpenQuote"]),
        ("a\n\"", vec!["1: a", "2: OpenQuote"]),
        ("a\n\"b", vec!["1: a", "2: OpenQuote"]),
        ("a\n\"b\"", vec!["1: a", "2: b"]),
        ("", vec![]),
        ("\n", vec![]),
    ] {
        assert_eq!(shown(text, CSV, 100), expected, "{text:?}");
    }
}

#[test]
fn lines_end_at_line_ends_and_blank_ones_are_none() {
    for (text, expected) in [
        ("{}\n[1]\r\n", vec!["1: {}", "2: [1]"]),
        ("\n  \n{}\n\t\n{}", vec!["3: {}", "5: {}"]),
        ("\"a\n", vec!["1: \"a"]),
    ] {
        assert_eq!(shown(text, RowFormat::Lines, 100), expected, "{text:?}");
    }
}

#[test]
fn what_is_too_large_is_skipped_as_a_whole() {
    let blank = "\n".repeat(20);
    assert_eq!(shown(&format!("{blank}1\n"), CSV, 8), ["21: 1"]);
    let text = "123456789\n1,\"23\n45678\"\n\n12345678\n";
    let expected = ["1: TooLarge", "2: TooLarge", "5: 12345678"];
    assert_eq!(shown(text, CSV, 8), expected);
    let expected = ["1: TooLarge", "2: 1,\"23", "3: 45678\"", "5: 12345678"];
    assert_eq!(shown(text, RowFormat::Lines, 8), expected);
}

#[test]
fn a_delimiter_and_quotes_of_ones_own_are_heeded() {
    let semicolons = RowFormat::Csv {
        delimiter: b';',
        quote: Some(b'\''),
    };
    assert_eq!(
        shown("'a;b';c,\"d\"\n", semicolons, 100),
        ["1: a;b|c,\"d\""]
    );
    let unquoted = RowFormat::Csv {
        delimiter: b'\t',
        quote: None,
    };
    assert_eq!(shown("\"a\tb\n\"\n", unquoted, 100), ["1: \"a|b", "2: \""]);
}

#[test]
fn a_byte_order_mark_within_a_file_is_a_character() {
    let text = "a\n\u{feff}b\n";
    let rows = read(text, CSV, 100, 64, (0, 0));
    let resumed = read(text, CSV, 100, 64, rows[0].after);
    assert_eq!(resumed, rows[1..]);
    assert_eq!(resumed[0].values, ["\u{feff}b"]);
}

fn texts() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "a",
        "bc",
        "ü",
        ",",
        ",",
        "\n",
        "\n",
        "\r\n",
        "\"",
        "\"\"",
        "\"x\ny\"",
        " ",
        "{\"a\":1}",
    ]);
    prop::collection::vec(parts, 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn rows_do_not_depend_on_pieces_and_go_on_after_each_row(
        text in texts(),
        piece in 1..20_usize,
        max in 5..60_usize,
        lines: bool,
    ) {
        let format = if lines { RowFormat::Lines } else { CSV };
        let whole = read(&text, format, max, 4096, (0, 0));
        let pieces = read(&text, format, max, piece, (0, 0));
        prop_assert_eq!(&pieces, &whole);
        for (index, row) in whole.iter().enumerate() {
            let resumed = read(&text, format, max, piece, row.after);
            prop_assert_eq!(&resumed, &whole[index + 1..]);
        }
    }
}
