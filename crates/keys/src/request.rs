//! What callers ask for, and what they get.

use std::borrow::Cow;
use std::fmt;

use zeroize::Zeroizing;

/// Asks for the current key of a value.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyRequest<'a> {
    /// The stream that the event goes to.
    pub stream: &'a str,
    /// The value of the event's key field.
    pub value: Cow<'a, str>,
    /// Whom the event is about, if the contract names a field for it. Kept, as a hash, with a key that
    /// this request makes.
    pub subject: Option<Cow<'a, str>>,
}

impl fmt::Debug for KeyRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRequest")
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

/// A key in the clear, for those who may decrypt elsewhere.
#[derive(Clone)]
pub struct ExportedKey {
    /// The link that events name it by.
    pub key_link: String,
    /// Tink's JSON keyset, in the clear.
    pub encryption_key: Zeroizing<String>,
    /// End of its window, milliseconds since the epoch.
    pub expires_at: i64,
}

impl fmt::Debug for ExportedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportedKey")
            .field("key_link", &self.key_link)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
