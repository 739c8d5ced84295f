//! How long stores are waited for.

use penstock_connect::config;
use penstock_connect::config::Millis;

config! {
    /// How long stores are waited for.
    #[check(check)]
    pub struct PatienceKeys {
        /// Longest that nothing of a request may move, neither its bytes nor its answer. It is made again then.
        "store.timeout.ms" => timeout: Millis = "30000",
    }
}

fn check(config: &PatienceKeys) -> Vec<(&'static str, String)> {
    if config.timeout.0.is_zero() {
        return vec![("store.timeout.ms", "must be at least 1".to_owned())];
    }
    Vec::new()
}
