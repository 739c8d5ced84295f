//! CSV tables, read by the csv crate, and Aiven's plain lines.

use std::sync::Arc;

use penstock_files::{Content, Csv, FileSpec, Format, Member, ValueEncoding};
use penstock_formats::{Encoding, Payload, Schema};

use crate::support::*;

/// Header and rows of a table.
fn read(text: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let owned = |record: &::csv::StringRecord| record.iter().map(str::to_owned).collect();
    let header = owned(reader.headers().unwrap());
    let rows = reader.records().map(|row| owned(&row.unwrap())).collect();
    (header, rows)
}

fn table(content: Content) -> FileSpec {
    with_content(Format::Csv, content)
}

#[test]
fn records_are_flattened_into_the_columns_of_their_schema() {
    let schema = schema(
        r#"{"type":"record","name":"Event","fields":[
            {"name":"id","type":"long"},
            {"name":"meta","type":{"type":"record","name":"Meta","fields":[
                {"name":"link","type":["null","string"]},
                {"name":"levels","type":{"type":"array","items":"int"}}]}},
            {"name":"geo","type":["null",{"type":"record","name":"Geo","fields":[
                {"name":"lat","type":"double"},{"name":"lon","type":"double"}]}]},
            {"name":"tags","type":{"type":"map","values":"string"}},
            {"name":"either","type":["null","long",{"type":"record","name":"Either","fields":[
                {"name":"a","type":"int"}]}]},
            {"name":"raw","type":"bytes"}]}"#,
    );
    let records = [
        r#"{"id":1,"meta":{"link":"a\"b,\nc","levels":[]},"geo":{"lat":1.5,"lon":-2.0},"tags":{"k":"v"},"either":{"a":1},"raw":"AP8="}"#,
        r#"{"id":2,"meta":{"link":null,"levels":[1,2]},"geo":null,"tags":{},"either":5,"raw":""}"#,
        r#"{"id":3,"meta":{"link":" ","levels":[]},"geo":null,"tags":{},"either":null,"raw":""}"#,
    ]
    .map(|json| record(0, of_schema(&schema, json)));
    let text = text_file(&table(Content::Value), &records);
    assert_eq!(
        text,
        "id,meta.link,meta.levels,geo.lat,geo.lon,tags,either,raw\n\
         1,\"a\"\"b,\nc\",[],1.5,-2.0,\"{\"\"k\"\":\"\"v\"\"}\",\"{\"\"a\"\":1}\",AP8=\n\
         2,,\"[1,2]\",,,{},5,\"\"\n\
         3,\" \",[],,,{},,\"\"\n"
    );
    let (header, rows) = read(&text);
    assert_eq!(header.len(), 8);
    assert_eq!(
        rows[0],
        [
            "1",
            "a\"b,\nc",
            "[]",
            "1.5",
            "-2.0",
            r#"{"k":"v"}"#,
            r#"{"a":1}"#,
            "AP8="
        ]
    );
}

