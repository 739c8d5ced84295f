//! What is remembered and stored, and that no history loses an event or brings one twice.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::decoder::Decoder;
use crate::event::EventReader;
use crate::position::Position;

fn id(text: &str) -> Arc<str> {
    text.into()
}

/// As EventStreams writes it.
fn cursor(a: i64, b: i64) -> Arc<str> {
    format!(
        r#"[{{"topic":"eqiad.s","partition":0,"timestamp":{a}}},{{"topic":"codfw.s","partition":0,"timestamp":{b}}},{{"topic":"eqiad.t","partition":0,"offset":-1}}]"#
    )
    .into()
}

fn stored(recent: &Recent, id: &str) -> usize {
    BASE64_STANDARD.decode(recent.store(id)).unwrap().len() / 8
}

fn event(number: usize) -> Identity {
    Identity::of_id(&number.to_string())
}

fn placed(id: &Arc<str>, data: &[u8]) -> Option<Identity> {
    let event = ServerEvent {
        kind: "message".into(),
        id: Arc::clone(id),
        own_id: true,
        data: None,
    };
    Identity::of_data(&event, data)
}

#[test]
fn an_event_with_an_id_of_its_own_is_new_once() {
    let mut recent = Recent::default();
    let own = Some(Identity::of_id("a"));
    assert!(recent.insert(own, &id("1"), None));
    assert!(!recent.insert(own, &id("2"), None));
    assert!(recent.insert(Some(Identity::of_id("b")), &id("2"), None));
}

#[test]
fn one_without_comes_again_only_after_a_resume_and_as_often_as_it_came() {
    let mut recent = Recent::default();
    let (one, two) = (id("1"), id("2"));
    for _ in 0..3 {
        assert!(recent.insert(placed(&one, b"x"), &one, None));
    }
    recent.resume("1");
    assert!(recent.insert(placed(&one, b"y"), &one, None));
    for _ in 0..3 {
        assert!(!recent.insert(placed(&one, b"x"), &one, None));
    }
    assert!(recent.insert(placed(&one, b"x"), &one, None));
    // A server that resumes behind 2 does not go back to 1.
    assert!(recent.insert(placed(&two, b"x"), &two, None));
    recent.resume("2");
    assert!(recent.insert(placed(&one, b"x"), &one, None));
}

#[test]
fn an_event_that_nothing_tells_from_others_is_always_new() {
    let mut recent = Recent::default();
    for _ in 0..3 {
        assert!(recent.insert(None, &id("1"), None));
        recent.resume("1");
    }
    assert_eq!(stored(&recent, "1"), 0);
}

#[test]
fn the_oldest_of_ten_thousand_are_forgotten() {
    let mut recent = Recent::default();
    for number in 0..=REMEMBERED {
        assert!(recent.insert(Some(event(number)), &id("1"), None));
    }
    assert!(!recent.insert(Some(event(1)), &id("1"), None));
    assert!(recent.insert(Some(event(0)), &id("1"), None));
}

#[test]
fn what_was_stored_is_known_after_a_restart() {
    let mut recent = Recent::default();
    for number in 0..1000 {
        recent.insert(Some(event(number)), &cursor(7, 3), None);
    }
    let mut loaded = Recent::load(&recent.store(&cursor(7, 3)), &cursor(7, 3)).unwrap();
    for number in 0..1000 {
        assert!(
            !loaded.insert(Some(event(number)), &cursor(7, 3), None),
            "{number}"
        );
    }
    assert!(Recent::load("x", &id("1")).is_none());
    assert!(Recent::load("AAAA", &id("1")).is_none());
}

#[test]
fn events_of_the_last_timestamp_are_stored_and_older_ones_are_not() {
    let mut recent = Recent::default();
    for number in 0..5000_usize {
        let id = cursor(i64::try_from(number / 1000).unwrap(), 0);
        recent.insert(Some(event(number)), &id, Some("eqiad.s"));
    }
    assert_eq!(stored(&recent, &cursor(4, 0)), 1000);
    assert_eq!(stored(&recent, &cursor(3, 0)), 2000);
    // The other topic is where it was. That one moved can be told without its name.
    recent.insert(Some(event(5000)), &cursor(4, 9), None);
    assert_eq!(stored(&recent, &cursor(4, 9)), 1001);
}

#[test]
fn events_whose_topic_cannot_be_told_are_stored() {
    let mut recent = Recent::default();
    for number in 0..1000 {
        recent.insert(Some(event(number)), &cursor(1, 1), None);
    }
    assert_eq!(stored(&recent, &cursor(9, 9)), 1000);
}

