//! Which fields of an event are about the event itself.

use penstock_formats::FieldPath;

/// The meta fields of events. The defaults are those of the demo schema; a schema that lacks one of
/// them simply has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaFields {
    /// Names the event's contract.
    pub contract_ref: FieldPath,
    /// A number that tells events apart; filled in at intake.
    pub nonce: FieldPath,
    /// When the event was accepted, in milliseconds since the epoch; filled in at intake.
    pub timestamp: FieldPath,
    /// Names the key that the event's personal fields are encrypted with; filled in by the encrypter.
    pub key_link: FieldPath,
    /// The levels that the person has consented to.
    pub consent_levels: FieldPath,
}

impl MetaFields {
    /// All of them.
    pub(crate) fn all(&self) -> [&FieldPath; 5] {
        [
            &self.contract_ref,
            &self.nonce,
            &self.timestamp,
            &self.key_link,
            &self.consent_levels,
        ]
    }
}

impl Default for MetaFields {
    fn default() -> Self {
        #[allow(
            clippy::expect_used,
            reason = "the names are literals without empty parts"
        )]
        let meta =
            |name| FieldPath::from_segments(["strmMeta", name]).expect("the path is well-formed");
        Self {
            contract_ref: meta("eventContractRef"),
            nonce: meta("nonce"),
            timestamp: meta("timestamp"),
            key_link: meta("keyLink"),
            consent_levels: meta("consentLevels"),
        }
    }
}
