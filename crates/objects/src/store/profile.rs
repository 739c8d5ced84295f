//! Profiles of the AWS tools: `~/.aws/credentials` and `~/.aws/config`.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use ini::{Ini, Properties};
use object_store::CredentialProvider;
use object_store::aws::{AwsCredential, AwsCredentialProvider};
use penstock_connect::Error;

use super::environment::variable;
use super::role::Role;

/// How long keys are used before the files are read again: tools that hand out temporary keys write
/// them there.
const FRESH: Duration = Duration::from_secs(10);

/// Where a profile says that its keys come from, if it has none itself.
const OTHER_SOURCES: &[&str] = &["sso_session", "sso_start_url", "credential_process"];

/// Who assumes the role of a profile.
#[derive(Debug)]
pub(super) enum Source {
    /// Who has the keys of this profile.
    Profile(Profile),
    /// The container, or the machine.
    Machine,
}

/// A profile, with keys or without.
#[derive(Debug)]
pub(super) struct Profile {
    name: String,
    credentials: PathBuf,
    config: PathBuf,
    region: Option<String>,
}

impl Profile {
    /// The profile of `AWS_PROFILE`, or `default` where there is one. `None` without one.
    pub(super) fn find() -> Result<Option<Self>, Error> {
        let named = variable("AWS_PROFILE");
        let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let place = |variable: &str, file: &str| {
            env::var_os(variable).map_or_else(|| home.join(".aws").join(file), PathBuf::from)
        };
        let name = named.clone().unwrap_or_else(|| "default".to_owned());
        let profile = Self::load(
            name,
            place("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
            place("AWS_CONFIG_FILE", "config"),
        )?;
        match (profile, named) {
            (None, Some(name)) => Err(Error::never(format!(
                "AWS_PROFILE names the profile {name}, which is neither in the AWS credentials file \
                 nor in the AWS config file"
            ))),
            (profile, _) => Ok(profile),
        }
    }

    fn load(name: String, credentials: PathBuf, config: PathBuf) -> Result<Option<Self>, Error> {
        let said = Said::of(&name, &credentials, &config)?;
        if said.0.is_empty() {
            return Ok(None);
        }
        let profile = Self {
            region: said.get("region").map(str::to_owned),
            name,
            credentials,
            config,
        };
        Ok(Some(profile))
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The region that it names.
    pub(super) fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    fn said(&self) -> Result<Said, Error> {
        Said::of(&self.name, &self.credentials, &self.config)
    }

    /// The role that it names, and who assumes it.
    pub(super) fn role(&self) -> Result<Option<(Role, Source)>, Error> {
        let said = self.said()?;
        let get = |key| said.get(key);
        let Some(arn) = get("role_arn") else {
            return Ok(None);
        };
        let wrong = |what: &str| {
            let name = &self.name;
            Error::never(format!("the AWS profile {name} names a role {what}"))
        };
        if get("mfa_serial").is_some() {
            return Err(wrong(
                "with mfa_serial, and nobody is there to type a code: let the AWS command line export temporary keys \
                 (aws configure export-credentials)",
            ));
        }
        let seconds = get("duration_seconds").map(str::parse).transpose();
        let seconds = seconds.map_err(|_| wrong("with duration_seconds that is no number"))?;
        let mut role = Role::new(arn, get("role_session_name"), get("external_id"));
        if let Some(seconds) = seconds {
            role.duration = Duration::from_secs(seconds);
        }
        let source = match (get("source_profile"), get("credential_source")) {
            (Some(source), _) => {
                let profile = Self::load(
                    source.to_owned(),
                    self.credentials.clone(),
                    self.config.clone(),
                )?;
                Source::Profile(profile.ok_or_else(|| {
                    wrong(&format!("with source_profile={source}, which is not there"))
                })?)
            }
            (None, Some("Ec2InstanceMetadata" | "EcsContainer")) => Source::Machine,
            (None, _) => {
                return Err(wrong(
                    "without source_profile, or credential_source=Ec2InstanceMetadata or EcsContainer",
                ));
            }
        };
        Ok(Some((role, source)))
    }

    /// Its keys, which are read again from time to time. `None` for one that only has settings, such as a
    /// region: then whoever comes next is asked.
    pub(super) fn provider(self) -> Result<Option<AwsCredentialProvider>, Error> {
        let Some(keys) = self.keys()? else {
            return Ok(None);
        };
        Ok(Some(Arc::new(ProfileProvider {
            profile: self,
            keys: Mutex::new((Instant::now(), Arc::new(keys))),
        })))
    }

    fn keys(&self) -> Result<Option<AwsCredential>, Error> {
        let said = self.said()?;
        let get = |key| said.get(key);
        match (get("aws_access_key_id"), get("aws_secret_access_key")) {
            (Some(id), Some(secret)) => Ok(Some(AwsCredential {
                key_id: id.to_owned(),
                secret_key: secret.to_owned(),
                token: get("aws_session_token").map(str::to_owned),
            })),
            (None, None) => match OTHER_SOURCES.iter().find(|key| get(key).is_some()) {
                Some(key) => Err(Error::never(format!(
                    "the AWS profile {} gets its keys by {key}, which is not supported: let the AWS command \
                     line export temporary keys (aws configure export-credentials), or use a web identity",
                    self.name
                ))),
                None => Ok(None),
            },
            _ => Err(Error::never(format!(
                "the AWS profile {} has one of aws_access_key_id and aws_secret_access_key, not both",
                self.name
            ))),
        }
    }
}

/// What the two files say of a profile, the credentials file first: what it says goes.
struct Said(Vec<Properties>);

impl Said {
    fn of(name: &str, credentials: &Path, config: &Path) -> Result<Self, Error> {
        let own = read(credentials)?;
        let shared = read(config)?;
        let sections = [own.section(Some(name)), section_of_config(&shared, name)];
        Ok(Self(sections.into_iter().flatten().cloned().collect()))
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find_map(|section| section.get(key))
    }
}

/// In the config file all profiles but `default` have `profile` before their name.
fn section_of_config<'a>(config: &'a Ini, name: &str) -> Option<&'a Properties> {
    let section = if name == "default" {
        "default".to_owned()
    } else {
        format!("profile {name}")
    };
    config.section(Some(section))
}

