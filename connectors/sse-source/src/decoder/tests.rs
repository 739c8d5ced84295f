//! The decoder against the standard's examples, hostile input, and another parser.
#![allow(clippy::unwrap_used)]

use futures::{FutureExt, StreamExt, stream};
use proptest::prelude::*;

use super::*;

fn decode_chunks<'a>(limit: usize, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<ServerEvent> {
    let mut decoder = Decoder::new(limit, "".into());
    for chunk in chunks {
        decoder.feed(chunk);
    }
    std::iter::from_fn(|| decoder.next_event()).collect()
}

fn decode(text: &[u8]) -> Vec<(String, String, Option<String>)> {
    decode_chunks(1000, [text])
        .into_iter()
        .map(|event| {
            let data = event
                .data
                .map(|data| String::from_utf8_lossy(&data).into_owned());
            (event.kind, event.id.to_string(), data)
        })
        .collect()
}

fn message(id: &str, data: &str) -> (String, String, Option<String>) {
    ("message".into(), id.into(), Some(data.into()))
}

#[test]
fn the_examples_of_the_standard() {
    for (text, expected) in [
        (
            "data: YHOO\ndata: +2\ndata: 10\n\n",
            vec![message("", "YHOO\n+2\n10")],
        ),
        (
            ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            vec![
                message("1", "first event"),
                message("", "second event"),
                message("", " third event"),
            ],
        ),
        (
            "data\n\ndata\ndata\n\ndata:",
            vec![message("", ""), message("", "\n")],
        ),
        (
            "data:test\n\ndata: test\n\n",
            vec![message("", "test"), message("", "test")],
        ),
    ] {
        assert_eq!(decode(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn lines_end_in_every_way() {
    for end in ["\n", "\r", "\r\n"] {
        let text =
            format!("id: 7{end}event: add{end}data: a{end}data: b{end}{end}data: c{end}{end}");
        let expected = [
            ("add".to_owned(), "7".to_owned(), Some("a\nb".to_owned())),
            message("7", "c"),
        ];
        assert_eq!(decode(text.as_bytes()), expected, "{end:?}");
    }
}

#[test]
fn a_byte_order_mark_counts_only_at_the_start() {
    assert_eq!(decode(b"\xEF\xBB\xBFdata: a\n\n"), [message("", "a")]);
    assert_eq!(
        decode(b"data: a\n\xEF\xBB\xBFdata: b\n\n"),
        [message("", "a")]
    );
}

#[test]
fn an_id_stays_and_counts_without_data() {
    assert_eq!(
        decode(b"id: 1\ndata: a\n\nid: 2\n\ndata: b\n\nid: 3\0\ndata: c\n\n"),
        [message("1", "a"), message("2", "b"), message("2", "c")]
    );
}

#[test]
fn bytes_that_are_not_utf_8_stay_as_they_are() {
    let events = decode_chunks(100, [&b"data: \xFF\n\ndata: b\n\n"[..]]);
    assert_eq!(events[0].data.as_deref(), Some(&b"\xFF"[..]));
    assert_eq!(events[1].data.as_deref(), Some(&b"b"[..]));
}

#[test]
fn an_event_beyond_the_limit_is_told_without_its_data() {
    let line = "x".repeat(200);
    let many = "data: xxxxxxxxxx\n".repeat(20);
    for text in [
        format!("id: 1\ndata: {line}\n\ndata: next\n\n"),
        format!("id: 1\n{many}\ndata: next\n\n"),
    ] {
        for size in [1, 7, 1000] {
            let events = decode_chunks(100, text.as_bytes().chunks(size));
            assert_eq!(events.len(), 2, "{size}");
            assert_eq!((&*events[0].id, &events[0].data), ("1", &None));
            assert_eq!(events[1].data.as_deref(), Some(&b"next"[..]));
        }
    }
}

#[test]
fn a_long_comment_is_no_event() {
    let text = format!(":{}\n\ndata: a\n\n", "x".repeat(200));
    for size in [1, 1000] {
        let events = decode_chunks(100, text.as_bytes().chunks(size));
        assert_eq!(events.len(), 1, "{size}");
    }
}

#[test]
fn the_server_may_ask_for_a_pause() {
    let mut decoder = Decoder::new(100, "".into());
    decoder.feed(b"retry: 2500\nretry: soon\nretry:\n\n");
    assert_eq!(decoder.take_retry(), Some(Duration::from_millis(2500)));
    assert_eq!(decoder.take_retry(), None);
}

#[test]
fn an_event_that_was_cut_off_is_none() {
    assert_eq!(decode(b"data: a\n"), []);
}

/// What another parser makes of the same text; it gives blocks without data, too, and no ids of
/// earlier blocks.
fn reference(text: &[u8]) -> Vec<(String, String, Option<String>)> {
    let input = stream::iter([Ok::<_, std::io::Error>(Bytes::copy_from_slice(text))]);
    let blocks = sse_stream::SseByteStream::new(input)
        .collect::<Vec<_>>()
        .now_or_never()
        .unwrap();
    let mut id = String::new();
    let mut events = Vec::new();
    for block in blocks {
        let block = block.unwrap();
        id = block.id.unwrap_or(id);
        if let Some(data) = block.data {
            let kind = block.event.filter(|kind| !kind.is_empty());
            events.push((kind.unwrap_or("message".into()), id.clone(), Some(data)));
        }
    }
    events
}

/// Streams made of what matters to the syntax.
fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("\n"),
        Just("\r"),
        Just("\r\n"),
        Just("data"),
        Just("id"),
        Just("event"),
        Just("retry"),
        Just(":"),
        Just(" "),
        Just("1"),
        Just("é"),
        Just("\u{feff}"),
        Just("\0"),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn another_parser_finds_the_same_events(text in any_stream()) {
        prop_assert_eq!(decode(&text), reference(&text));
    }

    #[test]
    fn chunks_make_no_difference(text in any_stream(), limit in 1_usize..40, size in 1_usize..9) {
        let whole = decode_chunks(limit, [&text[..]]);
        let pieces = decode_chunks(limit, text.chunks(size));
        prop_assert_eq!(whole, pieces);
    }
}
