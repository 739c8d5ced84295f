//! Settings of Kafka clients in the worker's file: by the Java client's names, some with `producer.`,
//! `consumer.` or `admin.` before them.

use std::collections::BTreeMap;

use penstock_broker::kafka::{self, ClientSettings};
use penstock_connect::{Config, Problem, Settings};

use super::WorkerConfig;

/// Without brokers there is no client, and settings for one are not unknown but of no use.
pub(super) fn refuse(settings: &mut Settings, problems: &mut Vec<Problem>) {
    let keys: Vec<String> = settings.keys().map(str::to_owned).collect();
    for key in keys {
        if kafka::is_client_setting(client_name(&key)) {
            let message = "is a setting of Kafka clients, and there are none without bootstrap.servers: leave it out";
            problems.push(settings.problem(&key, message));
            settings.take(&key);
        }
    }
}

/// What stands before the settings of some clients.
const CLIENTS: [&str; 3] = ["producer.", "consumer.", "admin."];

/// A client's setting by its own name.
fn client_name(key: &str) -> &str {
    CLIENTS
        .iter()
        .find_map(|prefix| key.strip_prefix(prefix))
        .unwrap_or(key)
}

/// Takes out the settings of the Kafka clients. What is given for producers, consumers or admin clients
/// goes before what is given for all.
pub(super) fn take(
    servers: &str,
    settings: &mut Settings,
    problems: &mut Vec<Problem>,
) -> ClientSettings {
    let mut given = BTreeMap::from([("bootstrap.servers".to_owned(), servers.to_owned())]);
    let mut places: BTreeMap<String, (String, usize)> = BTreeMap::new();
    let mut keys: Vec<String> = settings.keys().map(str::to_owned).collect();
    keys.retain(|key| kafka::is_client_setting(client_name(key)));
    keys.sort_by_key(|key| client_name(key).len() < key.len());
    for key in keys {
        let Some(setting) = settings.take(&key) else {
            continue;
        };
        let name = client_name(&key).to_owned();
        if let Some((other, _)) = places.get(&name)
            && *other != name
            && given.get(&name).map(String::as_str) != Some(setting.value())
        {
            let message = format!(
                "has another value than {other}, and a worker's clients share their settings"
            );
            problems.push(settings.problem_at(setting.line, Some(key), message));
            continue;
        }
        given.insert(name.clone(), setting.value().to_owned());
        places.insert(name, (key, setting.line));
    }
    kafka::client_config(&given).unwrap_or_else(|found| {
        problems.extend(found.into_iter().map(|problem| {
            let place = places.get(&problem.key).cloned();
            let (key, line) = place.unwrap_or((problem.key, 0));
            settings.problem_at(line, Some(key), problem.message)
        }));
        ClientSettings::default()
    })
}

/// Reports what nobody has taken: keys of the worker, or of its clients, with a mistake.
pub(super) fn report_unknown(mut settings: Settings, problems: &mut Vec<Problem>) {
    for prefix in CLIENTS {
        let of_client = settings.take_prefix(prefix);
        of_client.report_unknown(kafka::client_setting_names(), problems);
    }
    let keys = WorkerConfig::keys();
    let of_clients: Vec<&str> = kafka::client_setting_names().collect();
    let known = keys.iter().map(|key| key.name.as_str());
    settings.report_unknown(known.chain(of_clients.iter().copied()), problems);
}