#[test]
fn members_of_the_envelope_are_columns_beside_those_of_the_value() {
    let record = full_record(json(r#"{"a":{"b":1},"c":null}"#));
    let text = text_file(&table(envelope(&ALL_MEMBERS)), &[record]);
    let (header, rows) = read(&text);
    assert_eq!(
        header,
        [
            "key",
            "value.a.b",
            "value.c",
            "offset",
            "timestamp",
            "headers"
        ]
    );
    assert_eq!(
        rows[0],
        [
            "k,\"1",
            "1",
            "",
            "12",
            "1611923730250",
            r#"[{"key":"h\n","value":"v"},{"key":"b","value":"/w==","encoding":"base64"},{"key":"n","value":null}]"#
        ]
    );
}

#[test]
fn json_without_a_schema_has_the_columns_of_the_first_record() {
    let spec = table(Content::Value);
    let first = r#"{"a":1,"b":{"c":"x"},"d.e":[],"f":{}}"#;
    let records = [
        first,
        r#"{"f":{"g":1},"b":{},"a":"\u00e9\ud83d\ude00"}"#,
        r#"{"b":null}"#,
        "null",
    ]
    .map(|text| record(0, json(text)));
    assert_eq!(
        text_file(&spec, &records),
        "a,b.c,d\\.e,f\n\
         1,x,[],{}\n\
         é😀,,,\"{\"\"g\"\":1}\"\n\
         ,,,\n\
         ,,,\n"
    );

    let mut file = spec.begin(&records[0]).unwrap();
    for (text, problem) in [
        (
            r#"{"b":{"ann@example.com":1}}"#,
            "member 'b' has a member that has no column in the file",
        ),
        (
            r#"{"b":"secret"}"#,
            "member 'b' is no object, but the file has columns for its members",
        ),
        (
            r#"{"b":[1]}"#,
            "member 'b' is no object, but the file has columns for its members",
        ),
        (
            "5",
            "the value is no object, but the file has columns for members",
        ),
        (r#"{"a":1,"a":2}"#, "member 'a' comes twice"),
    ] {
        let error = file.push(&record(1, json(text))).unwrap_err();
        assert_eq!(error.message, problem);
    }
    file.push(&records[0]).unwrap();
    let mut out = Vec::new();
    file.finish(&mut out).unwrap();
    assert_eq!(
        out, b"a,b.c,d\\.e,f\n1,x,[],{}\n",
        "rejections left no trace"
    );
}

#[test]
fn a_json_schema_gives_its_properties_as_columns() {
    let schema = Arc::new(
        Schema::json(
            r##"{"type":"object","properties":{
                "id":{"type":"integer"},
                "user":{"$ref":"#/definitions/user"},
                "list":{"type":"array","items":{"type":"object","properties":{"x":{}}}}},
                "definitions":{"user":{"type":"object","properties":{
                    "name":{"type":"string"},"boss":{"$ref":"#/definitions/user"}}}}}"##,
            &[],
        )
        .unwrap(),
    );
    let value = |text: &str| {
        let encoding = Encoding::Registered(Arc::clone(&schema));
        record(0, Payload::new(text.as_bytes().to_vec(), encoding))
    };
    let records = [
        value(r#"{"user":{"name":"a"}}"#),
        value(r#"{"id":1,"list":[{"x":1}],"user":{"boss":{"name":"b"}}}"#),
    ];
    assert_eq!(
        text_file(&table(Content::Value), &records),
        "id,user.name,user.boss,list\n\
         ,a,,\n\
         1,,\"{\"\"name\"\":\"\"b\"\"}\",\"[{\"\"x\"\":1}]\"\n"
    );
    assert_eq!(
        rejection(&table(Content::Value), &value(r#"{"id":1,"more":true}"#)).message,
        "the value has a member that has no column in the file",
        "the columns are the same in every file of the schema"
    );
    let open = Arc::new(Schema::json(r#"{"type":"object"}"#, &[]).unwrap());
    let value = Payload::new(&b"{\"any\":1}"[..], Encoding::Registered(open));
    assert_eq!(
        text_file(&table(Content::Value), &[record(0, value)]),
        "any\n1\n"
    );
}

#[test]
fn what_is_no_record_is_one_column() {
    for (value, expected) in [
        (text("a\"b"), "value\n\"a\"\"b\"\n"),
        (text(""), "value\n\"\"\n"),
        (bytes(&[0, 255]), "value\nAP8=\n"),
        (json("[1,\"x\"]"), "value\n\"[1,\"\"x\"\"]\"\n"),
        (json("null"), "value\n\"\"\n"),
        (of_schema(&schema("\"double\""), "0.5"), "value\n0.5\n"),
    ] {
        assert_eq!(
            text_file(&table(Content::Value), &[record(0, value)]),
            expected
        );
    }
}

#[test]
fn a_tombstone_has_empty_cells_and_no_row_of_its_own() {
    let spec = table(envelope(&[Member::Offset, Member::Value]));
    assert_eq!(text_file(&spec, &[record(7, None)]), "offset,value\n7,\n");
    let spec = table(Content::Value);
    let no_row = "a record without a value has no row in a table of values";
    assert_eq!(rejection(&spec, &record(7, None)).message, no_row);
    let mut file = spec.begin(&record(0, json("{}"))).unwrap();
    assert_eq!(file.push(&record(7, None)).unwrap_err().message, no_row);
}

#[test]
fn a_schema_that_contains_itself_has_no_table() {
    let schema = schema(
        r#"{"type":"record","name":"Node","fields":[
            {"name":"next","type":["null","Node"]}]}"#,
    );
    let spec = table(Content::Value);
    assert_eq!(
        rejection(&spec, &record(0, of_schema(&schema, r#"{"next":null}"#))).message,
        "the value has no table of columns: field 'next': record Node contains itself"
    );
}

#[test]
fn plain_lines_are_those_of_aivens_connectors() {
    let mut spec = table(envelope(&ALL_MEMBERS));
    spec.dialect.csv = Csv::Plain(ValueEncoding::Base64);
    let record = full_record(text("v,1"));
    assert_eq!(
        text_file(&spec, std::slice::from_ref(&record)),
        "aywiMQ==,diwx,12,1611923730250,aAo=:dg==;Yg==:/w==;bg==:;\n"
    );
    spec.content = Content::Value;
    spec.dialect.csv = Csv::Plain(ValueEncoding::None);
    assert_eq!(text_file(&spec, &[record]), "v,1\n");
    let records = [
        crate::support::record(0, json("{\"a\":\n1}")),
        crate::support::record(0, None),
        crate::support::record(0, of_schema(&schema("\"string\""), "\"x\"")),
    ];
    assert_eq!(text_file(&spec, &records), "{\"a\":1}\n\n\"x\"\n");
}