#[test]
fn events_after_one_of_the_last_timestamp_are_stored_whatever_theirs_is() {
    let mut recent = Recent::default();
    let single = |timestamp: i64| id(&format!(r#"[{{"topic":"t","timestamp":{timestamp}}}]"#));
    for number in 0..1000 {
        let late = if number == 300 { 50 } else { 10 };
        recent.insert(Some(event(number)), &single(late), None);
    }
    // A server that seeks 20 finds event 300 and sends all from there.
    assert_eq!(stored(&recent, &single(20)), 700);
}

#[test]
fn of_other_ids_the_last_ones_are_stored_and_those_that_share_the_last() {
    let mut recent = Recent::default();
    for number in 0..5000_usize {
        recent.insert(Some(event(number)), &id(&number.to_string()), None);
    }
    assert_eq!(stored(&recent, "4999"), ALWAYS);
    for number in 5000..6000_usize {
        recent.insert(Some(event(number)), &id("same"), None);
    }
    assert_eq!(stored(&recent, "same"), 1000);
}
/// How a server names its events, and where it resumes.
#[derive(Clone, Copy, Debug)]
enum Server {
    /// By timestamp, at the first event that has it or a later one.
    Seeks,
    /// By an id that neighbours may share, at the first event that has it.
    SeeksId,
    /// By number, with the event of that number or behind it.
    Numbers { inclusive: bool },
    /// With a number now and then, or not at all; it goes on where it is.
    Live { every: usize },
}

#[derive(Clone, Debug)]
struct Sent {
    timestamp: u8,
    data: u8,
    own_id: bool,
}

impl Server {
    fn id(self, history: &[Sent], index: usize) -> Option<String> {
        let shared = |sent: &Sent| sent.timestamp;
        match self {
            Self::Seeks => Some(format!(
                r#"[{{"topic":"t","partition":0,"timestamp":{}}}]"#,
                history[index].timestamp
            )),
            Self::SeeksId => {
                let least = history[..=index].iter().map(shared).max();
                least.map(|id| format!("id-{id}"))
            }
            Self::Numbers { .. } => Some(index.to_string()),
            Self::Live { every } => (index % every == every - 1).then(|| index.to_string()),
        }
    }

    fn text(self, history: &[Sent], index: usize) -> String {
        let sent = &history[index];
        let id = self.id(history, index);
        let id = id.map_or(String::new(), |id| format!("id: {id}\n"));
        let meta = match sent.own_id {
            true => format!(r#", "meta": {{"id": "own-{index}"}}"#),
            false => String::new(),
        };
        format!("{id}data: {{\"data\": {}{meta}}}\n\n", sent.data)
    }

    /// The first event of a connection that resumes at `id`, after `reached` were sent.
    fn start(self, history: &[Sent], id: &str, reached: usize) -> usize {
        if let Self::Live { .. } = self {
            return reached;
        }
        if id.is_empty() {
            return 0;
        }
        let at = |index: &usize| self.id(history, *index).as_deref() == Some(id);
        let first = (0..history.len()).find(at).unwrap();
        match self {
            Self::Seeks => {
                let from = history[first].timestamp;
                history
                    .iter()
                    .position(|sent| sent.timestamp >= from)
                    .unwrap()
            }
            Self::Numbers { inclusive: false } => first + 1,
            _ => first,
        }
    }
}

fn any_server() -> impl Strategy<Value = Server> {
    prop_oneof![
        3 => Just(Server::Seeks),
        1 => Just(Server::SeeksId),
        1 => any::<bool>().prop_map(|inclusive| Server::Numbers { inclusive }),
        1 => (1..5_usize).prop_map(|every| Server::Live { every }),
        1 => Just(Server::Live { every: usize::MAX }),
    ]
}

fn any_history() -> impl Strategy<Value = Vec<Sent>> {
    // Few timestamps, not always in order, and hardly any difference in what the events hold.
    let sent = (0..4_u8, 0..2_u8, prop::bool::weighted(0.2));
    let sent = sent.prop_map(|(timestamp, data, own_id)| Sent {
        timestamp,
        data,
        own_id,
    });
    (prop::collection::vec(sent, 1..30), any::<bool>()).prop_map(|(mut history, sorted)| {
        if sorted {
            history.sort_by_key(|sent| sent.timestamp);
        }
        history
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn each_event_comes_once_wherever_connections_and_workers_end(
        history in any_history(),
        server in any_server(),
        ends in prop::collection::vec((0..12_usize, any::<bool>()), 0..8),
    ) {
        let mut reader = EventReader::new("t", None, 1000).unwrap();
        let mut position = Position::default();
        let (mut taken, mut reached) = (Vec::new(), 0);
        let in_order = history.is_sorted_by_key(|sent| sent.timestamp);
        let restarts = ends.iter().any(|(_, restarted)| *restarted);
        let last = (usize::MAX, false);
        for (length, restarted) in ends.into_iter().chain([last]) {
            if restarted {
                position = Position::load(Some(position.store())).unwrap();
            }
            position.resume();
            let mut decoder = Decoder::new(1000, Arc::clone(&position.id));
            let start = server.start(&history, &position.id, reached);
            let end = history.len().min(start.saturating_add(length));
            for index in start..end {
                decoder.feed(server.text(&history, index).as_bytes());
                let event = decoder.next_event().unwrap();
                let seen = reader.look(&event);
                if position.take(seen.identity, event.id, None) {
                    taken.push(history[index].data);
                }
            }
            reached = reached.max(end);
        }
        let sent: Vec<u8> = history.iter().map(|sent| sent.data).collect();
        if in_order || !restarts {
            prop_assert_eq!(taken, sent);
        } else {
            // A late event makes a server go further back than what lies beside the position.
            let count = |data: &[u8], wanted| data.iter().filter(|data| **data == wanted).count();
            prop_assert!((0..2).all(|data| count(&taken, data) >= count(&sent, data)));
        }
    }
}
