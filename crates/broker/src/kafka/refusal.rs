//! Why a cluster does not let a client in. librdkafka goes on trying and answers calls with a timeout;
//! the reason stands only in the errors that it reports beside them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// The latest reason, until a call gets through.
#[derive(Debug, Default)]
pub(super) struct Refusal(Mutex<Option<String>>);

impl Refusal {
    fn reason(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of an error that librdkafka reports, if it is one that does not pass.
    pub(super) fn note(&self, error: &KafkaError, report: &str) {
        if let Some(look_at) = settings_to_look_at(error, report) {
            *self.reason() = Some(format!("{}; look at {look_at}", what_happened(report)));
        }
    }

    pub(super) fn forget(&self) {
        *self.reason() = None;
    }

    /// What happened, and the settings to look at.
    pub(super) fn get(&self) -> Option<String> {
        self.reason().clone()
    }
}

/// The settings that decide whether this error comes, by the Java client's names.
fn settings_to_look_at(error: &KafkaError, report: &str) -> Option<&'static str> {
    let says = |word: &str| report.contains(word);
    // An alert of the other side ends the connection, and counts as a failure to transport.
    if says("alert bad certificate") || says("alert certificate") || says("alert unknown ca") {
        return Some(
            "ssl.keystore.location, or ssl.keystore.certificate.chain and ssl.keystore.key",
        );
    }
    match error.rdkafka_error_code()? {
        RDKafkaErrorCode::Authentication if says("Unsupported SASL mechanism") => {
            Some("sasl.mechanism")
        }
        RDKafkaErrorCode::Authentication => {
            Some("sasl.jaas.config (user name and password) and sasl.mechanism")
        }
        RDKafkaErrorCode::SSL if says("certificate verify failed") => Some(
            "ssl.truststore.location or ssl.truststore.certificates (who vouches for the broker) and \
             bootstrap.servers (the name that the broker's certificate is for)",
        ),
        RDKafkaErrorCode::SSL => Some("security.protocol"),
        _ => None,
    }
}

/// The report without librdkafka's advice, which has its own names of settings, and without timing.
fn what_happened(report: &str) -> &str {
    let end = [": broker certificate could not", ": client SSL", " (after "]
        .iter()
        .filter_map(|advice| report.find(advice))
        .min();
    end.map_or(report, |end| &report[..end])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reports_become_reasons_with_the_settings_that_users_know() {
        use RDKafkaErrorCode::{AllBrokersDown, Authentication, BrokerTransportFailure, SSL};
        let cases = [
            (
                Authentication,
                "b: SASL authentication error: Authentication failed (after 310ms in state AUTH_REQ)",
                Some(
                    "b: SASL authentication error: Authentication failed; look at sasl.jaas.config \
                     (user name and password) and sasl.mechanism",
                ),
            ),
            (
                SSL,
                "b: SSL handshake failed: certificate verify failed: broker certificate could not be \
                 verified, verify that ssl.ca.location is correctly configured (after 7ms in state X)",
                Some(
                    "b: SSL handshake failed: certificate verify failed; look at ssl.truststore.location \
                     or ssl.truststore.certificates (who vouches for the broker) and bootstrap.servers \
                     (the name that the broker's certificate is for)",
                ),
            ),
            (
                BrokerTransportFailure,
                "b: Receive failed: ssl/tls alert bad certificate: SSL alert number 42 (after 3ms in X)",
                Some(
                    "b: Receive failed: ssl/tls alert bad certificate: SSL alert number 42; look at \
                     ssl.keystore.location, or ssl.keystore.certificate.chain and ssl.keystore.key",
                ),
            ),
            (
                BrokerTransportFailure,
                "b: Connect failed: Connection refused (after 0ms)",
                None,
            ),
            (AllBrokersDown, "1/1 brokers are down", None),
        ];
        for (code, report, reason) in cases {
            let refusal = Refusal::default();
            refusal.note(&KafkaError::Global(code), report);
            assert_eq!(refusal.get().as_deref(), reason);
            refusal.forget();
            assert_eq!(refusal.get(), None);
        }
    }
}
