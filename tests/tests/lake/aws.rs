//! What AWS gives to programs instead of keys, each against a real S3 server, in the words of the page.

use std::fs;
use std::ops::Range;
use std::time::Duration;

use penstock_tests::events::{DEMO_SCHEMA, demo};
use penstock_tests::faults::{FaultProxy, Operation};
use penstock_tests::identities::{CONTAINER_TOKEN, Machine, OpenId, TemporaryKeys, TokenService};
use penstock_tests::readers::Reader;
use penstock_tests::senders::{Senders, Sent};
use penstock_tests::{Bucket, Deployment, Estate, eventually};
use serde_json::Value;
use xtask::paths::RunDir;
use xtask::services::Minio;

use crate::guide;
use crate::table::{every_event_once, export_with};

const REGION: &str = "aws.region=us-east-1";
const ROTATION: &str = "rotate.records=50\nrotate.idle.ms=1000";

/// Less than the library keeps in hand before keys run out, and long enough for a request.
const SHORT: Duration = Duration::from_secs(4);

fn deploy(estate: &Estate) -> Deployment {
    let deployment = estate.deploy("demo");
    deployment.remove("files.properties");
    deployment
}

/// Writes a file that nobody else may read; returns its path.
fn write(deployment: &Deployment, name: &str, text: &str) -> String {
    deployment.write(name, text);
    deployment.path().join(name).display().to_string()
}

/// Sends events of these numbers, one after the other with this pause in between.
async fn send(deployment: &Deployment, numbers: Range<usize>, pause: Duration) -> Sent {
    let gateway = deployment.gateway();
    let mut sent = Vec::new();
    for number in numbers {
        let mut event = demo("a session", &[2]);
        event["notSensitiveValue"] = number.to_string().into();
        let answer = gateway.send_json(DEMO_SCHEMA, &event).await;
        assert_eq!(answer.status, 204, "{answer:?}");
        sent.push((number.to_string(), true));
        tokio::time::sleep(pause).await;
    }
    sent
}

/// Runs a worker whose export `lines` goes into the bucket until every event lies there once.
async fn run(
    deployment: &Deployment,
    bucket: &Bucket,
    variables: &[(&str, &str)],
    pause: Duration,
) {
    let worker = deployment.start_with(variables).await;
    let sent = send(deployment, 0..200, pause).await;
    every_event_once(bucket, "lines", Reader::JsonLines, &sent).await;
    assert!(worker.stop().success());
}

/// What the task of an export says, once it says something.
async fn trouble(deployment: &Deployment, name: &str) -> String {
    eventually("a task in trouble", async || {
        let shown = deployment.penstock(&["get", "connector", name, "-o", "json"]);
        let status: Value = serde_json::from_slice(&shown.stdout).ok()?;
        status["tasks"][0]["trace"].as_str().map(str::to_owned)
    })
    .await
}

