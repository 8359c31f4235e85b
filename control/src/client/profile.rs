//! Access keys and region, from where AWS's own command line has them: the environment, else a
//! profile of `~/.aws/credentials` and `~/.aws/config`. Plain keys only: nothing is asked of others.
//!
//! Source: AWS's command line user guide, "Configuration and credential file settings".

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::ec2::auth::Secret;

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Gives a variable of the environment its value.
pub type Environment<'e> = &'e dyn Fn(&str) -> Option<OsString>;

/// An access key of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: Secret,
    /// What comes with temporary credentials.
    pub token: Option<String>,
}

/// What is set up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// The access key, if there is one.
    pub keys: Option<Keys>,
    /// The region, if there is one.
    pub region: Option<String>,
    /// The API's URL of a profile that was named.
    pub endpoint_url: Option<String>,
}

/// Why the set-up is of no use.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// A file can't be read.
    #[error("{path}: it can't be read: {cause}; make it readable for you, or set {variable}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
        /// Where another can be named.
        variable: &'static str,
    },
    /// No file has the profile.
    #[error("there is no profile {name:?} in {credentials} or {config}; add it to one of them")]
    Unknown {
        /// Which.
        name: String,
        /// The file of credentials.
        credentials: PathBuf,
        /// The file of settings.
        config: PathBuf,
    },
    /// A key is there by half.
    #[error("{place} has {has} without {lacks}; set both")]
    Half {
        /// Where.
        place: String,
        /// What is there.
        has: &'static str,
        /// What isn't.
        lacks: &'static str,
    },
    /// It gets its key in a way that is not taken here.
    #[error(
        "profile {0:?} has no access key but {1}, which works with AWS only; give it \
         aws_access_key_id and aws_secret_access_key of the appliance's keys file"
    )]
    Foreign(String, &'static str),
}