/// A file that is not there has nothing in it.
fn read(path: &Path) -> Result<Ini, Error> {
    match Ini::load_from_file_noescape(path) {
        Ok(ini) => Ok(ini),
        Err(ini::Error::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            Ok(Ini::new())
        }
        // The parser's message may quote the file.
        Err(ini::Error::Parse(error)) => Err(Error::never(format!(
            "{}:{}: is no profile file as the AWS tools write it",
            path.display(),
            error.line
        ))),
        Err(ini::Error::Io(error)) => Err(Error::never(format!(
            "cannot read {}: {error}",
            path.display()
        ))),
    }
}

#[derive(Debug)]
struct ProfileProvider {
    profile: Profile,
    keys: Mutex<(Instant, Arc<AwsCredential>)>,
}

#[async_trait]
impl CredentialProvider for ProfileProvider {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.0.elapsed() >= FRESH {
            // While a tool writes the file there may be nothing in it: the keys from before serve on.
            if let Ok(Some(fresh)) = self.profile.keys() {
                keys.1 = Arc::new(fresh);
            }
            keys.0 = Instant::now();
        }
        Ok(keys.1.clone())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const CREDENTIALS: &str = "# keys\n[default]\naws_access_key_id = AKIADEFAULT\n\
        aws_secret_access_key=abc/def+ghi=\n\n[temporary]\naws_access_key_id=ASIA\n\
        aws_secret_access_key=secret\naws_session_token=token\\with=all#of;it\n[half]\n\
        aws_access_key_id=AKIAHALF\n[empty]\n";
    const CONFIG: &str = "[default]\nregion = eu-west-1\ns3 =\n  max_concurrent_requests = 20\n\
        [profile temporary]\nregion=eu-north-1\n[profile sso]\nsso_session = corp\nregion=us-east-1\n\
        [profile role]\nrole_arn=arn:x\nsource_profile=default\nexternal_id=lake\nduration_seconds=900\n\
        [profile machine]\nrole_arn=arn:y\nrole_session_name=me\ncredential_source=EcsContainer\n\
        [profile nowhere]\nrole_arn=arn:z\nsource_profile=nobody\n\
        [profile alone]\nrole_arn=arn:z\n\
        [profile typed]\nrole_arn=arn:z\nsource_profile=default\nmfa_serial=arn:m\n";

