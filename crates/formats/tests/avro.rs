//! Avro schemas, paths, conversions and refusals, one case each.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::sync::Arc;

use penstock_formats::{
    EditBuffer, Edits, Encoding, FieldPath, FieldType, Fields, Found, Limits, Payload, Scalar,
    ScalarKind, Schema, SchemaKind, avro,
};

const DEMO: &str = include_str!("data/demo-1.0.2.avsc");

fn demo() -> Arc<Schema> {
    Arc::new(Schema::avro(DEMO, &[]).unwrap())
}

fn paths(texts: &[&str]) -> Vec<FieldPath> {
    texts
        .iter()
        .map(|text| FieldPath::parse(text).unwrap())
        .collect()
}

fn encode(schema: &Schema, json: &str) -> Vec<u8> {
    let mut out = Vec::new();
    avro::from_json(schema, json.as_bytes(), &mut out).unwrap_or_else(|error| panic!("{error}"));
    out
}

fn json(schema: &Arc<Schema>, bytes: &[u8]) -> String {
    let payload = Payload::new(bytes.to_vec(), Encoding::Registered(Arc::clone(schema)));
    let mut out = Vec::new();
    payload.to_json(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn schema(fields: &str) -> Arc<Schema> {
    let text = format!(r#"{{"type":"record","name":"x.R","fields":[{fields}]}}"#);
    Arc::new(Schema::avro(&text, &[]).unwrap())
}

const EVENT: &str = r#"{"strmMeta":{"eventContractRef":"streammachine/example/1.3.0","consentLevels":[0,2]},
    "uniqueIdentifier":"u-1","consistentValue":"c","someSensitiveValue":{"string":"s"}}"#;

#[test]
fn a_demo_event_gets_its_defaults_and_reads_back_as_plain_json() {
    let schema = demo();
    assert_eq!(schema.kind(), SchemaKind::Avro);
    assert_eq!(
        schema.name(),
        Some("io.streammachine.schemas.demo.v1.DemoEvent")
    );
    let bytes = encode(&schema, EVENT);
    assert_eq!(
        json(&schema, &bytes),
        r#"{"strmMeta":{"eventContractRef":"streammachine/example/1.3.0","nonce":null,"timestamp":null,"keyLink":null,"billingId":null,"consentLevels":[0,2]},"uniqueIdentifier":"u-1","consistentValue":"c","someSensitiveValue":"s","notSensitiveValue":null}"#
    );
}

#[test]
fn null_becomes_a_value_and_a_value_null_in_one_splice() {
    let schema = demo();
    let fields = Fields::compile(
        &schema,
        &paths(&[
            "strmMeta/keyLink",
            "uniqueIdentifier",
            "strmMeta.nonce",
            "strmMeta/consentLevels",
        ]),
    )
    .unwrap();
    let mut payload = Payload::new(
        encode(&schema, EVENT),
        Encoding::Registered(Arc::clone(&schema)),
    );
    let mut found = Found::new();
    payload.find(&fields, &mut found).unwrap();
    let key_link = found.first(0).unwrap();
    assert!(key_link.is_null() && !key_link.is_absent());
    let levels: Vec<i64> = found
        .at(3)
        .map(|slot| slot.scalar(payload.bytes()).unwrap().as_int().unwrap())
        .collect();
    assert_eq!(levels, [0, 2]);
    let link = Scalar::Str("link".into());
    let slot = |path| found.first(path).unwrap();
    let unique = slot(1).scalar(payload.bytes()).unwrap();
    let unique = unique.as_str().unwrap();
    assert!(slot(1).is_plainly(payload.bytes(), unique));
    assert!(!slot(1).is_plainly(payload.bytes(), &unique[1..]));
    assert!(!key_link.is_plainly(payload.bytes(), ""));
    let mut buffer = EditBuffer::new();
    let mut edits = buffer.begin();
    key_link.replace(&fields, &link, &mut edits).unwrap();
    slot(1).null(&fields, &mut edits).unwrap();
    slot(2)
        .replace(&fields, &Scalar::Int(77), &mut edits)
        .unwrap();
    payload.edit(&found, edits).unwrap();
    assert!(payload.is_edited());
    let mut edits = buffer.begin();
    key_link.replace(&fields, &link, &mut edits).unwrap();
    assert!(payload.edit(&found, edits).is_err(), "flatten first");
    let mut line = Vec::new();
    payload.to_json(&mut line).unwrap();
    let line = String::from_utf8(line).unwrap();
    assert!(
        line.contains(r#""nonce":77"#) && line.contains(r#""keyLink":"link""#),
        "{line}"
    );
    assert!(line.contains(r#""uniqueIdentifier":null"#), "{line}");
}

#[test]
fn values_that_the_type_does_not_take_are_refused_without_being_shown() {
    let schema = schema(
        r#"{"name":"i","type":"int"},{"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]}},
           {"name":"u","type":{"type":"string","logicalType":"uuid"}},{"name":"s","type":"string"}"#,
    );
    let fields = Fields::compile(&schema, &paths(&["i", "e", "u", "s"])).unwrap();
    let bytes = encode(
        &schema,
        r#"{"i":1,"e":"A","u":"67e55044-10b1-426f-9247-bb680e5fe0c8","s":""}"#,
    );
    let mut found = Found::new();
    fields.find(&bytes, &mut found).unwrap();
    let slot = |path| found.first(path).unwrap();
    let mut buffer = EditBuffer::new();
    let mut edits = buffer.begin();
    for (path, value, error) in [
        (
            0,
            Scalar::Int(1 << 40),
            "field 'i' is int in the schema and cannot hold an integer",
        ),
        (
            0,
            Scalar::Str("secret".into()),
            "field 'i' is int in the schema and cannot hold a string",
        ),
        (
            1,
            Scalar::Str("secret".into()),
            "field 'e' is enum x.E in the schema and cannot hold a string",
        ),
        (
            2,
            Scalar::Str("secret".into()),
            "field 'u' is uuid in the schema and cannot hold a string",
        ),
        (
            3,
            Scalar::Null,
            "field 's' is string in the schema and cannot hold null",
        ),
    ] {
        let refused = slot(path).replace(&fields, &value, &mut edits);
        assert_eq!(refused.unwrap_err().to_string(), error);
    }
    assert!(slot(3).remove(&fields, &mut edits).is_err());
    let refused = slot(0).replace_json(&fields, br#""secret""#, &mut edits);
    assert_eq!(
        refused.unwrap_err().to_string(),
        "field 'i': expected int, got a string"
    );
    assert!(edits.is_empty());
    slot(1)
        .replace(&fields, &Scalar::Str("B".into()), &mut edits)
        .unwrap();
    slot(0).replace_json(&fields, b" 12 ", &mut edits).unwrap();
    assert_eq!(edits.len(), 2);
}

#[test]
fn a_path_that_does_not_exist_names_the_segment_and_near_names() {
    for (path, error) in [
        (
            "uniqueIdentifer",
            "field path 'uniqueIdentifer': record io.streammachine.schemas.demo.v1.DemoEvent has no field 'uniqueIdentifer' (did you mean 'uniqueIdentifier'?)",
        ),
        (
            "strmMeta/keylink",
            "field path 'strmMeta.keylink': record io.streammachine.schemas.demo.v1.StrmMeta has no field 'keylink' (did you mean 'keyLink'?)",
        ),
        (
            "consistentValue.x",
            "field path 'consistentValue.x': 'x' lies below string, which has no fields",
        ),
        (
            "uniqueIdentifier.x",
            "field path 'uniqueIdentifier.x': 'x' lies below string, which has no fields",
        ),
    ] {
        assert_eq!(
            Fields::compile(&demo(), &paths(&[path]))
                .unwrap_err()
                .to_string(),
            error
        );
    }
}

#[test]
fn field_types_say_where_a_ciphertext_may_stand() {
    let schema = schema(
        r#"{"name":"s","type":"string"},{"name":"n","type":["null","string"]},
           {"name":"l","type":["null",{"type":"array","items":["null","string"]}]},
           {"name":"u","type":{"type":"string","logicalType":"uuid"}},
           {"name":"e","type":{"type":"enum","name":"E","symbols":["A"]}},
           {"name":"b","type":"bytes"},{"name":"i","type":["int","null"]},
           {"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}},
           {"name":"m","type":{"type":"map","values":"string"}},
           {"name":"si","type":["string","int"]}"#,
    );
    let all = ["s", "n", "l", "u", "e", "b", "i", "d", "m", "m.key", "si"];
    let fields = Fields::compile(&schema, &paths(&all)).unwrap();
    let of = |nullable, list, scalar, takes_any_text| FieldType {
        nullable,
        list,
        scalar,
        takes_any_text,
    };
    for (index, expected) in [
        of(false, false, ScalarKind::String, true),
        of(true, false, ScalarKind::String, true),
        of(true, true, ScalarKind::String, true),
        of(false, false, ScalarKind::String, false),
        of(false, false, ScalarKind::String, false),
        of(false, false, ScalarKind::Bytes, false),
        of(true, false, ScalarKind::Integer, false),
        of(false, false, ScalarKind::Number, false),
        of(false, false, ScalarKind::Object, false),
        of(false, false, ScalarKind::String, true),
        of(false, false, ScalarKind::Any, true),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(fields.field_type(index), expected, "{}", all[index]);
    }
}

#[test]
fn types_that_contain_themselves_and_unions_of_records_are_walked() {
    let text = r#"{"type":"record","name":"x.Node","fields":[
        {"name":"id","type":"string"},
        {"name":"next","type":["null","Node",{"type":"record","name":"End","fields":[
            {"name":"reason","type":"string"},{"name":"id","type":["null","string"]}]}]},
        {"name":"children","type":{"type":"array","items":"x.Node"},"default":[]}]}"#;
    let schema = Arc::new(Schema::avro(text, &[]).unwrap());
    let event = r#"{"id":"a","next":{"id":"b","next":{"reason":"r","id":"c"}},"children":[
        {"id":"d","next":null},{"id":"e","next":{"x.End":{"reason":"","id":null}}}]}"#;
    let bytes = encode(&schema, event);
    let wanted = [
        "id",
        "next.id",
        "next.next.id",
        "children.id",
        "children.next.id",
        "next.next.reason",
    ];
    let fields = Fields::compile(&schema, &paths(&wanted)).unwrap();
    let mut found = Found::new();
    fields
        .find_checked(&bytes, &mut found, &Limits::default())
        .unwrap();
    let texts: Vec<(usize, String)> = found
        .slots()
        .iter()
        .map(|slot| {
            let json = slot.json(&bytes).unwrap().into_owned();
            (slot.path(), String::from_utf8(json).unwrap())
        })
        .collect();
    let expected = [
        (0, r#""a""#),
        (1, r#""b""#),
        (5, r#""r""#),
        (2, r#""c""#),
        (3, r#""d""#),
        (3, r#""e""#),
        (4, "null"),
    ];
    assert_eq!(texts, expected.map(|(path, text)| (path, text.to_owned())));
    assert!(Fields::compile(&schema, &paths(&["next.next.next.next.wrong"])).is_err());
}

#[test]
fn named_types_come_from_references_and_from_theirs() {
    let street = Arc::new(
        Schema::avro(
            r#"{"type":"record","name":"a.Street","fields":[{"name":"name","type":{"type":"record","name":"Name","fields":[{"name":"text","type":"string"}]}}]}"#,
            &[],
        )
        .unwrap(),
    );
    let address = Arc::new(
        Schema::avro(
            r#"{"type":"record","name":"b.Address","fields":[{"name":"street","type":"a.Street"}]}"#,
            &[("a.Street".into(), Arc::clone(&street))],
        )
        .unwrap(),
    );
    let text = r#"{"type":"record","name":"c.Person","fields":[
        {"name":"home","type":"b.Address"},{"name":"alias","type":["null","a.Name"],"default":null},
        {"name":"work","type":["null","b.Address"],"default":null}]}"#;
    let person = Arc::new(
        Schema::avro(
            text,
            &[("b.Address".into(), address), ("a.Street".into(), street)],
        )
        .unwrap(),
    );
    let bytes = encode(
        &person,
        r#"{"home":{"street":{"name":{"text":"x"}}},"alias":{"text":"y"}}"#,
    );
    assert_eq!(
        json(&person, &bytes),
        r#"{"home":{"street":{"name":{"text":"x"}}},"alias":{"text":"y"},"work":null}"#
    );
    Fields::compile(&person, &paths(&["work.street.name.text"])).unwrap();
    let error = Schema::avro(text, &[]).unwrap_err().to_string();
    assert!(error.contains("b.Address"), "{error}");
}

#[test]
fn defaults_of_every_type_are_filled_in() {
    let schema = schema(
        r#"{"name":"n","type":"null","default":null},{"name":"t","type":"boolean","default":true},
           {"name":"i","type":"int","default":-3},{"name":"f","type":"float","default":1},
           {"name":"d","type":"double","default":2.5},{"name":"s","type":"string","default":"ü"},
           {"name":"b","type":"bytes","default":"\u0000ÿ"},
           {"name":"x","type":{"type":"fixed","name":"F","size":2},"default":"\u0001\u0002"},
           {"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]},"default":"B"},
           {"name":"a","type":{"type":"array","items":"long"},"default":[1,2]},
           {"name":"m","type":{"type":"map","values":"string"},"default":{"k":"v"}},
           {"name":"u","type":["string","null"],"default":"first"},
           {"name":"r","type":{"type":"record","name":"I","fields":[
               {"name":"p","type":"int"},{"name":"q","type":"string","default":"inner"}]},"default":{"p":4}}"#,
    );
    assert_eq!(
        json(&schema, &encode(&schema, "{}")),
        r#"{"n":null,"t":true,"i":-3,"f":1.0,"d":2.5,"s":"ü","b":"AP8=","x":"AQI=","e":"B","a":[1,2],"m":{"k":"v"},"u":"first","r":{"p":4,"q":"inner"}}"#
    );
}

#[test]
fn logical_types_have_a_readable_form_that_is_read_back() {
    let schema = schema(
        r#"{"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":6,"scale":2}},
           {"name":"fd","type":{"type":"fixed","name":"FD","size":4,"logicalType":"decimal","precision":6,"scale":2}},
           {"name":"us","type":{"type":"string","logicalType":"uuid"}},
           {"name":"uf","type":{"type":"fixed","name":"UF","size":16,"logicalType":"uuid"}},
           {"name":"ts","type":{"type":"long","logicalType":"timestamp-millis"}},
           {"name":"day","type":{"type":"int","logicalType":"date"}},
           {"name":"big","type":{"type":"bytes","logicalType":"big-decimal"}},
           {"name":"nan","type":"double"},{"name":"inf","type":"float"}"#,
    );
    let event = r#"{"d":"-12.50","fd":"0.01","us":"67e55044-10b1-426f-9247-bb680e5fe0c8","uf":"67e55044-10b1-426f-9247-bb680e5fe0c8","ts":1700000000000,"day":19000,"big":"1234567890123456789.5","nan":"NaN","inf":"-Infinity"}"#;
    let bytes = encode(&schema, event);
    assert_eq!(json(&schema, &bytes), event);
    assert_eq!(
        json(
            &schema,
            &encode(&schema, &event.replace("\"-12.50\"", "-12.5"))
        ),
        event
    );
    let fields = Fields::compile(&schema, &paths(&["d", "uf", "big"])).unwrap();
    let mut found = Found::new();
    fields.find(&bytes, &mut found).unwrap();
    let texts: Vec<String> = found
        .slots()
        .iter()
        .map(|slot| slot.scalar(&bytes).unwrap().as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        texts,
        [
            "-12.50",
            "67e55044-10b1-426f-9247-bb680e5fe0c8",
            "1234567890123456789.5"
        ]
    );
    let mut buffer = EditBuffer::new();
    let mut edits = buffer.begin();
    let slot = found.first(0).unwrap();
    let replace =
        |text: &str, edits: &mut Edits<'_>| slot.replace(&fields, &Scalar::Str(text.into()), edits);
    assert!(replace("3.456", &mut edits).is_err());
    replace("3.4", &mut edits).unwrap();
    let mut payload = Payload::new(bytes.clone(), Encoding::Registered(Arc::clone(&schema)));
    payload.edit(&found, edits).unwrap();
    payload.flatten();
    assert!(json(&schema, payload.bytes()).starts_with(r#"{"d":"3.40","#));
}

#[test]
fn events_that_do_not_fit_are_refused_with_place_and_type_and_no_value() {
    let schema = schema(
        r#"{"name":"i","type":"int","default":0},{"name":"l","type":"long","default":0},
           {"name":"f","type":"float","default":0},{"name":"s","type":"string","default":""},
           {"name":"n","type":["null","string","long"],"default":null},
           {"name":"b","type":"bytes","default":""},
           {"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]},"default":"A"},
           {"name":"r","type":{"type":"array","items":{"type":"record","name":"I","fields":[{"name":"p","type":"int"}]}},"default":[]},
           {"name":"m","type":{"type":"map","values":"int"},"default":{}}"#,
    );
    for (event, error) in [
        (
            r#"{"i":2147483648}"#,
            "field 'i': is out of the range of int",
        ),
        (
            r#"{"i":1.0}"#,
            "field 'i': expected int, got a number with a fraction or exponent",
        ),
        (
            r#"{"l":9223372036854775808}"#,
            "field 'l': is out of the range of long",
        ),
        (r#"{"f":1e39}"#, "field 'f': is out of the range of float"),
        (r#"{"s":null}"#, "field 's': expected string, got null"),
        (
            r#"{"n":true}"#,
            "field 'n': expected null, string or long, got a boolean",
        ),
        (
            r#"{"n":{"string":7}}"#,
            "field 'n': expected string, got a number",
        ),
        (
            r#"{"b":"secret!"}"#,
            "field 'b': expected bytes, got a string that is not its base64",
        ),
        (
            r#"{"e":"secret"}"#,
            "field 'e': is none of the symbols of its enum: A, B",
        ),
        (
            r#"{"r":[{"p":1},{"p":"secret"}]}"#,
            "field 'r[1].p': expected int, got a string",
        ),
        (
            r#"{"r":[{}]}"#,
            "field 'r[0].p': is missing, and the schema has no default for it",
        ),
        (
            r#"{"m":{"secret":"x"}}"#,
            "field 'm.*': expected int, got a string",
        ),
        (
            r#"{"I":1}"#,
            "the event: has a field that is not in record x.R (did you mean 'i'?)",
        ),
        (
            r#"{"r":[{"pp":1}]}"#,
            "field 'r[0]': has a field that is not in record x.I (did you mean 'p'?)",
        ),
        (
            r#"{"secret":1}"#,
            "the event: has a field that is not in record x.R",
        ),
        ("[]", "the event: expected record x.R, got an array"),
        (
            r#"{"i":1,"\u0069":2}"#,
            "malformed JSON at byte 7: a name that the object has already",
        ),
        (
            r#"{"i":1} x"#,
            "malformed JSON at byte 8: 1 bytes after the end of the event",
        ),
        (
            "{\"s\":\"\u{1}\"}",
            "malformed JSON at byte 6: a control character in a string",
        ),
    ] {
        let mut out = vec![9];
        let refused = avro::from_json(&schema, event.as_bytes(), &mut out).unwrap_err();
        assert_eq!(refused.to_string(), error, "{event}");
        assert_eq!(out, [9], "nothing is left behind");
    }
    let deep = format!(r#"{{"s":{}"x"{}}}"#, "[".repeat(200), "]".repeat(200));
    let error = avro::from_json(&schema, deep.as_bytes(), &mut Vec::new())
        .unwrap_err()
        .to_string();
    assert!(error.contains("nested too deeply"), "{error}");
}

#[test]
fn look_alike_records_in_unions_cannot_take_exponential_time() {
    let text = r#"{"type":"record","name":"x.A","fields":[{"name":"n","type":["null","A",
        {"type":"record","name":"B","fields":[{"name":"n","type":["null","A","B","string"]}]}]}]}"#;
    let schema = Schema::avro(text, &[]).unwrap();
    let event = format!("{}7{}", r#"{"n":"#.repeat(60), "}".repeat(60));
    let error = avro::from_json(&schema, event.as_bytes(), &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("too many ways"), "{error}");
}

#[test]
fn hostile_bytes_are_errors_and_cost_nothing() {
    let schema = schema(
        r#"{"name":"a","type":{"type":"array","items":"null"}},{"name":"s","type":{"type":"array","items":"string"}},
           {"name":"t","type":"boolean","default":true}"#,
    );
    let fields = Fields::compile(&schema, &paths(&["t"])).unwrap();
    let mut found = Found::new();
    let huge = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    let check = |bytes: &[u8], found: &mut Found| {
        fields
            .find_checked(bytes, found, &Limits::default())
            .unwrap_err()
            .to_string()
    };
    for (bytes, error) in [
        (
            huge.to_vec(),
            "a block of 9223372036854775807 items in 0 bytes",
        ),
        (
            [&[0][..], &huge].concat(),
            "a block of 9223372036854775807 items in 0 bytes",
        ),
        (vec![0, 0, 2], "a boolean that is neither 0 nor 1"),
        (vec![0, 0, 1, 0], "1 bytes after the end of the event"),
        (vec![0, 2, 2, 0xff, 0, 1], "a string that is not UTF-8"),
        (vec![0, 2, 1, 0, 1], "a negative length"),
        (
            vec![0, 1, 8, 2, b'x', 0, 1],
            "a block of 2 bytes that says it has 4",
        ),
        (
            vec![0, 1, 2, 2, b'x', 0, 1],
            "a block of 2 bytes that says it has 1",
        ),
        (vec![0, 0], "1 bytes expected, 0 left"),
    ] {
        let refused = check(&bytes, &mut found);
        assert!(refused.contains(error), "{refused}: {error}");
    }
    let nested = r#"{"type":"record","name":"N","fields":[{"name":"n","type":["null","N"]}]}"#;
    let nested = Schema::avro(nested, &[]).unwrap();
    let fields = Fields::compile(&nested, &[]).unwrap();
    let deep = [vec![2; 100_000], vec![0]].concat();
    let error = fields
        .find_checked(&deep, &mut found, &Limits::default())
        .unwrap_err();
    assert!(error.to_string().contains("nested too deeply"), "{error}");
}

/// What an intake has accepted must not stop those who read it as JSON or a tree.
#[test]
fn what_passes_the_check_can_be_read() {
    let schema = schema(
        r#"{"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}},
           {"name":"f","type":{"type":"fixed","name":"F","size":3,"logicalType":"decimal","precision":4,"scale":2}},
           {"name":"b","type":{"type":"bytes","logicalType":"big-decimal"}},
           {"name":"u","type":{"type":"string","logicalType":"uuid"}},
           {"name":"m","type":{"type":"map","values":"int"}}"#,
    );
    let uuid = [&[72][..], b"cd181172-4ec7-4f0d-86bb-662fc0ee854b"].concat();
    let good: [&[u8]; 5] = [
        &[4, 0x04, 0xe2],
        &[0, 0x04, 0xe2],
        &[8, 4, 0x04, 0xe2, 4],
        &uuid,
        // Two blocks of one key each.
        &[2, 2, b'a', 2, 2, 2, b'b', 4, 0],
    ];
    let refused = |bytes: &[u8]| -> Vec<String> {
        let errors = [&[][..], &["d", "f", "b", "u", "m/a"], &["m/b"]].map(|wanted| {
            let fields = Fields::compile(&schema, &paths(wanted)).unwrap();
            let checked = fields.find_checked(bytes, &mut Found::new(), &Limits::default());
            checked.err().map(|error| error.to_string())
        });
        errors.into_iter().flatten().collect()
    };
    let payload = good.concat();
    assert_eq!(refused(&payload), Vec::<String>::new());
    assert_eq!(
        json(&schema, &payload),
        r#"{"d":"12.50","f":"12.50","b":"12.50","u":"cd181172-4ec7-4f0d-86bb-662fc0ee854b","m":{"a":1,"b":2}}"#
    );

    let long = [&[0x82, 0x40][..], &[1; 4097]].concat();
    let no_uuid = [&[72][..], &[b'x'; 36]].concat();
    let cases: [(usize, &[u8], &str); 8] = [
        (0, &[6, 0x01, 0x86, 0xa0], "a decimal of more than 4 digits"),
        (0, &long, "a decimal of thousands of digits"),
        (1, &[0x01, 0x86, 0xa0], "a decimal of more than 4 digits"),
        (2, &[0], "ends within an integer"),
        (2, &[4, 8, 1], "4 bytes expected, 1 left"),
        (3, &no_uuid, "a uuid that is none"),
        (
            4,
            &[4, 2, b'a', 2, 2, b'a', 4, 0],
            "a key that the map has already",
        ),
        (
            4,
            &[2, 2, b'a', 2, 2, 2, b'a', 4, 0],
            "a key that the map has already",
        ),
    ];
    for (field, bytes, problem) in cases {
        let mut parts = good;
        parts[field] = bytes;
        let errors = refused(&parts.concat());
        assert_eq!(errors.len(), 3, "{problem}: {errors:?}");
        for error in errors {
            assert!(error.contains(problem), "{error}: {problem}");
        }
    }
}

#[test]
fn sized_blocks_of_all_levels_learn_of_an_edit_within() {
    let schema = schema(
        r#"{"name":"o","type":{"type":"array","items":{"type":"array","items":"string"}}},{"name":"z","type":"int"}"#,
    );
    // One sized block of one item, in which there is one sized block of one string of 60 bytes.
    let text = "x".repeat(60);
    let mut inner = vec![1, 122, 120];
    inner.extend_from_slice(text.as_bytes());
    inner.push(0);
    let mut bytes = vec![1, 128, 1];
    bytes.extend_from_slice(&inner);
    bytes.extend([0, 14]);
    let fields = Fields::compile(&schema, &paths(&["o"])).unwrap();
    let mut found = Found::new();
    fields
        .find_checked(&bytes, &mut found, &Limits::default())
        .unwrap();
    let new = "y".repeat(70);
    let mut buffer = EditBuffer::new();
    let mut edits = buffer.begin();
    found
        .first(0)
        .unwrap()
        .replace(&fields, &Scalar::Str(new.as_str().into()), &mut edits)
        .unwrap();
    let mut payload = Payload::new(bytes, Encoding::Registered(Arc::clone(&schema)));
    payload.edit(&found, edits).unwrap();
    payload
        .find_checked(&fields, &mut found, &Limits::default())
        .unwrap();
    assert_eq!(
        json(&schema, payload.bytes()),
        format!(r#"{{"o":[["{new}"]],"z":7}}"#)
    );
    // Both sizes grew from one byte to two.
    assert_eq!(payload.bytes()[..3], [1, 152, 1]);
    assert_eq!(payload.bytes()[3..6], [1, 144, 1]);
}

#[test]
fn schemas_carry_their_ids_and_are_told_apart() {
    let first = Schema::avro(DEMO, &[]).unwrap().with_id(7, None);
    assert_eq!(
        (first.id(), first.guid(), first.text()),
        (Some(7), None, DEMO)
    );
    assert_ne!(first.uid(), demo().uid());
    assert!(first.validate_json(b"{}").is_err());
    assert!(Schema::avro("{", &[]).is_err());
    assert!(
        Schema::avro(
            r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":"x"}]}"#,
            &[]
        )
        .is_err()
    );
}
