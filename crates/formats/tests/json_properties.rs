//! Properties of JSON payloads over generated texts and edits, with serde_json as the oracle.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod damage;

use damage::{damage, damaged};
use penstock_formats::json::check_grammar;
use penstock_formats::{
    EditBuffer, Encoding, FieldPath, Fields, Found, Limits, Payload, Scalar, Value,
};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json, json};

const NAMES: [&str; 5] = ["a", "b", "c", "d.ü", "q\"\\"];

fn text() -> impl Strategy<Value = String> {
    let c = prop_oneof![
        4 => proptest::char::range('a', 'z'),
        1 => proptest::sample::select(vec!['"', '\\', '/', '\n', '\u{1}', 'ü', '漢', '😀', ',', '}', '{', '[', ']', ':']),
    ];
    vec(c, 0..12).prop_map(String::from_iter)
}

fn tree() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        any::<i64>().prop_map(|v| json!(v)),
        any::<u64>().prop_map(|v| json!(v)),
        (-1e9..1e9_f64).prop_map(|v| json!(v)),
        text().prop_map(Json::String),
    ];
    let inner = leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            1 => vec(inner.clone(), 0..4).prop_map(Json::Array),
            2 => object(inner),
        ]
    });
    object(inner)
}

fn object(inner: impl Strategy<Value = Json>) -> impl Strategy<Value = Json> {
    (vec(inner, NAMES.len()), any::<u8>(), 0..NAMES.len()).prop_map(|(values, mask, turn)| {
        let mut members: Vec<(String, Json)> = NAMES
            .iter()
            .map(|name| (*name).to_owned())
            .zip(values)
            .collect();
        members.rotate_left(turn);
        let present = members
            .into_iter()
            .enumerate()
            .filter(|(i, _)| mask >> i & 1 == 1);
        Json::Object(present.map(|(_, member)| member).collect::<Map<_, _>>())
    })
}

/// Writes a tree with spaces and escapes wherever the next bits say so.
struct Writer {
    bits: u64,
}

impl Writer {
    fn chance(&mut self) -> bool {
        self.bits = self
            .bits
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        self.bits >> 61 == 0
    }

    fn space(&mut self, out: &mut String) {
        if self.chance() {
            out.push_str(if self.chance() { "\r\n\t" } else { "  " });
        }
    }

    fn string(&mut self, text: &str, out: &mut String) {
        out.push('"');
        for c in text.chars() {
            let plain = serde_json::to_string(&c.to_string()).unwrap();
            if self.chance() {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04X}"));
                }
            } else {
                out.push_str(&plain[1..plain.len() - 1]);
            }
        }
        out.push('"');
    }

    fn write(&mut self, value: &Json, out: &mut String) {
        self.space(out);
        match value {
            Json::String(text) => self.string(text, out),
            Json::Array(items) => {
                out.push('[');
                self.space(out);
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    self.write(item, out);
                }
                out.push(']');
            }
            Json::Object(members) => {
                out.push('{');
                for (i, (name, value)) in members.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    self.space(out);
                    self.string(name, out);
                    self.space(out);
                    out.push(':');
                    self.write(value, out);
                }
                self.space(out);
                out.push('}');
            }
            other => out.push_str(&other.to_string()),
        }
        self.space(out);
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Replace,
    Remove,
    Leave,
}

/// What the splice has to come to: arrays are run through, objects looked into.
fn oracle(value: &mut Json, path: &[&str], op: Op, new: &Json) {
    if let Json::Array(items) = value {
        if path.is_empty() && op == Op::Remove {
            items
                .iter_mut()
                .for_each(|item| oracle(item, path, op, new));
            items.retain(|item| item.is_array());
            return;
        }
        items
            .iter_mut()
            .for_each(|item| oracle(item, path, op, new));
        return;
    }
    let Some((name, rest)) = path.split_first() else {
        if op == Op::Replace {
            *value = new.clone();
        }
        return;
    };
    let Json::Object(members) = value else { return };
    match (members.get_mut(*name), op) {
        (Some(member), Op::Remove) if rest.is_empty() && !member.is_array() => {
            members.shift_remove(*name);
        }
        (Some(member), _) => oracle(member, rest, op, new),
        (None, Op::Replace) if rest.is_empty() => {
            members.insert((*name).to_owned(), new.clone());
        }
        (None, _) => {}
    }
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![Just(Op::Replace), Just(Op::Remove), Just(Op::Leave)]
}

