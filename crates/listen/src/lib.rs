//! What the HTTP listeners of a worker share.

pub mod origin;
mod refusal;
mod tokens;

pub use refusal::hear_out;
pub use tokens::{Tokens, bearer};
