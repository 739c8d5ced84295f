//! What the process's environment sets for the clients of stores. What is empty there is not set, as for
//! the stores' own tools.

use std::env;

/// The value of a variable, if it has one.
pub(super) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The variables that begin so, by their names in lower case.
pub(super) fn beginning_with(prefix: &str) -> impl Iterator<Item = (String, String)> {
    env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(move |(name, value)| name.starts_with(prefix) && !value.is_empty())
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
}
