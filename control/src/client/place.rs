//! Where the API is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use hyper::Uri;
use thiserror::Error;

/// Where the API is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A Unix socket, where the kernel tells who asks.
    Socket(PathBuf),
    /// A server, where a signature does.
    Url(Url),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(f),
            Self::Url(url) => url.fmt(f),
        }
    }
}

/// A server's URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// True for HTTPS.
    pub tls: bool,
    /// A name or an address, an IPv6 one without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The value of the header `Host`.
    pub authority: String,
    /// What is asked for there: a path.
    pub path: String,
}

/// What is no URL of an API.
#[derive(Debug, Error)]
#[error("{text:?} is no URL of an API, {why}; write one like http://127.0.0.1:8440")]
pub struct BadUrl {
    text: String,
    why: &'static str,
}

impl FromStr for Url {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        let bad = |why| BadUrl { text: text.to_owned(), why };
        let uri: Uri = text.parse().map_err(|_| bad("its form is another one"))?;
        let (tls, usual) = match uri.scheme_str() {
            Some("http") => (false, 80),
            Some("https") => (true, 443),
            _ => return Err(bad("it begins neither with http:// nor with https://")),
        };
        let authority = uri.authority().map_or("", |it| it.as_str());
        if authority.contains('@') {
            return Err(bad("it has a user's name in it"));
        }
        if uri.query().is_some() {
            return Err(bad("it has a query"));
        }
        let host = uri.host().unwrap_or_default();
        let port = match authority.strip_prefix(host) {
            Some("") => Some(usual),
            _ => uri.port_u16().filter(|port| *port > 0),
        };
        let host = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host);
        let Some(port) = port.filter(|_| !host.is_empty()) else {
            return Err(bad("it lacks a host, or its port is none"));
        };
        let suffix = format!(":{usual}");
        let authority = authority.strip_suffix(&suffix).unwrap_or(authority).to_owned();
        Ok(Self { tls, host: host.to_owned(), port, authority, path: uri.path().to_owned() })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        let path = if self.path == "/" { "" } else { &self.path };
        write!(f, "{scheme}://{}{path}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let parts = |text: &str| {
            let url: Url = text.parse().unwrap();
            (url.tls, url.host.clone(), url.port, url.authority.clone(), url.path.clone())
        };
        let want = |tls, host: &str, port, authority: &str, path: &str| {
            (tls, host.to_owned(), port, authority.to_owned(), path.to_owned())
        };
        assert_eq!(
            parts("http://127.0.0.1:8440"),
            want(false, "127.0.0.1", 8440, "127.0.0.1:8440", "/")
        );
        assert_eq!(
            parts("https://[2001:db8::1]:443/"),
            want(true, "2001:db8::1", 443, "[2001:db8::1]", "/")
        );
        assert_eq!(
            parts("https://tap.example/ec2"),
            want(true, "tap.example", 443, "tap.example", "/ec2")
        );
        let url: Url = "https://tap.example:443/".parse().unwrap();
        assert_eq!(url.to_string(), "https://tap.example");
    }

    #[test]
    fn what_is_none_is_told_with_an_example() {
        for odd in [
            "",
            "tap",
            "tap:8440",
            "ftp://tap",
            "http://",
            "http://u:p@tap",
            "http://tap:",
            "http://tap:0",
            "http://tap:99999",
            "http://tap/?a",
            "/run/x.sock",
        ] {
            let told = odd.parse::<Url>().map(|url| url.to_string()).unwrap_err().to_string();
            assert!(told.ends_with("write one like http://127.0.0.1:8440"), "{odd}: {told}");
        }
    }
}
