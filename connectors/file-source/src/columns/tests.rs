#![allow(clippy::unwrap_used)]
use penstock_connect::{Config, Settings};
use penstock_formats::Schema;
use penstock_registry::SchemaRef;

use super::*;

const PERSON: &str = r#"{"type":"record","name":"Person","fields":[
    {"name":"strmMeta","type":{"type":"record","name":"Meta","fields":[
        {"name":"eventContractRef","type":"string"},
        {"name":"timestamp","type":["null","long"],"default":null},
        {"name":"consentLevels","type":{"type":"array","items":"int"}}]}},
    {"name":"email","type":"string"},
    {"name":"age","type":["null","int"],"default":null},
    {"name":"levels","type":["null","string"],"default":null},
    {"name":"address","type":["null",{"type":"record","name":"Address","fields":[
        {"name":"city","type":"string"},{"name":"zip","type":["null","string"]}]}],"default":null}]}"#;

fn mapping(lines: &str) -> Result<Mapping, Error> {
    let text = format!("file=in\ntopic=t\nschema=a/person/1.0.0\n{lines}");
    let config = FileSourceConfig::read_all(Settings::parse("f", &text).unwrap()).unwrap();
    let schema = Schema::avro(PERSON, &[]).unwrap();
    let target = Target::new(SchemaRef::parse("a/person/1.0.0").unwrap(), schema.into());
    Mapping::new(&config, EventMaker::new(&config.keys, target)?)
}

fn schemaless(lines: &str) -> Mapping {
    let text = format!("file=in\ntopic=t\n{lines}");
    let config = FileSourceConfig::read_all(Settings::parse("f", &text).unwrap()).unwrap();
    Mapping::new(
        &config,
        EventMaker::new(&config.keys, Target::Json).unwrap(),
    )
    .unwrap()
}

const CONTRACT: &str = "contract=a/contract/1.0.0\n";

fn plan(mapping: &Mapping, header: &str) -> Result<Plan, String> {
    let names: Vec<String> = header.split(',').map(str::to_owned).collect();
    mapping.plan(&names)
}

fn json(record: Result<Record, RecordError>) -> Result<String, String> {
    let record = record.map_err(|error| error.message)?;
    let mut out = Vec::new();
    record.value.unwrap().to_json(&mut out).unwrap();
    Ok(String::from_utf8(out).unwrap())
}

fn row(mapping: &Mapping, header: &str, row: &str) -> Result<String, String> {
    let plan = plan(mapping, header).unwrap();
    let mut values = Vec::new();
    let mut ends = Vec::new();
    for value in row.split(',') {
        values.extend_from_slice(value.as_bytes());
        ends.push(values.len());
    }
    json(mapping.row(&plan, &values, &ends))
}

#[test]
fn columns_fill_the_fields_of_their_names() {
    let mapping = mapping(&format!(
        "{CONTRACT}columns.email=mail\ncolumns.ignore=internal\ntimestamp.column=at\nconsent.column=consent"
    ))
    .unwrap();
    let header = "mail,age,address.city,internal,at,consent";
    assert_eq!(
        row(
            &mapping,
            header,
            "a@b.c,44,Delft,x,1970-01-01T00:00:01Z,1;2"
        )
        .unwrap(),
        r#"{"strmMeta":{"eventContractRef":"a/contract/1.0.0","timestamp":1000,"consentLevels":[1,2]},"email":"a@b.c","age":44,"levels":null,"address":{"city":"Delft","zip":null}}"#
    );
    assert_eq!(
        row(&mapping, header, "a@b.c,,Delft,x,5,").unwrap(),
        r#"{"strmMeta":{"eventContractRef":"a/contract/1.0.0","timestamp":5,"consentLevels":[]},"email":"a@b.c","age":null,"levels":null,"address":{"city":"Delft","zip":null}}"#
    );
}

