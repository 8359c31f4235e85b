//! Which API is asked, as whom: the arguments that all commands have that ask one.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, value_parser};

use super::Failure;
use crate::client::profile::{self, Environment};
use crate::client::{Connection, Url};
use crate::ec2::auth::Signer;
use crate::fault::Faults;

/// The socket of an appliance file that leaves it at that.
const SOCKET_DEFAULT: &str = "/run/linetap/api/api.sock";
/// Where URLs are looked for, as by AWS's own command line.
const URL_VARIABLES: [&str; 2] = ["AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL"];
/// The region that is signed for when nobody names one; `[api] region` may ask for another.
const REGION_DEFAULT: &str = "us-east-1";

/// Which API is asked. Without any of this it is the appliance of this machine.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct Endpoint {
    /// The API's socket: linetapd takes root and its group at their word
    /// [default: /run/linetap/api/api.sock].
    #[arg(long, value_name = "PATH", global = true, conflicts_with = "url")]
    socket: Option<PathBuf>,
    /// The API's URL, asked with an access key [default: `AWS_ENDPOINT_URL_EC2` or
    /// `AWS_ENDPOINT_URL`].
    #[arg(long = "endpoint-url", value_name = "URL", global = true)]
    url: Option<String>,
    /// The profile of ~/.aws/credentials and ~/.aws/config with the access key
    /// [default: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, else the profile `AWS_PROFILE`].
    #[arg(long, value_name = "NAME", global = true, conflicts_with = "socket")]
    profile: Option<String>,
    /// The region that is signed for [default: `AWS_REGION`, the profile's, or us-east-1].
    #[arg(long, value_name = "NAME", global = true, conflicts_with = "socket")]
    region: Option<String>,
    /// Certificates of the authorities that are believed, PEM [default: `AWS_CA_BUNDLE`, or the
    /// system's].
    #[arg(long, value_name = "FILE", global = true, conflicts_with = "socket")]
    ca_bundle: Option<PathBuf>,
    /// How long a call may take, with all tries of it.
    #[arg(
        long,
        value_name = "SECONDS",
        global = true,
        default_value_t = 60,
        value_parser = value_parser!(u64).range(1..=86_400)
    )]
    timeout: u64,
}

impl Endpoint {
    /// A connection, which is made when something is first asked. Errors: arguments, environment or
    /// profile are wrong; all of it is told.
    pub(super) fn connect(&self) -> Result<Connection, Failure> {
        self.connect_in(&|name| env::var_os(name)).map_err(Failure::Usage)
    }

    fn connect_in(&self, environment: Environment<'_>) -> Result<Connection, Faults> {
        let timeout = Duration::from_secs(self.timeout);
        let fault = |told: String| Faults::of_arguments([told]);
        let by_socket = |path: PathBuf| {
            Connection::by_socket(&path, timeout).map_err(|error| fault(error.to_string()))
        };
        if let Some(path) = &self.socket {
            return by_socket(path.clone());
        }
        let text = |name: &str| text_of(environment(name));
        let of_environment = URL_VARIABLES.iter().find_map(|name| Some((*name, text(name)?)));
        let given = self.url.clone().map(|url| ("--endpoint-url", url));
        let given = given.or(of_environment);
        let is_named = self.profile.is_some() || text("AWS_PROFILE").is_some();
        if given.is_none() && !is_named {
            return by_socket(SOCKET_DEFAULT.into());
        }
        let profile = profile::find(self.profile.as_deref(), environment);
        let profile = profile.map_err(|error| fault(error.to_string()))?;
        let of_profile = profile.endpoint_url.map(|url| ("the profile's endpoint_url", url));
        let Some((place, url)) = given.or(of_profile) else {
            if let Some(name) = &self.profile {
                return Err(fault(format!(
                    "--profile {name}: it has no endpoint_url; add one to it, or name the API with \
                     --endpoint-url"
                )));
            }
            return by_socket(SOCKET_DEFAULT.into());
        };
        let mut faults = Vec::new();
        let url = url.parse::<Url>().map_err(|error| faults.push(format!("{place}: {error}"))).ok();
        if profile.keys.is_none() {
            faults.push(format!(
                "there is no access key for {place}; set AWS_ACCESS_KEY_ID and \
                 AWS_SECRET_ACCESS_KEY, or name a --profile that has one. On the appliance itself \
                 --socket needs none"
            ));
        }
        let (Some(url), Some(keys), []) = (url, profile.keys, faults.as_slice()) else {
            return Err(Faults::of_arguments(faults));
        };
        let region = self.region.clone().or(profile.region);
        let signer = Signer {
            key_id: keys.id,
            secret: keys.secret,
            token: keys.token,
            region: region.unwrap_or_else(|| REGION_DEFAULT.to_owned()),
        };
        let bundle = self.ca_bundle.clone().or_else(|| text("AWS_CA_BUNDLE").map(PathBuf::from));
        Connection::by_url(url, signer, bundle.as_deref(), timeout)
            .map_err(|error| fault(error.to_string()))
    }
}

/// A variable's value; an empty one is none.
fn text_of(value: Option<OsString>) -> Option<String> {
    value.and_then(|value| value.into_string().ok()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        endpoint: Endpoint,
    }

    /// Where a command line and an environment lead to, or what is wrong with them.
    fn place(arguments: &[&str], set: &[(&str, &str)]) -> Result<String, String> {
        let command = Command::try_parse_from([&["x"], arguments].concat()).unwrap();
        let environment = |name: &str| {
            let set = set.iter().find(|(variable, _)| *variable == name);
            set.map(|(_, value)| OsString::from(value))
        };
        let made = command.endpoint.connect_in(&environment);
        made.map(|made| made.place().to_string()).map_err(|faults| faults.to_string())
    }

    const KEYS: [(&str, &str); 2] =
        [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "secret")];

    #[test]
    fn arguments_come_before_the_environment_and_that_before_the_default() {
        let both = [
            KEYS[0],
            KEYS[1],
            ("AWS_ENDPOINT_URL_EC2", "http://a:1"),
            ("AWS_ENDPOINT_URL", "http://b:2"),
        ];
        assert_eq!(place(&[], &[]).unwrap(), SOCKET_DEFAULT);
        assert_eq!(place(&[], &KEYS).unwrap(), SOCKET_DEFAULT);
        assert_eq!(place(&[], &both).unwrap(), "http://a:1");
        assert_eq!(place(&[], &[both[0], both[1], both[3]]).unwrap(), "http://b:2");
        assert_eq!(place(&["--endpoint-url", "http://c:3"], &both).unwrap(), "http://c:3");
        assert_eq!(place(&["--socket", "/s"], &both).unwrap(), "/s");
    }

    #[test]
    fn what_lacks_for_a_url_is_told_together() {
        let told = place(&["--endpoint-url", "tap"], &[]).unwrap_err();
        assert!(told.contains("--endpoint-url: \"tap\" is no URL of an API"), "{told}");
        assert!(told.contains("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"), "{told}");
        let told = place(&["--profile", "tap"], &[("HOME", "/nonexistent")]).unwrap_err();
        assert!(told.contains("there is no profile \"tap\" in /nonexistent/.aws/cred"), "{told}");
        let bundle = [KEYS[0], KEYS[1], ("AWS_CA_BUNDLE", "/nonexistent.pem")];
        let told = place(&["--endpoint-url", "https://tap"], &bundle).unwrap_err();
        assert!(told.contains("/nonexistent.pem: it can't be read"), "{told}");
    }
}
