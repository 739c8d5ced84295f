//! Free loopback ports for servers that must be told their port.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::TcpListener;

use crate::{Error, Result};

/// Ports below the range that systems hand out to outgoing connections. A server that is killed
/// and restarted needs its port back: from that range a client's own retry could have taken it
/// (and would then be connected to itself).
const RANGE: std::ops::Range<u16> = 15_000..32_000;

/// `N` different ports that nobody listens on at this moment, picked at random.
///
/// # Errors
/// When no free port is found.
pub fn free<const N: usize>() -> Result<[u16; N]> {
    let mut ports = [0; N];
    let mut held = Vec::with_capacity(N);
    for port in &mut ports {
        let listener = (0..1000)
            .find_map(|_| TcpListener::bind(("127.0.0.1", random())).ok())
            .ok_or_else(|| Error::Other("no free loopback port was found".into()))?;
        *port = listener
            .local_addr()
            .map_err(|source| Error::Io {
                action: "cannot read a listener's port".into(),
                source,
            })?
            .port();
        held.push(listener);
    }
    Ok(ports)
}

fn random() -> u16 {
    let noise = RandomState::new().build_hasher().finish();
    let span = u64::from(RANGE.end - RANGE.start);
    RANGE.start + u16::try_from(noise % span).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    #[test]
    fn ports_are_different_and_outside_the_range_of_outgoing_connections() {
        let ports: [u16; 4] = super::free().unwrap();
        for (at, port) in ports.iter().enumerate() {
            assert!(super::RANGE.contains(port));
            assert!(!ports[..at].contains(port));
        }
    }
}
