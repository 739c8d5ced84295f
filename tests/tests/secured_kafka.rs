//! A worker on a Kafka cluster that lets in only those who say who they are, with the settings that
//! Java clients have.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use penstock_tests::certificates::{Authority, Identity};
use penstock_tests::events::{DEMO_SCHEMA, demo};
use penstock_tests::{Deployment, Estate, Worker, eventually};
use serde_json::Value;
use xtask::services::{KafkaOptions, KafkaSecurity};

const USER: &str = "penstock";
/// With what a JAAS line and a properties file give a meaning.
const PASSWORD: &str = "four; words=of #nonsense";

/// A cluster and those who are trusted there.
struct Cluster {
    estate: Estate,
    authority: Authority,
    client: Identity,
    sasl_ssl: u16,
    ssl: u16,
}

impl Cluster {
    async fn start() -> Self {
        let authority = Authority::new("brokers and their clients");
        let security = KafkaSecurity {
            authorities: authority.certificate(),
            identity: authority.issue("broker", &["127.0.0.1"]).pem(),
            users: vec![(USER.into(), PASSWORD.into())],
        };
        let estate = Estate::kafka_with(KafkaOptions {
            security: Some(security),
            ..KafkaOptions::default()
        })
        .await;
        let broker = estate.broker().await;
        let (sasl_ssl, ssl) = (broker.sasl_ssl_port(), broker.ssl_port());
        drop(broker);
        Self {
            client: authority.issue("client", &[]),
            authority,
            estate,
            sasl_ssl,
            ssl,
        }
    }

    /// The demo with a worker file that has these settings, and key and trust stores beside it.
    fn deploy(&self, settings: &[(&str, &str)]) -> Deployment {
        let deployment = self.estate.deploy("demo");
        deployment.write("authority.pem", &self.authority.certificate());
        deployment.write("stranger.pem", &Authority::new("a stranger").certificate());
        deployment.write("client.pem", &self.client.pem());
        deployment.write("secrets", &format!("kafka.password={PASSWORD}\n"));
        for (key, value) in settings {
            deployment.set("worker.properties", key, value);
        }
        deployment
    }

    fn sasl_ssl(&self, host: &str) -> String {
        format!("{host}:{}", self.sasl_ssl)
    }

    fn ssl(&self) -> String {
        format!("127.0.0.1:{}", self.ssl)
    }
}

fn login(module: &str, password: &str) -> String {
    format!(
        "org.apache.kafka.common.security.{module} required username=\"{USER}\" password=\"{password}\";"
    )
}

/// PEM in one line, as it stands in properties files.
fn in_one_line(pem: &str) -> String {
    pem.trim().replace('\n', " ")
}

/// Events go in, lie encrypted, and come out decrypted for those who may: topics, transactions, groups
/// and keys all pass through the listener.
async fn the_demo_flows(deployment: &Deployment) -> Worker {
    let worker = deployment.start().await;
    let gateway = deployment.gateway();
    for levels in [&[][..], &[2]] {
        let answer = gateway
            .send_json(DEMO_SCHEMA, &demo("a session", levels))
            .await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    }
    let lines = async |topic: &str, count: usize| {
        eventually(topic, async || {
            let lines = deployment.output(topic);
            (lines.len() >= count).then_some(lines)
        })
        .await
    };
    for event in lines("demo", 2).await {
        assert_ne!(event["consistentValue"], "a session");
    }
    let derived = lines("demo-2", 1).await;
    assert_eq!(derived[0]["consistentValue"], "a session");
    worker
}