#[test]
fn a_column_that_says_consent_stays_where_the_schema_has_a_field_for_it() {
    let both = mapping(&format!("{CONTRACT}consent.column=levels")).unwrap();
    let event = row(&both, "email,levels", "a,1").unwrap();
    assert!(event.contains(r#""consentLevels":[1]"#), "{event}");
    assert!(event.contains(r#""levels":"1""#), "{event}");
}

#[test]
fn consent_is_what_the_configuration_says_of_all_rows_and_otherwise_none() {
    let fixed = mapping(&format!("{CONTRACT}consent.levels=1,2")).unwrap();
    let event = row(&fixed, "email", "a").unwrap();
    assert!(event.contains(r#""consentLevels":[1,2]"#), "{event}");
    let unsaid = mapping(CONTRACT).unwrap();
    let event = row(&unsaid, "email", "a").unwrap();
    assert!(event.contains(r#""consentLevels":[]"#), "{event}");
}

#[test]
fn a_header_that_does_not_fit_is_refused_with_all_that_is_wrong() {
    let checked = |lines: &str, header: &str| {
        plan(&mapping(&format!("{CONTRACT}{lines}")).unwrap(), header)
            .map(|_| ())
            .unwrap_err()
    };
    assert_eq!(
        checked("", "emial,email,internal"),
        "the schema a/person/1.0.0 has no field for column 'emial' (did you mean 'email'?), column 'internal'; give \
         each its field with columns.<field>=<column>, or leave it out with columns.ignore"
    );
    assert_eq!(
        checked("", "email,age,email"),
        "column 'email' is there twice"
    );
    assert_eq!(
        checked("", "age"),
        "there is no column for 'email', which the schema a/person/1.0.0 requires"
    );
    assert_eq!(
        checked("columns.email=mial", "mail,email"),
        "columns.email: there is no column 'mial' (did you mean 'mail'?); the schema a/person/1.0.0 has no field for \
         column 'mail' (did you mean 'email'?); give each its field with columns.<field>=<column>, or leave it out with columns.ignore"
    );
    assert_eq!(
        checked("consent.column=consent\ntimestamp.column=time", "email"),
        "timestamp.column: there is no column 'time'; consent.column: there is no column 'consent'"
    );
    assert!(
        plan(
            &mapping(&format!("{CONTRACT}columns.ignore=*")).unwrap(),
            "email,x,y"
        )
        .is_ok()
    );
    assert_eq!(
        plan(&mapping("").unwrap(), "email")
            .map(|_| ())
            .unwrap_err(),
        "there is no column for 'strmMeta.eventContractRef', which the schema a/person/1.0.0 requires"
    );
}

#[test]
fn fields_that_the_schema_lacks_are_refused_before_any_file() {
    for (lines, expected) in [
        (
            "columns.emial=mail",
            "columns.emial: the schema a/person/1.0.0 has no such field: field path 'emial': record Person has no field 'emial' (did you mean 'email'?)",
        ),
        (
            "consent.levels=1\nmeta.consent.levels=meta.levels",
            "consent.levels: the schema a/person/1.0.0 has no field meta.levels (meta.consent.levels) for it",
        ),
        (
            "timestamp.column=at\nmeta.timestamp=time",
            "timestamp.column: the schema a/person/1.0.0 has no field time (meta.timestamp) for it",
        ),
    ] {
        let error = mapping(lines).map(|_| ()).unwrap_err();
        assert_eq!(error.message, expected);
    }
}

#[test]
fn a_row_that_does_not_fit_is_told_by_its_column_and_never_by_its_value() {
    let mapping = mapping(&format!(
        "{CONTRACT}timestamp.column=at\nconsent.column=consent"
    ))
    .unwrap();
    let header = "email,age,at,consent";
    for (text, expected) in [
        ("secret,secret,1,", "column 'age' is not a whole number"),
        (
            "secret,1,secret,",
            "column 'at' is not milliseconds since the epoch or an ISO 8601 time such as 2024-05-01T12:00:00Z",
        ),
        ("secret,1,,", "column 'at' holds no time"),
        (
            "secret,1,1,secret",
            "column 'consent' does not hold consent levels such as 1,2",
        ),
        ("secret,1", "the row has 2 values, and there are 4 columns"),
        (
            "secret,99999999999,1,",
            "the row does not fit a/person/1.0.0: field 'age': is out of the range of int",
        ),
    ] {
        assert_eq!(row(&mapping, header, text).unwrap_err(), expected);
    }
    let plan = plan(&mapping, "email,at,consent").unwrap();
    let values = [b"\xFFsecret1".as_slice(), b""].concat();
    let error = mapping.row(&plan, &values, &[7, 8, 8]).unwrap_err();
    assert_eq!(error.message, "column 'email' is not UTF-8");
}

#[test]
fn lines_of_json_are_mapped_by_the_names_of_their_members() {
    let mut mapping = mapping(&format!(
        "{CONTRACT}columns.email=contact.mail\ncolumns.address.city=town\ncolumns.ignore=contact,*\n\
         timestamp.column=at\nconsent.column=consent"
    ))
    .unwrap();
    let line = r#"{"contact":{"mail":"a@b.c"},"town":"Delft","address":{"zip":"1"},"at":"1970-01-01T00:00:01Z","consent":[2],"unknown":1}"#;
    assert_eq!(
        json(mapping.line(line.as_bytes())).unwrap(),
        r#"{"strmMeta":{"eventContractRef":"a/contract/1.0.0","timestamp":1000,"consentLevels":[2]},"email":"a@b.c","age":null,"levels":null,"address":{"city":"Delft","zip":"1"}}"#
    );
    for (line, expected) in [
        (r#"["secret"]"#, "the line is an array and not an object"),
        (r#"{"secret""#, "malformed JSON at byte 9: ':' expected"),
        (
            r#"{"at":"secret"}"#,
            "member 'at' is not milliseconds since the epoch or an ISO 8601 time such as 2024-05-01T12:00:00Z",
        ),
        (r#"{"consent":1}"#, "member 'at' holds no time"),
        (
            r#"{"at":1,"consent":"secret"}"#,
            "member 'consent' does not hold consent levels such as 1,2",
        ),
        (
            r#"{"at":1}"#,
            "the row does not fit a/person/1.0.0: field 'email': is missing, and the schema has no default for it",
        ),
    ] {
        assert_eq!(
            json(mapping.line(line.as_bytes())).unwrap_err(),
            expected,
            "{line}"
        );
    }
}

#[test]
fn whole_events_in_lines_keep_what_they_say_of_themselves() {
    let mut mapping = mapping("").unwrap();
    let line =
        r#"{"strmMeta":{"eventContractRef":"own/one/1.0.0","consentLevels":[3]},"email":"a"}"#;
    let event = json(mapping.line(line.as_bytes())).unwrap();
    assert!(
        event.contains(r#""eventContractRef":"own/one/1.0.0""#),
        "{event}"
    );
    assert!(event.contains(r#""consentLevels":[3]"#), "{event}");
}

#[test]
fn without_a_schema_rows_are_json_as_they_stand() {
    let plain = schemaless("columns.who.mail=email\ncolumns.ignore=x");
    assert_eq!(
        row(&plain, "email,a.b,n,x", "a@b.c,1,,2").unwrap(),
        r#"{"who":{"mail":"a@b.c"},"a.b":"1","n":null}"#
    );
    let mut plain = schemaless("consent.column=c");
    assert_eq!(
        json(plain.line(br#"{"a":1.50,"c":"1"}"#)).unwrap(),
        r#"{"a":1.5,"c":"1","strmMeta":{"consentLevels":[1]}}"#
    );
}