/// A bucket on a server of its own that lets in those for whom the provider vouches.
async fn vouched_for(provider: &OpenId) -> ((Minio, RunDir), Bucket) {
    let dir = RunDir::create().unwrap();
    let minio = tokio::task::block_in_place(|| {
        Minio::start_with_openid(dir.path(), &provider.discovery()).unwrap()
    });
    let bucket = Bucket::on(&minio).await;
    ((minio, dir), bucket)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_identity_is_exchanged_for_keys() {
    let provider = OpenId::start().await;
    let (_server, bucket) = vouched_for(&provider).await;
    let estate = Estate::embedded();
    let deployment = deploy(&estate);
    let token = provider.token("system:serviceaccount:lake:penstock", Minio::AUDIENCE);
    let file = write(&deployment, "token", &token);
    let keys = format!("{REGION}\n{ROTATION}\nendpoint={}", bucket.endpoint());
    export_with(&deployment, &bucket, "lines", &keys);
    let example = |file| {
        guide::variables(
            "a web identity",
            &[
                ("AWS_WEB_IDENTITY_TOKEN_FILE", file),
                ("AWS_ROLE_ARN", Minio::ROLE),
                ("AWS_ENDPOINT_URL_STS", bucket.endpoint()),
            ],
        )
    };
    run(&deployment, &bucket, &example(&file), Duration::ZERO).await;

    // One for whom another provider vouches is not let in, and is told so.
    let stranger = OpenId::start().await.token("somebody", Minio::AUDIENCE);
    let file = write(&deployment, "token", &stranger);
    let worker = deployment.spawn(&example(&file));
    let said = trouble(&deployment, "lines").await;
    let expected = format!(
        "{} cannot be written: the token service does not take the web identity for {}: crypto/rsa: verification \
         error [InvalidParameterValue]",
        bucket.url(),
        Minio::ROLE
    );
    assert_eq!(said, expected);
    assert!(!worker.output().contains(&stranger), "no token is shown");
    assert!(worker.stop().success());
}

/// Puts a token in place of the one in the file, at once, as Kubernetes does.
fn replace(deployment: &Deployment, token: &str) {
    let new = write(deployment, "token.new", token);
    fs::rename(new, deployment.path().join("token")).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_a_web_identity_are_renewed_with_the_token_that_stands_in_its_file_by_then() {
    let provider = OpenId::start().await;
    let (_server, bucket) = vouched_for(&provider).await;
    let service = TokenService::before(&bucket, SHORT).await;
    let guard = FaultProxy::guarded(bucket.endpoint(), service.given().guard()).await;
    let estate = Estate::embedded();
    let deployment = deploy(&estate);
    let token = |subject| provider.token(subject, Minio::AUDIENCE);
    let [first, second, fourth] = ["first", "second", "fourth"].map(token);
    let third = provider.expired_token("third", Minio::AUDIENCE);
    let file = write(&deployment, "token", &first);
    let keys = format!(
        "{REGION}\nrotate.records=10\nrotate.idle.ms=1000\nendpoint={}",
        guard.url()
    );
    export_with(&deployment, &bucket, "lines", &keys);
    let url = service.url();
    let variables = guide::variables(
        "a web identity",
        &[
            ("AWS_WEB_IDENTITY_TOKEN_FILE", &file),
            ("AWS_ROLE_ARN", Minio::ROLE),
            ("AWS_ENDPOINT_URL_STS", &url),
        ],
    );
    let worker = deployment.start_with(&variables).await;
    let pause = SHORT * 2 / 100;
    let mut sent = send(&deployment, 0..100, pause).await;
    assert!(
        service.given().used() >= 3,
        "{} keys were used",
        service.given().used()
    );
    assert!(service.shown().iter().all(|shown| *shown == first));

    replace(&deployment, &second);
    sent.extend(send(&deployment, 100..200, pause).await);
    let shown = service.shown();
    let renewed = shown.iter().position(|shown| *shown == second);
    let renewed = renewed.expect("the token of the file is shown");
    assert!(shown[renewed..].iter().all(|shown| *shown == second));

    // Whoever renews the token is late: the export says so, and waits.
    replace(&deployment, &third);
    sent.extend(send(&deployment, 200..300, pause).await);
    let said = trouble(&deployment, "lines").await;
    let expected = format!(
        "the token service does not take the web identity for {}: ",
        Minio::ROLE
    );
    assert!(said.contains(&expected), "{said}");
    replace(&deployment, &fourth);
    every_event_once(&bucket, "lines", Reader::JsonLines, &sent).await;
    assert!(service.shown().contains(&third) && service.shown().contains(&fourth));
    for token in [first, second, third, fourth] {
        assert!(!worker.output().contains(&token), "no token is shown");
    }
    assert!(worker.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn temporary_keys_are_taken_from_the_environment() {
    let bucket = Bucket::s3().await;
    let keys = TemporaryKeys::assume(&bucket).await;
    let estate = Estate::embedded();
    let deployment = deploy(&estate);
    export_with(&deployment, &bucket, "lines", ROTATION);
    let variables = guide::variables(
        "keys in the environment",
        &[
            ("AWS_ACCESS_KEY_ID", &keys.id),
            ("AWS_SECRET_ACCESS_KEY", &keys.secret),
            ("AWS_SESSION_TOKEN", &keys.token),
            ("AWS_REGION", Minio::REGION),
            ("AWS_ENDPOINT_URL_S3", bucket.endpoint()),
        ],
    );
    run(&deployment, &bucket, &variables, Duration::ZERO).await;

    // Without the session token they are nobody's.
    let half: Vec<_> = variables
        .into_iter()
        .filter(|(name, _)| *name != "AWS_SESSION_TOKEN")
        .collect();
    let worker = deployment.spawn(&half);
    let said = trouble(&deployment, "lines").await;
    assert!(
        said.contains("these credentials (AWS_ACCESS_KEY_ID)"),
        "{said}"
    );
    assert!(worker.stop().success());
}

fn profile(keys: &TemporaryKeys) -> String {
    format!(
        "[lake]\naws_access_key_id={}\naws_secret_access_key={}\naws_session_token={}\n",
        keys.id, keys.secret, keys.token
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_a_profile_that_run_out_are_renewed_in_its_file_and_no_event_is_lost() {
    let bucket = Bucket::s3().await;
    let (old, new) = (
        TemporaryKeys::assume(&bucket).await,
        TemporaryKeys::assume(&bucket).await,
    );
    let over = std::sync::Arc::new(std::sync::atomic::AtomicBool::default());
    let (is_over, id) = (over.clone(), old.id.clone());
    let guard = FaultProxy::guarded(
        bucket.endpoint(),
        Box::new(move |headers| {
            let shown = headers.get("authorization").and_then(|it| it.to_str().ok());
            let old = shown.is_some_and(|shown| shown.contains(&format!("Credential={id}/")));
            if old && is_over.load(std::sync::atomic::Ordering::Relaxed) {
                return Err((400, "ExpiredToken"));
            }
            Ok(())
        }),
    )
    .await;
    let estate = Estate::embedded();
    let deployment = deploy(&estate);
    let file = write(&deployment, "credentials", &profile(&old));
    let config = write(&deployment, "config", "[profile lake]\nregion=us-east-1\n");
    let keys = format!("{ROTATION}\nendpoint={}", guard.url());
    export_with(&deployment, &bucket, "lines", &keys);
    let variables = guide::variables(
        "a profile",
        &[
            ("AWS_PROFILE", "lake"),
            ("AWS_SHARED_CREDENTIALS_FILE", &file),
            ("AWS_CONFIG_FILE", &config),
        ],
    );
    let worker = deployment.start_with(&variables).await;
    let senders = Senders::start(&deployment.gateway(), 2);
    senders.acknowledge(150).await;
    eventually("a first file", async || {
        (!bucket.list("lines/").await.is_empty()).then_some(())
    })
    .await;
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    senders.acknowledge(150).await;
    eventually("what is wrong is said", async || {
        worker
            .output()
            .contains("these credentials (the AWS profile lake) have run out; renew them")
            .then_some(())
    })
    .await;
    fs::write(&file, profile(&new)).unwrap();
    senders.acknowledge(50).await;
    let sent = senders.stop().await;
    every_event_once(&bucket, "lines", Reader::JsonLines, &sent).await;
    assert!(worker.stop().success());
}

/// An export with keys that run out again and again, behind a guard that lets none in that has.
async fn short_lived(
    bucket: &Bucket,
    machine: &Machine,
    keys: impl FnOnce(&FaultProxy) -> String,
    variables: impl FnOnce(&Deployment) -> Vec<(String, String)>,
) {
    let guard = FaultProxy::guarded(bucket.endpoint(), machine.given().guard()).await;
    let estate = Estate::embedded();
    let deployment = deploy(&estate);
    let keys = format!("{REGION}\n{ROTATION}\n{}", keys(&guard));
    export_with(&deployment, bucket, "lines", &keys);
    let variables = variables(&deployment);
    let variables: Vec<(&str, &str)> = variables.iter().map(|(a, b)| (&**a, &**b)).collect();
    run(&deployment, bucket, &variables, SHORT * 2 / 200).await;
    assert!(guard.count(Operation::Put) > 3);
    assert!(
        machine.given().used() >= 3,
        "{} keys were used",
        machine.given().used()
    );
}

fn owned(variables: Vec<(&str, &str)>) -> Vec<(String, String)> {
    let variables = variables.into_iter();
    variables
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_the_machines_role_are_renewed_in_time_and_no_proxy_is_asked_for_them() {
    let bucket = Bucket::s3().await;
    let machine = Machine::start(&bucket, SHORT).await;
    let url = format!("http://{}", machine.host());
    short_lived(
        &bucket,
        &machine,
        // The guard is the proxy on the way to the store.
        |guard| format!("endpoint={}\nproxy.url={}", bucket.endpoint(), guard.url()),
        |deployment| {
            // A profile that has a region alone says nothing of keys.
            deployment.write("config", "[default]\nregion=us-east-1\n");
            let config = deployment.path().join("config").display().to_string();
            let mut variables = owned(guide::variables(
                "the role of a machine",
                &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)],
            ));
            variables.push(("AWS_CONFIG_FILE".to_owned(), config));
            variables
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_the_containers_role_are_renewed_in_time() {
    let bucket = Bucket::s3().await;
    let machine = Machine::start(&bucket, SHORT).await;
    let url = format!("http://{}/v1/credentials", machine.host());
    short_lived(
        &bucket,
        &machine,
        |guard| format!("endpoint={}", guard.url()),
        |deployment| {
            let file = write(deployment, "container-token", CONTAINER_TOKEN);
            owned(guide::variables(
                "the role of a container",
                &[
                    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url),
                    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &file),
                ],
            ))
        },
    )
    .await;
}

const CONVERTER: &str = "io.confluent.connect.avro.AvroConverter";

/// The page's connector that assumes a role, and the same in the words of others, each into a folder by
/// its name. `user` has the keys that are exchanged.
fn assume_in_all_words(
    deployment: &Deployment,
    (bucket, endpoint): (&Bucket, &str),
    service: &str,
    user: &[(&str, &str)],
) {
    let file = guide::connector(deployment, "lake-role");
    for (key, value) in [
        ("url", &*format!("{}/lake-role", bucket.url())),
        ("endpoint", endpoint),
        ("aws.region", Minio::REGION),
        ("aws.sts.endpoint", service),
        ("aws.access.key.id", user[0].1),
        ("aws.secret.access.key", user[1].1),
        ("value.converter", CONVERTER),
        ("rotate.records", "10"),
        ("rotate.idle.ms", "1000"),
    ] {
        deployment.set(&file, key, value);
    }
    let name = bucket.name();
    // What is exchanged is in the environment, and so is the address of the service.
    let confluent = format!(
        "connector.class=io.confluent.connect.s3.S3SinkConnector\n\
         storage.class=io.confluent.connect.s3.storage.S3Storage\n\
         s3.bucket.name={name}\ns3.region={}\nstore.url={endpoint}\ntopics.dir=confluent\n\
         format.class=io.confluent.connect.s3.format.json.JsonFormat\nflush.size=10\n\
         s3.credentials.provider.class=io.confluent.connect.s3.auth.AwsAssumeRoleCredentialsProvider\n\
         s3.credentials.provider.sts.role.arn=arn:aws:iam::123456789012:role/confluent\n\
         s3.credentials.provider.sts.role.session.name=a-session\n\
         s3.credentials.provider.sts.role.external.id=a+b",
        Minio::REGION
    );
    let aiven = format!(
        "connector.class=io.aiven.kafka.connect.s3.AivenKafkaConnectS3SinkConnector\n\
         aws.s3.bucket.name={name}\naws.s3.region={}\naws.s3.endpoint={endpoint}\n\
         file.name.prefix=aiven/\nfile.compression.type=none\nfile.max.records=10\n\
         format.output.type=jsonl\nformat.output.envelope=false\n\
         aws.sts.role.arn=arn:aws:iam::123456789012:role/aiven\naws.sts.role.session.duration=900\n\
         aws.sts.config.endpoint={service}",
        Minio::REGION
    );
    for (name, keys) in [("confluent", confluent), ("aiven", aiven)] {
        let text = format!(
            "name={name}\ntopics=demo-2\nvalue.converter={CONVERTER}\nrotate.idle.ms=1000\n{keys}\n"
        );
        deployment.write(&format!("{name}.properties"), &text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_is_assumed_in_everybody_s_words_and_its_keys_are_renewed_in_time() {
    let bucket = Bucket::s3().await;
    let service = TokenService::before(&bucket, SHORT).await;
    // It lets in the role, and not the user.
    let guard = FaultProxy::guarded(bucket.endpoint(), service.given().guard()).await;
    let estate = Estate::embedded();
    let deployment = deploy(&estate);
    let user = bucket.credentials();
    let url = service.url();
    assume_in_all_words(&deployment, (&bucket, guard.url()), &url, &user);
    let mut variables = user.clone();
    variables.push(("AWS_ENDPOINT_URL_STS", &url));
    let worker = deployment.start_with(&variables).await;
    let sent = send(&deployment, 0..200, SHORT * 2 / 200).await;
    for folder in ["lake-role", "confluent", "aiven"] {
        every_event_once(&bucket, folder, Reader::JsonLines, &sent).await;
    }
    let roles = service.roles();
    for asked in [
        "RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Flake-writer&RoleSessionName=penstock&\
         DurationSeconds=3600&ExternalId=penstock-at-example",
        "RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fconfluent&RoleSessionName=a-session&\
         DurationSeconds=3600&ExternalId=a%2Bb",
        "RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Faiven&RoleSessionName=penstock&DurationSeconds=900",
    ] {
        let asked = format!("Action=AssumeRole&Version=2011-06-15&{asked}");
        let times = roles.iter().filter(|form| **form == asked).count();
        assert!(times >= 2, "{asked}: {roles:?}");
    }
    assert!(worker.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_role_that_a_profile_names_is_assumed_with_the_keys_of_another() {
    let bucket = Bucket::s3().await;
    let service = TokenService::before(&bucket, SHORT * 10).await;
    let guard = FaultProxy::guarded(bucket.endpoint(), service.given().guard()).await;
    let estate = Estate::embedded();
    let deployment = deploy(&estate);
    let user = bucket.credentials();
    let keys = format!(
        "[user]\naws_access_key_id={}\naws_secret_access_key={}\n",
        user[0].1, user[1].1
    );
    let credentials = write(&deployment, "credentials", &keys);
    let config = write(
        &deployment,
        "config",
        "[profile lake]\nregion=us-east-1\nrole_arn=arn:aws:iam::123456789012:role/lake-writer\n\
         source_profile=user\nrole_session_name=a-session\n",
    );
    let keys = format!("{ROTATION}\nendpoint={}", guard.url());
    export_with(&deployment, &bucket, "lines", &keys);
    let url = service.url();
    let mut variables = guide::variables(
        "a profile",
        &[
            ("AWS_PROFILE", "lake"),
            ("AWS_SHARED_CREDENTIALS_FILE", &credentials),
            ("AWS_CONFIG_FILE", &config),
        ],
    );
    variables.push(("AWS_ENDPOINT_URL_STS", &url));
    run(&deployment, &bucket, &variables, Duration::ZERO).await;
    let asked = "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Flake-writer&\
                 RoleSessionName=a-session&DurationSeconds=3600";
    assert!(service.roles().iter().all(|form| form == asked));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_cannot_be_assumed_is_told_before_the_first_record_with_who_asked() {
    let bucket = Bucket::s3().await;
    let estate = Estate::embedded();
    let deployment = deploy(&estate);
    let user = bucket.credentials();
    let arn = "arn:aws:iam::123456789012:role/lake-writer";
    let gateway = format!("{}/nothing", deployment.rest());
    for (name, service, secret) in [
        ("stranger", bucket.endpoint(), "not-the-secret"),
        ("away", "http://127.0.0.1:1", user[1].1),
        ("strange", &*gateway, user[1].1),
    ] {
        let keys = format!(
            "{REGION}\nendpoint={}\naws.access.key.id={}\naws.secret.access.key={secret}\n\
             aws.role.arn={arn}\naws.sts.endpoint={service}",
            bucket.endpoint(),
            user[0].1,
        );
        export_with(&deployment, &bucket, name, &keys);
    }
    let worker = deployment.start().await;
    let cannot = format!("{} cannot be written: ", bucket.url());
    for (name, expected) in [
        (
            "stranger",
            format!("the token service does not take aws.access.key.id for {arn}: "),
        ),
        (
            "away",
            format!(
                "there are no keys of aws.access.key.id for {arn}: the token service http://127.0.0.1:1 does not \
                 answer ("
            ),
        ),
        (
            "strange",
            format!(
                "there are no keys of aws.access.key.id for {arn}: {gateway} does not answer as a token service does: \
                 status 415 Unsupported Media Type"
            ),
        ),
    ] {
        let said = trouble(&deployment, name).await;
        assert!(said.starts_with(&format!("{cannot}{expected}")), "{said}");
    }
    assert!(!worker.output().contains("not-the-secret"));
    assert!(worker.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_environment_that_says_half_is_told_what_is_missing() {
    let bucket = Bucket::s3().await;
    for (variables, expected) in [
        (
            &[("AWS_WEB_IDENTITY_TOKEN_FILE", "token")][..],
            "the environment has AWS_WEB_IDENTITY_TOKEN_FILE and no AWS_ROLE_ARN: set both, or neither",
        ),
        (
            &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/")],
            "the environment has AWS_CONTAINER_CREDENTIALS_FULL_URI and no \
             AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: set both, or neither",
        ),
        (
            &[("AWS_EC2_METADATA_DISABLED", "true")],
            "there are no credentials for S3: give aws.access.key.id and aws.secret.access.key, or let the \
             environment, a profile or a role have some (the machine's is not asked, since \
             AWS_EC2_METADATA_DISABLED says so)",
        ),
    ] {
        let estate = Estate::embedded();
        let deployment = deploy(&estate);
        let keys = format!("{REGION}\nendpoint={}", bucket.endpoint());
        export_with(&deployment, &bucket, "lines", &keys);
        let mut variables = variables.to_vec();
        variables.push(("HOME", "/nonexistent"));
        let worker = deployment.spawn(&variables);
        assert_eq!(trouble(&deployment, "lines").await, expected);
        assert!(worker.stop().success());
    }
}
