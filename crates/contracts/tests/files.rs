//! Contract files: what is read, and what is said about what cannot be.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use penstock_contracts::{Contract, Contracts, State};

const DEMO: &str = r#"{
  "ref": "streammachine/example/1.3.0",
  "schemaRef": "streammachine/demo/1.0.2",
  "state": "ACTIVE",
  "keyField": "consistentValue",
  "piiFields": {"uniqueIdentifier": 1, "consistentValue": 2, "customer/id": 0},
  "validations": [{"field": "consistentValue", "type": "regex", "value": "^.+$"}]
}"#;

fn problems(text: &str) -> Vec<String> {
    Contract::parse("c.json", text)
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn the_demo_contract_is_read_and_written_in_the_form_of_the_files() {
    let contract = Contract::parse("c.json", DEMO).unwrap();
    assert_eq!(contract.reference.as_str(), "streammachine/example/1.3.0");
    assert_eq!(contract.schema_ref.as_str(), "streammachine/demo/1.0.2");
    assert_eq!(contract.state, State::Active);
    let levels: Vec<_> = contract
        .rules
        .pii_fields
        .iter()
        .map(|pii| (pii.path.to_string(), pii.level))
        .collect();
    assert_eq!(
        levels,
        [
            ("uniqueIdentifier".to_owned(), 1),
            ("consistentValue".to_owned(), 2),
            ("customer.id".to_owned(), 0)
        ]
    );
    let written = contract.to_json();
    assert_eq!(written["piiFields"]["customer/id"], 0);
    let again = Contract::parse("c.json", &written.to_string()).unwrap();
    assert_eq!(again, contract);
}

#[test]
fn references_are_also_read_in_their_long_form() {
    let long = DEMO.replace(
        r#""ref": "streammachine/example/1.3.0""#,
        r#""ref": {"handle": "streammachine", "name": "example", "version": "1.3.0"}"#,
    );
    assert_eq!(
        Contract::parse("c.json", &long).unwrap(),
        Contract::parse("c.json", DEMO).unwrap()
    );
}

#[test]
fn the_later_form_with_field_metadata_means_the_same() {
    let later = DEMO.replace(
        r#""piiFields": {"uniqueIdentifier": 1, "consistentValue": 2, "customer/id": 0}"#,
        r#""fieldMetadata": [
            {"fieldName": "uniqueIdentifier", "personalDataConfig": {"isPii": true, "isQuasiId": false, "purposeLevel": 1}},
            {"fieldName": "consistentValue", "personalDataConfig": {"isPii": true, "purposeLevel": 2}},
            {"fieldName": "customer/id", "personalDataConfig": {"isPii": true, "purposeLevel": 0}},
            {"fieldName": "plain", "personalDataConfig": {"isPii": false}},
            {"fieldName": "undescribed"}
        ]"#,
    );
    assert_eq!(
        Contract::parse("c.json", &later).unwrap(),
        Contract::parse("c.json", DEMO).unwrap()
    );
}

#[test]
fn what_the_later_form_asks_for_beyond_levels_is_refused_by_name() {
    let later = DEMO.replace(
        r#""piiFields": {"uniqueIdentifier": 1, "consistentValue": 2, "customer/id": 0}"#,
        r#""fieldMetadata": [
            {"fieldName": "a", "personalDataConfig": {"isQuasiId": true}},
            {"fieldName": "b", "nullHandlingConfig": {"type": "DROP_RECORD"}},
            {"fieldName": "c", "personalDataConfig": {"isPii": true}}
        ]"#,
    );
    assert_eq!(
        problems(&later),
        [
            "c.json:7:68: $.fieldMetadata[0].personalDataConfig.isQuasiId: quasi-identifiers are not treated on their own here; mark the field with isPii",
            "c.json:8:54: $.fieldMetadata[1].nullHandlingConfig: handling of nulls is not carried out here; leave it out and let the schema require the field",
            "c.json:9:54: $.fieldMetadata[2].personalDataConfig: purposeLevel is missing",
        ]
    );
}

