//! Java servers, fetched by the machine's Maven with the machine's own settings.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{lock, once};
use crate::{Error, Result, paths, process, tools};

/// The version of the broker that tests run against.
pub const KAFKA: &str = "4.1.0";
const LOG4J: &str = "2.24.3";
const APICURIO: &str = "3.0.9";

/// A set of jars to be run from one class path.
struct Jars {
    name: &'static str,
    artifacts: &'static [&'static str],
}

/// Apache Kafka's broker with its dependencies; returns the folder of jars.
///
/// # Errors
/// When Maven is missing or fails.
pub fn kafka() -> Result<PathBuf> {
    jars(&Jars {
        name: "kafka",
        artifacts: &["kafka_2.13"],
    })
}

/// Kafka Connect's standalone worker with its file connectors; returns the folder of jars.
///
/// # Errors
/// As [`kafka`].
pub fn connect() -> Result<PathBuf> {
    jars(&Jars {
        name: "kafka-connect",
        artifacts: &[
            "connect-runtime",
            "connect-transforms",
            "connect-json",
            "connect-file",
        ],
    })
}

/// Apicurio Registry, which speaks the Confluent registry's REST; returns its runnable jar.
///
/// # Errors
/// As [`kafka`], and when the archive cannot be unpacked.
pub fn apicurio() -> Result<PathBuf> {
    let artifact = format!("io.apicurio:apicurio-registry-app:{APICURIO}:tar.gz:all");
    let dir = once("apicurio", &artifact, |dir| {
        let tar = tools::TAR.require()?;
        let pom = dir.join("pom.xml");
        write_pom(&pom, "apicurio", "")?;
        let mut command = maven(&pom)?;
        // This version of the plugin takes an archive alone, without the parents of its POM.
        command
            .arg("org.apache.maven.plugins:maven-dependency-plugin:2.8:copy")
            .arg(format!("-Dartifact={artifact}"))
            .arg(format!("-DoutputDirectory={}", dir.display()));
        run("fetching the schema registry", command, dir)?;
        let archive = dir.join(format!("apicurio-registry-app-{APICURIO}-all.tar.gz"));
        let mut unpack = Command::new(tar);
        unpack.arg("-xzf").arg(&archive).arg("-C").arg(dir);
        process::run(
            "unpacking the schema registry",
            unpack,
            &dir.join("tar.log"),
        )?;
        fs::remove_file(&archive).map_err(Error::io("remove", &archive))
    })?;
    Ok(dir.join(format!("apicurio-registry-app-{APICURIO}-runner.jar")))
}

fn jars(set: &Jars) -> Result<PathBuf> {
    let mut dependencies = String::new();
    for artifact in set.artifacts {
        dependencies += &dependency("org.apache.kafka", artifact, KAFKA);
    }
    dependencies += &dependency("org.apache.logging.log4j", "log4j-slf4j-impl", LOG4J);
    let dir = once(set.name, &dependencies, |dir| {
        let pom = dir.join("pom.xml");
        write_pom(&pom, set.name, &dependencies)?;
        let mut command = maven(&pom)?;
        command
            .arg("dependency:copy-dependencies")
            .arg(format!("-DoutputDirectory={}", dir.join("libs").display()));
        run(&format!("fetching {} {KAFKA}", set.name), command, dir)
    })?;
    Ok(dir.join("libs"))
}

fn maven(pom: &Path) -> Result<Command> {
    let mut command = Command::new(tools::MAVEN.require()?);
    command.args(["--quiet", "--batch-mode", "--file"]).arg(pom);
    Ok(command)
}

/// Maven does not guard its repository against a second Maven, so they take turns.
fn run(what: &str, command: Command, dir: &Path) -> Result<()> {
    let _turn = lock(&paths::cache().join("maven.lock"))?;
    process::run(what, command, &dir.join("mvn.log"))
}

fn write_pom(path: &Path, name: &str, dependencies: &str) -> Result<()> {
    let pom = format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n\
         <modelVersion>4.0.0</modelVersion>\n\
         <groupId>penstock.services</groupId>\n\
         <artifactId>{name}</artifactId>\n\
         <version>1</version>\n\
         <packaging>pom</packaging>\n\
         <dependencies>\n{dependencies}</dependencies>\n\
         </project>\n"
    );
    fs::write(path, pom).map_err(Error::io("write", path))
}

fn dependency(group: &str, artifact: &str, version: &str) -> String {
    format!(
        "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>\
         <version>{version}</version></dependency>\n"
    )
}