    fn profile(name: &str) -> Result<Option<Profile>, Error> {
        // Kept until the process ends: profiles read their files again.
        let dir = tempfile::tempdir().unwrap().keep();
        std::fs::write(dir.join("credentials"), CREDENTIALS).unwrap();
        std::fs::write(dir.join("config"), CONFIG).unwrap();
        Profile::load(name.to_owned(), dir.join("credentials"), dir.join("config"))
    }

    #[test]
    fn keys_and_region_of_a_profile_come_from_both_files() {
        for (name, region, id, secret, token) in [
            ("default", "eu-west-1", "AKIADEFAULT", "abc/def+ghi=", None),
            (
                "temporary",
                "eu-north-1",
                "ASIA",
                "secret",
                Some(r"token\with=all#of;it"),
            ),
        ] {
            let profile = profile(name).unwrap().unwrap();
            assert_eq!(profile.region(), Some(region));
            let keys = profile.keys().unwrap().unwrap();
            assert_eq!(
                (keys.key_id.as_str(), keys.secret_key.as_str()),
                (id, secret)
            );
            assert_eq!(keys.token.as_deref(), token);
        }
    }

    #[test]
    fn a_profile_without_keys_leaves_it_to_others_and_one_with_keys_elsewhere_says_what_to_do() {
        assert!(profile("nobody").unwrap().is_none());
        assert!(profile("empty").unwrap().unwrap().keys().unwrap().is_none());
        for (name, message) in [
            (
                "half",
                "the AWS profile half has one of aws_access_key_id and aws_secret_access_key, not both",
            ),
            (
                "sso",
                "the AWS profile sso gets its keys by sso_session, which is not supported: let the AWS \
                 command line export temporary keys (aws configure export-credentials), or use a web \
                 identity",
            ),
        ] {
            let error = profile(name).unwrap().unwrap().keys().unwrap_err();
            assert_eq!(error.message, message);
        }
    }

    #[test]
    fn a_profile_names_a_role_and_who_assumes_it() {
        assert!(
            profile("default")
                .unwrap()
                .unwrap()
                .role()
                .unwrap()
                .is_none()
        );
        let (role, source) = profile("role").unwrap().unwrap().role().unwrap().unwrap();
        assert_eq!(
            (role.arn.as_str(), role.session.as_str()),
            ("arn:x", "penstock")
        );
        assert_eq!(role.external_id.as_deref(), Some("lake"));
        assert_eq!(role.duration, Duration::from_secs(900));
        assert!(matches!(source, Source::Profile(profile) if profile.name() == "default"));
        let (role, source) = profile("machine")
            .unwrap()
            .unwrap()
            .role()
            .unwrap()
            .unwrap();
        assert_eq!((role.arn.as_str(), role.session.as_str()), ("arn:y", "me"));
        assert!(matches!(source, Source::Machine));
        for (name, message) in [
            (
                "nowhere",
                "the AWS profile nowhere names a role with source_profile=nobody, which is not there",
            ),
            (
                "alone",
                "the AWS profile alone names a role without source_profile, or \
                 credential_source=Ec2InstanceMetadata or EcsContainer",
            ),
            (
                "typed",
                "the AWS profile typed names a role with mfa_serial, and nobody is there to type a code: let the \
                 AWS command line export temporary keys (aws configure export-credentials)",
            ),
        ] {
            let error = profile(name).unwrap().unwrap().role().unwrap_err();
            assert_eq!(error.message, message);
        }
    }

    #[test]
    fn files_that_are_not_there_have_no_profiles() {
        let nowhere = PathBuf::from("/nonexistent/credentials");
        let found = Profile::load("default".to_owned(), nowhere.clone(), nowhere).unwrap();
        assert!(found.is_none());
    }
}
