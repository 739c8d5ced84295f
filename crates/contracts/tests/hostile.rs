//! Contracts come over the network, too: whatever the text, it is read or refused.
#![allow(clippy::unwrap_used)]

#[path = "../../formats/tests/damage/mod.rs"]
mod damage;

use damage::{damage, damaged};
use penstock_contracts::Contract;
use proptest::prelude::*;

const CONTRACT: &str = r#"{"ref": "shop/orders/1.0.0", "schemaRef": "shop/order/1.0.0", "state": "ACTIVE", "isPublic": false,
    "keyField": "customer/id", "piiFields": {"customer/id": 0, "customer/emails": 1}, "metadata": {"owner": ["a", null]},
    "validations": [{"field": "customer/emails", "type": "regex", "value": "^[^@]+@\\w{2,9}\\.\u00e9$"}],
    "dataSubjectField": "customer/id"}"#;

#[test]
fn the_text_itself_is_a_contract() {
    assert!(Contract::parse("c.json", CONTRACT).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_damaged_contract_is_read_or_refused_with_its_place(damage in damage()) {
        let bytes = damaged(CONTRACT.into(), &damage);
        let text = String::from_utf8_lossy(&bytes);
        match Contract::parse("c.json", &text) {
            Ok(contract) => {
                contract.to_json();
            }
            Err(problems) => prop_assert!(problems.iter().all(|p| p.to_string().starts_with("c.json"))),
        }
    }
}
