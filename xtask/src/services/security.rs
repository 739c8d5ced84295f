//! A broker's listeners for clients that must say who they are.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// What a broker with two more listeners needs: `SASL_SSL`, where users log in with a password (PLAIN
/// or SCRAM-SHA-512), and `SSL`, where they show a certificate.
#[derive(Debug, Clone)]
pub struct KafkaSecurity {
    /// Certificates (PEM) of those whose clients are let in with a certificate.
    pub authorities: String,
    /// The broker's private key (PKCS#8) and its certificate, both PEM.
    pub identity: String,
    /// Names and passwords.
    pub users: Vec<(String, String)>,
}

impl KafkaSecurity {
    /// Broker settings beside those of the plain listener; key and trust stores are written to `dir`.
    pub(super) fn properties(&self, dir: &Path) -> Result<String> {
        let trusted = write(dir, "authorities.pem", &self.authorities)?;
        let identity = write(dir, "identity.pem", &self.identity)?;
        let users: String = self
            .users
            .iter()
            .map(|(name, password)| format!(" user_{name}=\"{password}\""))
            .collect();
        let login = "org.apache.kafka.common.security";
        Ok(format!(
            "ssl.keystore.type=PEM\n\
             ssl.keystore.location={}\n\
             ssl.truststore.type=PEM\n\
             ssl.truststore.location={}\n\
             listener.name.ssl.ssl.client.auth=required\n\
             sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512\n\
             listener.name.sasl_ssl.plain.sasl.jaas.config={login}.plain.PlainLoginModule required{users};\n\
             listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={login}.scram.ScramLoginModule required;\n",
            identity.display(),
            trusted.display(),
        ))
    }

    /// Arguments of the storage tool: SCRAM's users are records of the cluster.
    pub(super) fn format_arguments(&self) -> impl Iterator<Item = String> {
        self.users.iter().flat_map(|(name, password)| {
            let user = format!("SCRAM-SHA-512=[name={name},password={password}]");
            ["--add-scram".to_owned(), user]
        })
    }
}

fn write(dir: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = dir.join(name);
    fs::write(&path, text).map_err(Error::io("write", &path))?;
    Ok(path)
}
