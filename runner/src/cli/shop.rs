//! Visitors of a made-up web shop, who click around with the consent that they have given.

use rand::Rng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

/// A web shop with its visitors.
#[derive(Debug)]
pub(super) struct Shop {
    visitors: Vec<Visitor>,
    contract: String,
}

#[derive(Debug)]
struct Visitor {
    id: String,
    session: String,
    consent: Vec<i32>,
    clicks_left: u32,
}

const PAGES: &[&str] = &[
    "/",
    "/shoes",
    "/shoes/trail-runner",
    "/coats",
    "/coats/rain",
    "/hats/felt",
    "/cart",
    "/checkout",
    "/search",
];
const SEARCHES: &[&str] = &[
    "waterproof boots size 41",
    "gift for my sister in Utrecht",
    "return order 20211",
    "orthopaedic insoles",
];

impl Visitor {
    fn new() -> Self {
        let mut random = rand::rng();
        // What people click in a consent dialog: nothing, some, or all; levels are cumulative.
        let highest = *[0, 0, 1, 2, 2, 3].choose(&mut random).unwrap_or(&0);
        Self {
            id: uuid::Uuid::new_v4().to_string(),
            session: format!("session-{}", uuid::Uuid::new_v4().simple()),
            consent: (0..=highest).collect(),
            clicks_left: random.random_range(3..30),
        }
    }
}

impl Shop {
    pub(super) fn new(visitors: usize, contract: &str) -> Self {
        Self {
            visitors: (0..visitors).map(|_| Visitor::new()).collect(),
            contract: contract.to_owned(),
        }
    }

    /// The next click of some visitor; who has clicked enough leaves, and another comes.
    pub(super) fn click(&mut self) -> Value {
        let mut random = rand::rng();
        let index = random.random_range(0..self.visitors.len());
        let visitor = &mut self.visitors[index];
        let page = *PAGES.choose(&mut random).unwrap_or(&"/");
        let search = (page == "/search").then(|| *SEARCHES.choose(&mut random).unwrap_or(&""));
        let event = json!({
            "strmMeta": {
                "eventContractRef": self.contract,
                "nonce": random.random::<i32>(),
                "consentLevels": visitor.consent,
            },
            "uniqueIdentifier": visitor.id,
            "consistentValue": visitor.session,
            "someSensitiveValue": search.unwrap_or("a visitor of the web shop"),
            "notSensitiveValue": page,
        });
        visitor.clicks_left = visitor.clicks_left.saturating_sub(1);
        if visitor.clicks_left == 0 {
            *visitor = Visitor::new();
        }
        event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visitor_keeps_identity_and_consent_while_clicking() {
        let mut shop = Shop::new(1, "a/b/1.0.0");
        let (first, second) = (shop.click(), shop.click());
        assert_eq!(first["consistentValue"], second["consistentValue"]);
        assert_eq!(
            first["strmMeta"]["consentLevels"],
            second["strmMeta"]["consentLevels"]
        );
        assert_ne!(first["strmMeta"]["nonce"], second["strmMeta"]["nonce"]);
    }
}
