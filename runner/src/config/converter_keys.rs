//! Settings below a converter that concern the schema registry. A worker has one registry, and is one
//! user there: a converter may repeat that, as Kafka Connect's do, and may not have another one.

use penstock_connect::{Problem, Settings};
use reqwest::Url;

use super::WorkerConfig;
use super::files::accept;

/// Keys of other vendors' converters that mean nothing here.
const ACCEPTED: &[(&str, &str)] = &[
    ("schemas.cache.size", "schemas are kept as needed"),
    ("schemas.cache.config", "schemas are kept as needed"),
    (
        "enhanced.avro.schema.support",
        "a record keeps its schema as it is",
    ),
    ("plugin.version", super::connect_keys::ONE_VERSION),
    ("connect.meta.data", "a record keeps its schema as it is"),
];

/// Names of all these keys.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let checked = [
        "schema.registry.url",
        "basic.auth.credentials.source",
        "basic.auth.user.info",
        "use.latest.version",
    ];
    checked
        .into_iter()
        .chain(ACCEPTED.iter().map(|(key, _)| *key))
}

/// Takes them out. Without the worker's settings, which may have problems of their own, what has to agree
/// with them is not checked.
pub(crate) fn take(
    settings: &mut Settings,
    worker: Option<&WorkerConfig>,
    notes: &mut Vec<Problem>,
    problems: &mut Vec<Problem>,
) {
    accept(settings, ACCEPTED, &[], notes);
    let mut check = |key: &str, wrong: &dyn Fn(&str) -> Option<String>| {
        if let Some(given) = settings.take(key)
            && let Some(message) = wrong(given.value().trim())
        {
            problems.push(settings.problem_at(given.line, Some(key.to_owned()), message));
        }
    };
    check("schema.registry.url", &|urls| {
        let own = worker?.registries();
        let is_own = |url: &str| own.iter().any(|own| is_same(own, url));
        let mut urls = urls.split(',').map(str::trim).filter(|url| !url.is_empty());
        let foreign = urls.find(|url| !is_own(url));
        foreign.map(|_| {
            "names another registry than the worker's, and a worker has one: set schema.registry.url in its own file"
                .to_owned()
        })
    });
    check("basic.auth.credentials.source", &|source| {
        (source != "USER_INFO").then(|| "only USER_INFO is supported".to_owned())
    });
    check("basic.auth.user.info", &|user| {
        let own = worker?.registry_user_info.as_ref();
        let differs = own.is_none_or(|own| own.reveal() != user);
        differs.then(|| {
            "is not the worker's, which is one user of the registry: set basic.auth.user.info in its own file".to_owned()
        })
    });
    check("use.latest.version", &|value| {
        (!value.eq_ignore_ascii_case("false")).then(|| {
            "can only be false: a record keeps the schema that it has, and is not written anew with the latest one"
                .to_owned()
        })
    });
}

/// Whether two addresses mean the same registry.
fn is_same(one: &str, other: &str) -> bool {
    let parts = |url: &str| {
        let url = Url::parse(url).ok()?;
        let host = match url.host_str()? {
            "localhost" | "[::1]" => "127.0.0.1".to_owned(),
            host => host.to_owned(),
        };
        let path = url.path().trim_end_matches('/').to_owned();
        Some((
            url.scheme().to_owned(),
            host,
            url.port_or_known_default()?,
            path,
        ))
    };
    one == other || parts(one).is_some_and(|one| Some(one) == parts(other))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use penstock_connect::Config;

    use super::*;

    fn problems(worker: &[(&str, &str)], given: &[(&str, &str)]) -> Vec<String> {
        let worker = Settings::from_pairs("worker.properties", worker.iter().copied());
        let worker = WorkerConfig::read_all(worker).unwrap();
        let given = given
            .iter()
            .map(|(key, value)| (format!("value.converter.{key}"), *value));
        let mut settings = Settings::from_pairs("c.properties", given);
        let mut below = settings.take_prefix("value.converter.");
        let mut problems = Vec::new();
        take(&mut below, Some(&worker), &mut Vec::new(), &mut problems);
        assert!(below.is_empty());
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_converter_has_the_registry_of_its_worker() {
        let cluster = [
            ("bootstrap.servers", "b:9092"),
            (
                "schema.registry.url",
                "https://a.example, http://b:8081/api/",
            ),
        ];
        let embedded = [("registry.listen", "127.0.0.1:8081")];
        let everywhere = [("registry.listen", "0.0.0.0:8081")];
        for (worker, url, fits) in [
            (&cluster[..], "https://A.example:443/", true),
            (&cluster, "http://b:8081/api", true),
            (&cluster, "https://a.example,http://b:8081/api", true),
            (&cluster, "http://b:8081", false),
            (&cluster, "https://a.example,https://c.example", false),
            (&cluster, "http://127.0.0.1:8081", false),
            (&embedded, "http://127.0.0.1:8081", true),
            (&embedded, "http://localhost:8081/", true),
            (&embedded, "http://127.0.0.1:8082", false),
            (&everywhere, "http://localhost:8081", true),
        ] {
            let found = problems(worker, &[("schema.registry.url", url)]);
            assert_eq!(found.is_empty(), fits, "{url}: {found:?}");
            for problem in found {
                let expected =
                    "c.properties: value.converter.schema.registry.url: names another registry";
                assert!(problem.starts_with(expected), "{problem}");
            }
        }
    }

    #[test]
    fn a_converter_is_the_user_that_its_worker_is() {
        let worker = [("basic.auth.user.info", "ann:secret")];
        assert!(problems(&worker, &[("basic.auth.user.info", "ann:secret")]).is_empty());
        for worker in [&worker[..], &[]] {
            let found = problems(worker, &[("basic.auth.user.info", "ben:hidden")]);
            assert!(found[0].contains("is not the worker's"), "{found:?}");
            assert!(!found[0].contains("hidden") && !found[0].contains("secret"));
        }
        let found = problems(&[], &[("basic.auth.credentials.source", "SASL_INHERIT")]);
        assert!(
            found[0].ends_with("only USER_INFO is supported"),
            "{found:?}"
        );
        assert!(problems(&[], &[("use.latest.version", "false")]).is_empty());
        let found = problems(&[], &[("use.latest.version", "true")]);
        assert!(found[0].contains("can only be false"), "{found:?}");
    }
}
