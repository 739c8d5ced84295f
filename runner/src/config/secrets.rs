//! What is hidden where a connector's settings are shown.

use std::collections::BTreeMap;

use penstock_connect::properties::is_reference;

/// What stands in REST's answers in place of a secret.
pub(crate) const HIDDEN: &str = "[hidden]";

/// Keys that hold secrets have one of these in their name, whatever plugin or client they belong to.
const WORDS: [&str; 10] = [
    "password",
    "passphrase",
    "secret",
    "token",
    "jaas",
    "user.info",
    "credentials.json",
    // A private key in PEM; certificates are for everybody.
    "keystore.key",
    "private.key",
    "api.key",
];

/// Hides the secrets: the keys that are `declared` to be some, and those whose name says so. A reference
/// tells nothing and stays; text around one may be the secret itself.
pub(super) fn hide(shown: &mut BTreeMap<String, String>, declared: &[String]) {
    for (key, value) in shown {
        let is_secret = declared.contains(key) || WORDS.iter().any(|word| key.contains(word));
        if is_secret && !is_reference(value) {
            HIDDEN.clone_into(value);
        }
    }
}
