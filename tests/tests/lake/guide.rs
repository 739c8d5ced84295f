//! The examples of docs/export.md.

use penstock_tests::Deployment;

const PAGE: &str = include_str!("../../../docs/export.md");

/// The variables of the page's example that begins with this comment, each with a value of the test's own.
pub(crate) fn variables<'a>(
    example: &str,
    values: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let block = block("sh", &format!("# {example}\n"));
    let names: Vec<&str> = block
        .lines()
        .filter_map(|line| line.strip_prefix("export ")?.split_once('='))
        .map(|(name, _)| name)
        .collect();
    let given: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, given, "{example}");
    values.to_vec()
}

/// Writes the page's connector of this name into the deployment.
pub(crate) fn connector(deployment: &Deployment, name: &str) -> String {
    let file = format!("{name}.properties");
    let block = block("properties", &format!("name={name}\n"));
    deployment.write(&file, &format!("name={name}\n{block}"));
    file
}

/// The page's policy for S3, for this bucket.
pub(crate) fn policy(bucket: &str) -> String {
    let policy = block("json", "{\n");
    format!("{{\n{}", policy.replace(":::lake", &format!(":::{bucket}")))
}

/// What follows the first line of a block of this language.
fn block(language: &str, first: &str) -> &'static str {
    let begin = format!("```{language}\n{first}");
    let (_, rest) = PAGE
        .split_once(&begin)
        .unwrap_or_else(|| panic!("the page has no example {first}"));
    rest.split("```").next().expect("a block ends")
}