#[test]
fn every_problem_of_a_file_is_reported_with_its_place() {
    let text = r#"{
  "ref": "streammachine/example",
  "schemRef": "streammachine/demo/1.0.2",
  "state": "ACTIV",
  "isPublic": "yes",
  "keyField": "a..b",
  "piiFields": {"x": -1, "y/z": "two", "y": 3, "x": 1},
  "validations": [{"feild": "x", "type": "range", "value": "(?=x)"}, 7]
}"#;
    assert_eq!(
        problems(text),
        [
            "c.json:1:1: $: schemaRef is missing",
            "c.json:2:10: $.ref: \"streammachine/example\" is not a contract reference: expected handle/name/x.y.z with names of letters, digits, '_' and '-'",
            "c.json:3:15: $.schemRef: unknown key; did you mean schemaRef?",
            "c.json:4:12: $.state: no state \"ACTIV\"; did you mean ACTIVE?",
            "c.json:5:15: $.isPublic: must be true or false, not text",
            "c.json:6:15: $.keyField: field path 'a..b' has an empty segment",
            "c.json:7:22: $.piiFields.x: must be a level (a whole number from 0), not -1",
            "c.json:7:33: $.piiFields[\"y/z\"]: must be a level (a whole number from 0), not text",
            "c.json:7:53: $.piiFields.x: given twice; keep one of them",
            "c.json:8:19: $.validations[0]: field is missing",
            "c.json:8:29: $.validations[0].feild: unknown key; did you mean field?",
            "c.json:8:42: $.validations[0].type: must be regex, not \"range\"",
            "c.json:8:60: $.validations[0].value: \"(?=x)\" is no regular expression of Rust's regex syntax: look-around, including look-ahead and look-behind, is not supported",
            "c.json:8:70: $.validations[1]: must be an object, not 7",
        ]
    );
}

#[test]
fn two_personal_fields_may_not_contain_each_other() {
    let text = DEMO.replace(r#""customer/id": 0"#, r#""customer/id": 0, "customer": 1"#);
    assert_eq!(
        problems(&text),
        [
            "c.json:6:92: $.piiFields.customer: customer/id and customer name the same field, or one lies within the other"
        ]
    );
}

#[test]
fn text_that_is_not_json_is_reported_with_line_and_column() {
    assert_eq!(
        problems("{\n  \"ref\": ,\n}"),
        ["c.json:2:10: not JSON: expected value"]
    );
    assert_eq!(
        problems("[]"),
        ["c.json:1:1: $: must be an object, not a list"]
    );
}

fn write(dir: &Path, name: &str, text: &str) {
    let file = dir.join(name);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
}

#[test]
fn a_directory_is_read_as_handle_name_version() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "streammachine/example/1.3.0.json", DEMO);
    write(dir.path(), "README.md", "about these contracts");
    let contracts = Contracts::load_dir(dir.path()).unwrap();
    assert_eq!(contracts.list().len(), 1);
    assert!(contracts.get("streammachine/example/1.3.0").is_some());
    assert!(contracts.get("streammachine/example/1.4.0").is_none());
}

#[test]
fn a_file_in_the_wrong_place_and_a_broken_one_are_both_reported() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "streammachine/example/1.4.0.json", DEMO);
    write(dir.path(), "z/z/1.0.0.json", "{}");
    let problems = Contracts::load_dir(dir.path()).unwrap_err();
    let texts: Vec<String> = problems
        .iter()
        .map(|problem| {
            problem
                .to_string()
                .replace(&dir.path().display().to_string(), "DIR")
        })
        .collect();
    assert_eq!(
        texts[0],
        "DIR/streammachine/example/1.4.0.json: $.ref: is streammachine/example/1.3.0, but the file lies where streammachine/example/1.4.0 belongs; it should be DIR/streammachine/example/1.3.0.json"
    );
    assert_eq!(texts[1], "DIR/z/z/1.0.0.json:1:1: $: ref is missing");
    assert_eq!(texts.len(), 5);
}

#[test]
fn a_missing_directory_is_a_problem() {
    let problems = Contracts::load_dir(Path::new("no/such/dir")).unwrap_err();
    assert!(
        problems[0]
            .to_string()
            .starts_with("no/such/dir: cannot read the directory: ")
    );
}

#[test]
fn from_approved_on_only_the_state_changes_and_only_forwards() {
    let with = |state: &str, level: &str| {
        let text = DEMO.replace("ACTIVE", state).replace(
            r#""uniqueIdentifier": 1"#,
            &format!(r#""uniqueIdentifier": {level}"#),
        );
        Contract::parse("c.json", &text).unwrap()
    };
    let contracts = Contracts::new();
    contracts.put(with("DRAFT", "1")).unwrap();
    contracts.put(with("IN_REVIEW", "2")).unwrap();
    contracts.put(with("DRAFT", "3")).unwrap();
    contracts.put(with("APPROVED", "3")).unwrap();
    let generation = contracts.generation();
    assert_eq!(
        contracts
            .put(with("APPROVED", "1"))
            .unwrap_err()
            .to_string(),
        "contract streammachine/example/1.3.0 is APPROVED, and from APPROVED on only its state may change; give the changed one a new version"
    );
    assert_eq!(
        contracts.put(with("DRAFT", "3")).unwrap_err().to_string(),
        "contract streammachine/example/1.3.0 is APPROVED and cannot become DRAFT"
    );
    assert_eq!(contracts.generation(), generation);
    contracts.put(with("ACTIVE", "3")).unwrap();
    contracts.put(with("ARCHIVED", "3")).unwrap();
    assert_eq!(contracts.generation(), generation + 2);
    assert!(contracts.remove("streammachine/example/1.3.0").is_some());
    assert!(contracts.list().is_empty());
}
