//! Checks JSON text from strangers: well-formed, UTF-8, no name twice in an object, not too deep.

use crate::error::FormatError;
use crate::fields::Limits;
use crate::found::Found;
use crate::json::find;
use crate::trie::Trie;

/// Checks a whole text.
pub(crate) fn check(json: &[u8], limits: &Limits) -> Result<(), FormatError> {
    find::find_checked(&Trie::new(&[]), json, &mut Found::new(), limits.depth)
}
