//! Configuration of the egress.

use std::time::Duration;

use penstock_connect::config;
use penstock_connect::config::{ByteSize, Millis, Names, PlainListenAddress, Secret};

config! {
    /// Shows topics as JSON over WebSocket (`/ws/<topic>`) and server-sent events (`/sse/<topic>`) to
    /// people who look on, from the latest record. A viewer that is too slow loses frames and is told
    /// how many. Has one listener and so one task.
    #[check(check)]
    pub struct WebSocketSinkConfig {
        /// Address and port to listen on.
        "ws.listen" => listen: PlainListenAddress,
        /// Origins of web pages that may connect (`https://example.org`). Without it only pages from `localhost` or an IP address that is also the host connected to. Programs, which send no Origin, may always connect over WebSocket; without `ws.auth.tokens` they ask for server-sent events by an IP address, `localhost`, or the host of one of these.
        "ws.origins" => origins: Names,
        /// Tokens of which a viewer has to bring one (`Authorization: Bearer …`), separated by commas, blanks or line ends.
        "ws.auth.tokens" => tokens: Option<Secret>,
        /// Most viewers at a time.
        "ws.max.viewers" => max_viewers: usize = "1000",
        /// Frames that are kept of each topic that somebody watches, in bytes: how far behind a viewer may be before it loses some.
        "ws.buffer.bytes" => buffer: ByteSize = "4mb",
        /// How often a viewer is asked whether it is still there; one that does not answer twice is disconnected.
        "ws.ping.interval.ms" => ping: Millis = "20000",
    }
}

const HOUR: Duration = Duration::from_secs(3600);

fn check(config: &WebSocketSinkConfig) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    if config.max_viewers == 0 {
        problems.push(("ws.max.viewers", "must be at least 1".to_owned()));
    }
    if config.ping.0.is_zero() || config.ping.0 > HOUR {
        problems.push((
            "ws.ping.interval.ms",
            "must be from 1 to 3600000".to_owned(),
        ));
    }
    for origin in &config.origins.0 {
        let host = origin.split_once("://").map_or("", |(_, host)| host);
        if host.is_empty() || host.contains('/') {
            problems.push((
                "ws.origins",
                format!("must be scheme and host as browsers send it (https://example.org), not {origin:?}"),
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use penstock_connect::{Config, Settings};

    fn problems(text: &str) -> Vec<String> {
        let text = format!("ws.listen=127.0.0.1:0\n{text}");
        WebSocketSinkConfig::read_all(Settings::parse("e.properties", &text).unwrap()).map_or_else(
            |found| found.iter().map(ToString::to_string).collect(),
            |_| vec![],
        )
    }

    #[test]
    fn an_address_is_enough() {
        assert_eq!(problems(""), Vec::<String>::new());
    }

    #[test]
    fn an_origin_is_scheme_and_host() {
        assert_eq!(
            problems("ws.origins=https://a.example,http://b:8080"),
            Vec::<String>::new()
        );
        for origin in ["a.example", "https://a.example/", "https://"] {
            assert_eq!(
                problems(&format!("ws.origins={origin}")),
                [format!(
                    "e.properties:2: ws.origins: must be scheme and host as browsers send it (https://example.org), not {origin:?}"
                )]
            );
        }
    }
}