/// Finds out what is set up. `name`: the profile that was asked for; its keys are meant then, not
/// those of the environment.
pub fn find(name: Option<&str>, environment: Environment<'_>) -> Result<Profile, ProfileError> {
    let text = |variable: &str| {
        let value = environment(variable).and_then(|value| value.into_string().ok());
        value.filter(|value| !value.is_empty())
    };
    let of_environment = match name {
        Some(_) => None,
        None => keys("the environment", &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"], &text)?,
    };
    let token = || text("AWS_SESSION_TOKEN");
    let of_environment = of_environment.map(|keys| Keys { token: token(), ..keys });
    let named = name.map(str::to_owned).or_else(|| text("AWS_PROFILE"));
    let mut profile = of_files(named.as_deref(), of_environment.is_some(), environment)?;
    profile.keys = of_environment.or(profile.keys);
    let region = text("AWS_REGION").or_else(|| text("AWS_DEFAULT_REGION"));
    profile.region = region.or(profile.region);
    Ok(profile)
}

/// The key whose id and secret are called so.
fn keys(
    place: &str,
    [id, secret]: &[&'static str; 2],
    value: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Keys>, ProfileError> {
    let half = |has, lacks| Err(ProfileError::Half { place: place.to_owned(), has, lacks });
    match (value(id), value(secret)) {
        (None, None) => Ok(None),
        (Some(_), None) => half(id, secret),
        (None, Some(_)) => half(secret, id),
        (Some(id), Some(text)) => Ok(Some(Keys { id, secret: Secret::new(text), token: None })),
    }
}

/// What the files say. With `has_keys` theirs are not needed.
fn of_files(
    named: Option<&str>,
    has_keys: bool,
    environment: Environment<'_>,
) -> Result<Profile, ProfileError> {
    let [(credentials, of_credentials), (config, of_config)] =
        [("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"), ("AWS_CONFIG_FILE", ".aws/config")]
            .map(|(variable, usual)| {
                let home =
                    || environment("HOME").map(PathBuf::from).unwrap_or_default().join(usual);
                let path = environment(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
                let path = path.unwrap_or_else(home);
                let sections = read(&path, variable);
                (path, sections)
            });
    let name = named.unwrap_or("default");
    let (mut of_credentials, mut of_config) = (of_credentials?, of_config?);
    let heading = if name == "default" { name.to_owned() } else { format!("profile {name}") };
    let (first, second) = (of_credentials.remove(name), of_config.remove(&heading));
    if named.is_some() && first.is_none() && second.is_none() {
        return Err(ProfileError::Unknown { name: name.to_owned(), credentials, config });
    }
    let sections = [first.unwrap_or_default(), second.unwrap_or_default()];
    let value = |key: &str| {
        let value = sections.iter().find_map(|section| section.get(key)).cloned();
        value.filter(|value| !value.is_empty())
    };
    let place = format!("profile {name:?}");
    let mut own = None;
    if !has_keys {
        own = keys(&place, &["aws_access_key_id", "aws_secret_access_key"], &value)?;
        let other = ["role_arn", "sso_session", "sso_start_url", "credential_process"];
        let other = other.into_iter().find(|key| value(key).is_some());
        if let (None, Some(key), Some(_)) = (&own, other, named) {
            return Err(ProfileError::Foreign(name.to_owned(), key));
        }
    }
    Ok(Profile {
        keys: own.map(|keys| Keys { token: value("aws_session_token"), ..keys }),
        region: value("region"),
        endpoint_url: value("endpoint_url").filter(|_| named.is_some()),
    })
}

type Section = HashMap<String, String>;

/// The sections of a file; none when it isn't there.
fn read(path: &Path, variable: &'static str) -> Result<HashMap<String, Section>, ProfileError> {
    let mut text = String::new();
    let outcome = File::open(path).and_then(|file| {
        file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(io::Error::other(format!("it has more than {FILE_BYTES_MAX} bytes")));
        }
        Ok(())
    });
    match outcome {
        Ok(()) => Ok(sections(&text)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(HashMap::new()),
        Err(cause) => Err(ProfileError::File { path: path.to_owned(), cause, variable }),
    }
}

/// Reads what AWS's own tools read: a secret ends with its line, whatever it has in it.
fn sections(text: &str) -> HashMap<String, Section> {
    let mut found: HashMap<String, Section> = HashMap::new();
    let mut current = None;
    for line in text.lines().filter(|line| !line.starts_with(['#', ';'])) {
        if let Some(heading) = line.trim().strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            // `[profile tap]`, `[profile "tap"]`.
            let words = heading.replace(['"', '\''], "");
            let heading = words.split_whitespace().collect::<Vec<_>>().join(" ");
            current = Some(found.entry(heading).or_default());
            continue;
        }
        // What is indented belongs to a key of its own kind (`s3 =`).
        let Some(section) = current.as_mut().filter(|_| !line.starts_with([' ', '\t'])) else {
            continue;
        };
        if let Some((key, value)) = line.split_once('=') {
            section.insert(key.trim().to_lowercase(), value.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIALS: &str = "# mine\n[default]\naws_access_key_id = AKIDDEFAULT\n\
        aws_secret_access_key = a=b#c;d\n\n[tap]\nAWS_Access_Key_Id=AKIDTAP\n\
        aws_secret_access_key=tap\naws_session_token = t\n[half]\naws_access_key_id = x\n";
    const CONFIG: &str = "[default]\nregion = eu-west-1\nendpoint_url = http://default\n\
        s3 =\n  region = no\n[profile tap]\nregion=us-west-2\nendpoint_url = http://tap:1\n\
        [profile \"two words\"]\nrole_arn = arn\n";

    fn found(name: Option<&str>, set: &[(&str, &str)]) -> Result<Profile, String> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(".aws")).unwrap();
        std::fs::write(dir.path().join(".aws/credentials"), CREDENTIALS).unwrap();
        std::fs::write(dir.path().join(".aws/config"), CONFIG).unwrap();
        let environment = |name: &str| {
            let set = set.iter().find(|(variable, _)| *variable == name);
            let set = set.map(|(_, value)| OsString::from(value));
            set.or_else(|| (name == "HOME").then(|| dir.path().into()))
        };
        find(name, &environment).map_err(|error| error.to_string())
    }

    fn keys(id: &str, secret: &str, token: Option<&str>) -> Keys {
        let token = token.map(str::to_owned);
        Keys { id: id.to_owned(), secret: Secret::new(secret), token }
    }

    #[test]
    fn the_environment_comes_before_the_files_and_a_named_profile_before_it() {
        let set = [("AWS_ACCESS_KEY_ID", "AKIDENV"), ("AWS_SECRET_ACCESS_KEY", "env")];
        let profile = found(None, &set).unwrap();
        assert_eq!(profile.keys, Some(keys("AKIDENV", "env", None)));
        assert_eq!(profile.region.as_deref(), Some("eu-west-1"));
        assert_eq!(profile.endpoint_url, None, "nobody named the profile");
        let profile = found(Some("tap"), &set).unwrap();
        assert_eq!(profile.keys, Some(keys("AKIDTAP", "tap", Some("t"))));
        assert_eq!(profile.region.as_deref(), Some("us-west-2"));
        assert_eq!(profile.endpoint_url.as_deref(), Some("http://tap:1"));
        let region = ("AWS_DEFAULT_REGION", "r");
        assert_eq!(found(Some("tap"), &[region]).unwrap().region.as_deref(), Some("r"));
        let token = ("AWS_SESSION_TOKEN", "e");
        let with_token = found(None, &[set[0], set[1], token]).unwrap();
        assert_eq!(with_token.keys, Some(keys("AKIDENV", "env", Some("e"))));
    }

    #[test]
    fn files_are_read_as_aws_reads_them() {
        assert_eq!(found(None, &[]).unwrap().keys, Some(keys("AKIDDEFAULT", "a=b#c;d", None)));
        let named = found(None, &[("AWS_PROFILE", "tap")]).unwrap();
        assert_eq!(named.keys, Some(keys("AKIDTAP", "tap", Some("t"))));
        let elsewhere = ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/file");
        assert_eq!(found(None, &[elsewhere]).unwrap().keys, None);
    }

    #[test]
    fn what_is_of_no_use_is_told_with_its_remedy() {
        let told = |name, set: &[_]| found(name, set).unwrap_err();
        assert!(told(Some("tab"), &[]).contains("there is no profile \"tab\" in"));
        let half = told(Some("half"), &[]);
        assert!(half.contains("aws_access_key_id without aws_secret_access_key"), "{half}");
        let half = told(None, &[("AWS_SECRET_ACCESS_KEY", "s")]);
        assert_eq!(
            half,
            "the environment has AWS_SECRET_ACCESS_KEY without AWS_ACCESS_KEY_ID; set both"
        );
        assert!(told(Some("two words"), &[]).contains("has no access key but role_arn"));
        let folder = told(None, &[("AWS_CONFIG_FILE", "/")]);
        assert!(folder.contains("can't be read") && folder.contains("AWS_CONFIG_FILE"));
    }
}
