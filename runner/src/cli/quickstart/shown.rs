//! What was sent and what came out of it, side by side.

use std::collections::{HashMap, VecDeque};
use std::io::{IsTerminal, Write};

use comfy_table::{ContentArrangement, Row, Table, presets};
use serde_json::Value;

/// Events of each kind that are kept to be shown.
const KEPT: usize = 2000;

/// The level of `demo-2`.
const LEVEL: i64 = 2;

/// Width of the table where there is no terminal.
const WIDTH: u16 = 150;

/// Fields of an event, from the personal ones to the others.
const FIELDS: &[&str] = &[
    "uniqueIdentifier",
    "consistentValue",
    "someSensitiveValue",
    "notSensitiveValue",
];

/// Events of one kind: how many, and the latest of them by their nonces.
#[derive(Debug, Default)]
pub(super) struct Events {
    count: u64,
    latest: HashMap<i64, Value>,
    order: VecDeque<i64>,
}

impl Events {
    /// Counts some that came too fast to be seen.
    pub(super) fn miss(&mut self, events: u64) {
        self.count += events;
    }

    pub(super) fn add(&mut self, event: Value) {
        self.count += 1;
        let Some(nonce) = event["strmMeta"]["nonce"].as_i64() else {
            return;
        };
        if self.latest.insert(nonce, event).is_none() {
            self.order.push_back(nonce);
        }
        if self.order.len() > KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.latest.remove(&oldest);
        }
    }
}

/// The three stages of an event.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) sent: Events,
    pub(super) demo: Events,
    pub(super) derived: Events,
    /// Of those that were sent, how many may come out in `demo-2`.
    consenting: u64,
}

impl Shown {
    pub(super) fn sent(&mut self, event: Value) {
        self.consenting += u64::from(consents(&event));
        self.sent.add(event);
    }

    /// Whether all that was sent lies in `demo`.
    pub(super) fn is_stored(&self) -> bool {
        self.demo.count >= self.sent.count
    }

    /// Whether all has come out that may.
    pub(super) fn is_complete(&self) -> bool {
        self.is_stored() && self.derived.count >= self.consenting
    }

    pub(super) fn summary(&self) -> String {
        format!(
            "{} events sent, {} in demo (encrypted), {} in demo-2 (consent level {LEVEL} or higher)",
            self.sent.count, self.demo.count, self.derived.count
        )
    }

    /// The latest event with enough consent and the latest without, each as it was sent and as it
    /// came out.
    pub(super) fn table(&self) -> Table {
        let terminal = std::io::stdout().is_terminal();
        let mut table = Table::new();
        table
            .load_preset(presets::UTF8_FULL_CONDENSED)
            .set_content_arrangement(ContentArrangement::Dynamic);
        if !terminal {
            table.set_width(WIDTH);
        }
        table.set_header([
            "field".to_owned(),
            format!("sent: {}", self.sent.count),
            format!("in demo: {}", self.demo.count),
            format!("in demo-2: {}", self.derived.count),
        ]);
        let mut rows = self.rows(true);
        let without = self.rows(false);
        if !rows.is_empty() && !without.is_empty() {
            rows.push(Default::default());
        }
        rows.extend(without);
        for cells in rows {
            let mut row = Row::from(cells);
            if terminal {
                // One line each, so that all of it fits on the screen.
                row.max_height(1);
            }
            table.add_row(row);
        }
        table
    }

    /// The latest event that consents, or does not, in all its stages.
    fn rows(&self, consenting: bool) -> Vec<[String; 4]> {
        let arrived = |nonce: &&i64| {
            self.demo.latest.contains_key(*nonce)
                && self.derived.latest.contains_key(*nonce) == consenting
                && consents(&self.sent.latest[*nonce]) == consenting
        };
        let Some(nonce) = self.sent.order.iter().rev().find(arrived) else {
            return Vec::new();
        };
        let stages = [&self.sent, &self.demo, &self.derived];
        let row = |name: &str, show: &dyn Fn(&Value) -> String| {
            let [sent, demo, derived] =
                stages.map(|stage| stage.latest.get(nonce).map(show).unwrap_or_default());
            [name.to_owned(), sent, demo, derived]
        };
        let mut rows = vec![row("consentLevels", &|event| {
            event["strmMeta"]["consentLevels"].to_string()
        })];
        if !consenting {
            rows[0][3] = "(no consent: not here)".to_owned();
        }
        for field in FIELDS {
            rows.push(row(field, &|event| {
                event[field].as_str().unwrap_or("null").to_owned()
            }));
        }
        rows
    }
}

/// Whether an event's consent suffices for `demo-2`: levels are cumulative.
fn consents(event: &Value) -> bool {
    let levels = event["strmMeta"]["consentLevels"].as_array();
    let highest = levels.and_then(|levels| levels.iter().filter_map(Value::as_i64).max());
    highest >= Some(LEVEL)
}

/// The table in its place: on a terminal each drawing replaces the one before.
#[derive(Debug, Default)]
pub(super) struct Screen {
    lines: usize,
}

impl Screen {
    pub(super) fn draw(&mut self, table: &Table) {
        let table = table.trim_fmt();
        let mut out = std::io::stdout().lock();
        if out.is_terminal() && self.lines > 0 {
            // Up from where a typed ^C stands, too, and clear to the end of the screen.
            let _ = write!(out, "\r\x1b[{}A\x1b[J", self.lines);
        }
        self.lines = table.lines().count();
        let _ = writeln!(out, "{table}");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(nonce: i64, levels: &[i64]) -> Value {
        json!({"strmMeta": {"nonce": nonce, "consentLevels": levels}})
    }

    #[test]
    fn all_has_come_out_when_all_is_stored_and_those_who_consent_are_through() {
        let mut shown = Shown::default();
        for (nonce, levels) in [(1, &[0, 1, 2][..]), (2, &[0]), (3, &[]), (4, &[3, 0])] {
            shown.sent(event(nonce, levels));
            shown.demo.add(event(nonce, levels));
        }
        assert!(shown.is_stored() && !shown.is_complete());
        shown.derived.add(event(1, &[0, 1, 2]));
        // Seen or not, it is through.
        shown.derived.miss(1);
        assert!(shown.is_complete());
        assert_eq!(
            shown.summary(),
            "4 events sent, 4 in demo (encrypted), 2 in demo-2 (consent level 2 or higher)"
        );
    }

    #[test]
    fn the_oldest_events_make_room_and_are_still_counted() {
        let mut events = Events::default();
        for nonce in 0..=2000 {
            events.add(event(nonce, &[]));
        }
        assert_eq!((events.count, events.latest.len()), (2001, KEPT));
        assert!(!events.latest.contains_key(&0) && events.latest.contains_key(&2000));
    }
}
