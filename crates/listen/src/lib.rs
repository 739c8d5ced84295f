//! What the HTTP listeners of a worker share.

pub mod origin;
mod refusal;

pub use refusal::hear_out;