/// Looks for a secret wherever a worker tells something about itself.
async fn tells_no_secret(worker: &Worker, secrets: &[&str]) {
    let mut told = vec![worker.output()];
    for path in [
        "/",
        "/health",
        "/metrics",
        "/connectors?expand=info&expand=status",
        "/connectors/gateway/config",
    ] {
        told.push(worker.get(path).await.text().await.unwrap());
    }
    for text in told {
        for secret in secrets {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_with_a_password_come_in_over_tls() {
    let cluster = Cluster::start().await;
    let servers = cluster.sasl_ssl("127.0.0.1");
    let deployment = cluster.deploy(&[
        ("bootstrap.servers", &servers),
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        (
            "sasl.jaas.config",
            &login("scram.ScramLoginModule", "${file:secrets:kafka.password}"),
        ),
        ("ssl.truststore.type", "PEM"),
        ("ssl.truststore.location", "authority.pem"),
    ]);
    let worker = the_demo_flows(&deployment).await;
    tells_no_secret(&worker, &[PASSWORD]).await;
    assert!(worker.stop().success());

    let certificate = in_one_line(&cluster.authority.certificate());
    let plain = cluster.deploy(&[
        ("bootstrap.servers", &servers),
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "PLAIN"),
        (
            "sasl.jaas.config",
            &login("plain.PlainLoginModule", PASSWORD),
        ),
        ("ssl.truststore.type", "PEM"),
        ("ssl.truststore.certificates", &certificate),
    ]);
    let worker = the_demo_flows(&plain).await;
    tells_no_secret(&worker, &[PASSWORD]).await;
    assert!(worker.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_with_a_certificate_come_in() {
    let cluster = Cluster::start().await;
    let servers = cluster.ssl();
    let (certificate, key) = (
        in_one_line(&cluster.client.certificate),
        in_one_line(&cluster.client.key),
    );
    let stores: [&[(&str, &str)]; 2] = [
        &[("ssl.keystore.location", "client.pem")],
        &[
            ("ssl.keystore.certificate.chain", &certificate),
            ("ssl.keystore.key", &key),
        ],
    ];
    for store in stores {
        let mut settings = vec![
            ("bootstrap.servers", servers.as_str()),
            ("security.protocol", "SSL"),
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.location", "authority.pem"),
            ("ssl.keystore.type", "PEM"),
        ];
        settings.extend(store);
        let deployment = cluster.deploy(&settings);
        let worker = the_demo_flows(&deployment).await;
        let secret = cluster.client.key.lines().nth(1).unwrap();
        tells_no_secret(&worker, &[secret]).await;
        assert!(worker.stop().success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_let_in_is_told_which_setting_to_look_at() {
    let cluster = Cluster::start().await;
    let (servers, by_name, ssl) = (
        cluster.sasl_ssl("127.0.0.1"),
        cluster.sasl_ssl("localhost"),
        cluster.ssl(),
    );
    let scram = login("scram.ScramLoginModule", PASSWORD);
    let wrong = login("scram.ScramLoginModule", "a wrong password");
    let right: &[(&str, &str)] = &[
        ("bootstrap.servers", &servers),
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.jaas.config", &scram),
        ("ssl.truststore.type", "PEM"),
        ("ssl.truststore.location", "authority.pem"),
    ];
    let certificate = "SSL handshake failed: error:0A000086:SSL routines::certificate verify failed; \
                       look at ssl.truststore.location or ssl.truststore.certificates (who vouches for \
                       the broker) and bootstrap.servers (the name that the broker's certificate is for)";
    let unreachable = "look at bootstrap.servers and security.protocol";
    let cases: &[(&[(&str, &str)], &str)] = &[
        (
            &[("sasl.jaas.config", &wrong)],
            "SASL authentication error: Authentication failed during authentication due to invalid \
             credentials with SASL mechanism SCRAM-SHA-512; look at sasl.jaas.config (user name and \
             password) and sasl.mechanism",
        ),
        (
            &[("sasl.mechanism", "SCRAM-SHA-256")],
            "SASL SCRAM-SHA-256 mechanism handshake failed: Broker: Unsupported SASL mechanism: \
             broker's supported mechanisms: PLAIN,SCRAM-SHA-512; look at sasl.mechanism",
        ),
        (&[("ssl.truststore.location", "stranger.pem")], certificate),
        (&[("bootstrap.servers", &by_name)], certificate),
        (
            &[("bootstrap.servers", &ssl), ("security.protocol", "SSL")],
            "alert bad certificate: SSL alert number 42; look at ssl.keystore.location, or \
             ssl.keystore.certificate.chain and ssl.keystore.key",
        ),
        (
            &[("ssl.truststore.location", "nowhere.pem")],
            "ssl.truststore.location: cannot read nowhere.pem: No such file or directory (os error 2)",
        ),
        // These could pass: the worker waits, and says for what.
        (&[("security.protocol", "SASL_PLAINTEXT")], unreachable),
        (&[("security.protocol", "PLAINTEXT")], unreachable),
    ];
    let http = reqwest::Client::new();
    for (settings, expected) in cases {
        let deployment = cluster.deploy(&[right, settings].concat());
        let mut worker = deployment.spawn(&[]);
        let told = eventually(&format!("{settings:?}"), async || {
            if !worker.is_running() {
                return Some(worker.output());
            }
            let health = http
                .get(format!("{}/health", deployment.rest()))
                .send()
                .await;
            let health: Value = health.ok()?.json().await.ok()?;
            let message = health["message"].as_str()?;
            message
                .starts_with("the worker waits")
                .then(|| message.to_owned())
        })
        .await;
        let told = told.trim_end();
        assert!(told.ends_with(expected), "{settings:?}: {told}");
        for secret in [PASSWORD, "a wrong password"] {
            assert!(!worker.output().contains(secret), "{told}");
        }
    }
}