fn paths() -> impl Strategy<Value = Vec<(Vec<&'static str>, Op)>> {
    vec(
        (vec(proptest::sample::select(&NAMES[..]), 1..4), op()),
        0..6,
    )
    .prop_map(|mut paths| {
        // No path within another: their edits would overlap.
        paths.sort_by_key(|(path, _)| path.len());
        let mut kept: Vec<(Vec<&str>, Op)> = Vec::new();
        for (path, op) in paths {
            if !kept.iter().any(|(shorter, _)| path.starts_with(shorter)) {
                kept.push((path, op));
            }
        }
        kept
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn splice_equals_decode_edit_encode(
        tree in tree(), paths in paths(), new in text(), bits in any::<u64>(),
    ) {
        let mut json = String::new();
        Writer { bits }.write(&tree, &mut json);
        prop_assert_eq!(&serde_json::from_str::<Json>(&json).unwrap(), &tree);

        let compiled: Vec<FieldPath> =
            paths.iter().map(|(path, _)| FieldPath::from_segments(path).unwrap()).collect();
        let fields = Fields::schemaless_json(&compiled);
        let (mut found, mut checked) = (Found::new(), Found::new());
        fields.find(json.as_bytes(), &mut found).unwrap();
        fields.find_checked(json.as_bytes(), &mut checked, &Limits::default()).unwrap();
        prop_assert_eq!(format!("{:?}", found.slots()), format!("{:?}", checked.slots()));

        let mut buffer = EditBuffer::new();
        let mut edits = buffer.begin();
        for slot in found.slots() {
            match paths[slot.path()].1 {
                Op::Replace => {
                    slot.replace(&fields, &Scalar::Str(new.as_str().into()), &mut edits).unwrap();
                }
                Op::Remove => slot.remove(&fields, &mut edits).unwrap(),
                Op::Leave => {}
            }
        }
        let mut expected = tree.clone();
        for (path, op) in &paths {
            oracle(&mut expected, path, *op, &Json::String(new.clone()));
        }
        let mut payload = Payload::new(json.into_bytes(), Encoding::Json);
        payload.edit(&found, edits).unwrap();
        payload.flatten();
        payload.check_json(&Limits::default()).unwrap();
        let spliced: Json = serde_json::from_slice(payload.bytes()).unwrap();
        // As text: the order of members counts.
        prop_assert_eq!(spliced.to_string(), expected.to_string());

        let mut line = Vec::new();
        payload.to_json(&mut line).unwrap();
        prop_assert!(!line.contains(&b'\n'));
        prop_assert_eq!(serde_json::from_slice::<Json>(&line).unwrap(), expected);
    }

    #[test]
    fn values_read_as_in_the_oracle(tree in tree(), bits in any::<u64>()) {
        let mut json = String::new();
        Writer { bits }.write(&tree, &mut json);
        let mut out = Vec::new();
        Value::from_json(json.as_bytes()).unwrap().to_json(&mut out);
        prop_assert_eq!(serde_json::from_slice::<Json>(&out).unwrap().to_string(), tree.to_string());

        let fields = Fields::schemaless_json(&[FieldPath::parse("a").unwrap()]);
        let mut found = Found::new();
        fields.find(json.as_bytes(), &mut found).unwrap();
        match (tree.get("a"), found.first(0)) {
            (Some(Json::Object(_)), Some(slot)) => prop_assert!(slot.scalar(json.as_bytes()).is_err()),
            (Some(Json::Array(_)), _) => {}
            (Some(value), Some(slot)) => match slot.scalar(json.as_bytes()).unwrap() {
                Scalar::Null => prop_assert!(value.is_null() && slot.is_null()),
                Scalar::Bool(v) => prop_assert_eq!(value, &json!(v)),
                Scalar::Int(v) => prop_assert_eq!(value, &json!(v)),
                Scalar::Double(v) => prop_assert_eq!(value.as_f64(), Some(v)),
                Scalar::Str(v) => prop_assert_eq!(value.as_str(), Some(&*v)),
                Scalar::Bytes(_) => prop_assert!(false, "JSON has no bytes"),
            },
            (None, Some(slot)) => prop_assert!(slot.is_absent() && !slot.is_null()),
            (_, None) => prop_assert!(false, "no slot"),
        }
    }

    #[test]
    fn damaged_texts_are_refused_as_the_oracle_refuses_them(
        tree in tree(),
        bits in any::<u64>(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..4),
    ) {
        let mut json = String::new();
        Writer { bits }.write(&tree, &mut json);
        let mut bytes = json.into_bytes();
        for (at, byte, structural) in damage {
            let at = at.index(bytes.len());
            let structure = b"{}[],:\"\\ 0-.eE+tfnu";
            bytes[at] = if structural { structure[usize::from(byte) % structure.len()] } else { byte };
        }
        judged_alike(&bytes)?;
    }

    #[test]
    fn texts_with_hostile_pieces_are_refused_as_the_oracle_refuses_them(
        tree in tree(), bits in any::<u64>(), damage in damage(),
    ) {
        let mut json = String::new();
        Writer { bits }.write(&tree, &mut json);
        judged_alike(&damaged(json.into_bytes(), &damage))?;
    }

    #[test]
    fn random_texts_are_refused_as_the_oracle_refuses_them(
        picks in vec(0..26_usize, 0..40), bytes in vec(any::<u8>(), 0..30),
    ) {
        let tokens: [&str; 26] = [
            "{", "}", "[", "]", ",", ":", "\"", "\"a\"", "\"a\":", "1", "-", "0", ".5", "e3", "true",
            "null", "fals", " ", "\\", "\\u00e9", "\\ud83d", "\u{1}", "ü", "\"\\\"", "\n", "\r",
        ];
        let text: String = picks.into_iter().map(|pick| tokens[pick]).collect();
        judged_alike(text.as_bytes())?;
        judged_alike(&bytes)?;
    }
}

/// Whether a parser that only skips the text takes it.
fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(text).is_ok()
}

/// JSON as one line of JSON: what it was, or an error, and never two lines.
fn in_one_line(bytes: &[u8]) -> Result<(), TestCaseError> {
    let mut line = b"before".to_vec();
    let payload = Payload::new(bytes.to_vec(), Encoding::Json);
    match payload.to_json(&mut line) {
        Ok(()) => {
            prop_assert!(!line.contains(&b'\n') && !line.contains(&b'\r'));
            if let Ok(value) = serde_json::from_slice::<Json>(bytes) {
                prop_assert_eq!(serde_json::from_slice::<Json>(&line[6..]).unwrap(), value);
            }
        }
        Err(_) => {
            prop_assert_eq!(&line, b"before");
            prop_assert!(serde_json::from_slice::<Json>(bytes).is_err());
        }
    }
    Ok(())
}

fn judged_alike(bytes: &[u8]) -> Result<(), TestCaseError> {
    let paths: Vec<FieldPath> = ["a", "b.a", "c.b.a"]
        .iter()
        .map(|p| FieldPath::parse(p).unwrap())
        .collect();
    let fields = Fields::schemaless_json(&paths);
    let mut found = Found::new();
    if fields.find(bytes, &mut found).is_ok() {
        let mut buffer = EditBuffer::new();
        let mut edits = buffer.begin();
        for slot in found.slots() {
            slot.remove(&fields, &mut edits).unwrap();
            let _ = (slot.scalar(bytes), slot.json(bytes));
        }
        let mut payload = Payload::new(bytes.to_vec(), Encoding::Json);
        if payload.edit(&found, edits).is_ok() {
            payload.flatten();
        }
    }
    in_one_line(bytes)?;
    let grammar = check_grammar(bytes);
    let oracle = is_json(bytes);
    prop_assert_eq!(grammar.is_ok(), oracle, "{:?}", grammar);
    let ours = fields.find_checked(bytes, &mut found, &Limits::default());
    let _ = Value::from_json(bytes);
    match (ours, serde_json::from_slice::<Json>(bytes)) {
        (Ok(()), Err(error)) => {
            prop_assert!(
                error.to_string().contains("out of range"),
                "too lenient: {error}"
            );
        }
        (Err(error), Ok(_)) => {
            // The oracle lets the last of two equal names win.
            prop_assert!(error.to_string().contains("already"), "too strict: {error}");
        }
        _ => {}
    }
    Ok(())
}

#[test]
fn the_grammar_is_that_of_the_oracle_wherever_a_byte_stands_in_a_string() {
    for length in 0..20 {
        for place in 0..length {
            for byte in 0..=u8::MAX {
                let mut text = vec![b'"'];
                text.extend((0..length).map(|at| if at == place { byte } else { b'n' }));
                text.push(b'"');
                assert_eq!(check_grammar(&text).is_ok(), is_json(&text), "{text:?}");
            }
        }
    }
}

#[test]
fn the_grammar_knows_neither_names_nor_depth_nor_pairs_of_surrogates() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    for text in [r#"{"a":1,"a":2}"#, r#"{"":"\ud83d"}"#, "-1e999", &deep] {
        check_grammar(text.as_bytes()).unwrap();
    }
    for text in [
        "",
        " ",
        "{",
        "[1,]",
        r#"{"a":1,}"#,
        r#"{"a"}"#,
        r#"{1:2}"#,
        "[}",
        "{]",
        "[1 2]",
        "{} {}",
        "01",
        "+1",
        "1.",
        "NaN",
        "nulls",
        r#""\u12g4""#,
        r#""\"#,
        "\u{feff}1",
        &deep[1..],
    ] {
        let error = check_grammar(text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("malformed JSON at byte "), "{error}");
        assert!(!is_json(text.as_bytes()), "{text}");
    }
}
