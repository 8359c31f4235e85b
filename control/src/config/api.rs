//! `[api]`: where the EC2 API listens, who may call, and how much.
//!
//! ```toml
//! [api]
//! listen      = ["127.0.0.1:8440"]  # off loopback, and behind "https://", it is TLS
//! account     = "000000000000"      # whose objects callers on the Unix socket work on
//! region      = "us-east-1"         # the only one that is served; absent: any
//! keys        = "/etc/linetap/keys.toml"
//! audit       = "/var/lib/linetap/control/audit.jsonl"
//! certificate = "/etc/linetap/tls.pem"
//! private_key = "/etc/linetap/tls.key"
//!
//! [api.limits]                      # shown with their defaults
//! connections             = 256
//! connections_per_address = 64
//! header_bytes            = 16384
//! body_bytes              = 1048576
//! client_timeout_s        = 10
//! requests_per_second     = 500     # of one key
//! request_burst           = 1000
//! ```

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::table::{Placed, Table};
use crate::fault::quoted;

/// The API's socket in `run_dir`: in a folder of linetapd's own, who may not write beside it.
pub const API_SOCKET_NAME: &str = "api/api.sock";
/// The port of the API unless the file says otherwise.
pub const API_PORT: u16 = 8440;

/// Addresses that are listened on, at most.
const LISTENERS_MAX: usize = 16;
const ADDRESS_FORM: &str =
    "an address with a port; write one like 127.0.0.1:8440 or https://[2001:db8::1]:8440";

/// `[api]`, complete with defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    /// Where to listen besides the Unix socket.
    pub listen: Vec<Listen>,
    /// The Unix socket.
    pub socket: PathBuf,
    /// The account of callers on the Unix socket: 12 digits.
    pub account: String,
    /// The only region that requests may be signed for; any if absent.
    pub region: Option<String>,
    /// The file with the access keys.
    pub keys: PathBuf,
    /// The audit log.
    pub audit: PathBuf,
    /// There whenever a listener needs it.
    pub tls: Option<TlsFiles>,
    /// How much is taken.
    pub limits: Limits,
}

/// One TCP address that is listened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// The address; port 0 is any free one.
    pub address: SocketAddr,
    /// True: TLS only. False: plain HTTP only, and then the address is a loopback one.
    pub tls: bool,
}

/// What TLS needs, both as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and behind it those that lead up to a root.
    pub certificate: PathBuf,
    /// Its private key.
    pub private_key: PathBuf,
}

/// `[api.limits]`: what clients can take of the daemon, whoever they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time, the Unix socket's among them.
    pub connections: u32,
    /// Connections at a time from one address.
    pub connections_per_address: u32,
    /// Bytes of a request's head.
    pub header_bytes: usize,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// How long a client may take for a handshake, a head, a body, or to take what it gets.
    pub client_timeout: Duration,
    /// Requests that a key gains each second.
    pub requests_per_second: u32,
    /// Requests that a key can save up.
    pub request_burst: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            connections_per_address: 64,
            header_bytes: 16 << 10,
            body_bytes: 1 << 20,
            client_timeout: Duration::from_secs(10),
            requests_per_second: 500,
            request_burst: 1000,
        }
    }
}

/// Reads `[api]`; what it doesn't say gets its default, in these directories.
pub(super) fn read(table: Table<'_>, state_dir: &Path, run_dir: &Path) -> Api {
    let path = |key, default: PathBuf| table.text(key).map_or(default, |path| path.value.into());
    let keys = path("keys", "/etc/linetap/keys.toml".into());
    let audit = path("audit", state_dir.join("control/audit.jsonl"));
    let account = table.text("account").and_then(|text| account(&table, text));
    let region = table.text("region").and_then(|text| region(&table, text));
    let tls = tls(&table);
    let listen = listen(&table, tls.is_some());
    let limits = limits(table.table("limits"));
    table.finish();
    Api {
        listen,
        socket: run_dir.join(API_SOCKET_NAME),
        account: account.unwrap_or_else(|| "0".repeat(12)),
        region,
        keys,
        audit,
        tls,
        limits,
    }
}

/// True for what AWS calls an account: 12 digits.
pub(crate) fn account_is_sound(account: &str) -> bool {
    account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit())
}

/// An account's 12 digits.
pub(crate) fn account(table: &Table<'_>, text: Placed<&str>) -> Option<String> {
    let Placed { line, value } = text;
    if account_is_sound(value) {
        return Some(value.to_owned());
    }
    let message = format!("account {} is no account; write 12 digits in quotes", quoted(value));
    table.fault(line, message);
    None
}

fn region(table: &Table<'_>, text: Placed<&str>) -> Option<String> {
    let Placed { line, value } = text;
    let is_fit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if value.len() <= 64 && value.bytes().all(is_fit) {
        return Some(value.to_owned());
    }
    table.fault(line, format!("region {} is none; write one like \"us-east-1\"", quoted(value)));
    None
}

fn tls(table: &Table<'_>) -> Option<TlsFiles> {
    let file = |key| table.text(key).map(|path| PathBuf::from(path.value));
    let (certificate, private_key) = (file("certificate"), file("private_key"));
    for (has, lacks) in [("certificate", "private_key"), ("private_key", "certificate")] {
        if table.has(has) && !table.has(lacks) {
            let line = table.line_of(has);
            table.fault(line, format!("{has} is there without {lacks}; add {lacks} = \"…\""));
        }
    }
    Some(TlsFiles { certificate: certificate?, private_key: private_key? })
}

fn listen(table: &Table<'_>, has_tls: bool) -> Vec<Listen> {
    table.ignore(&["listen"]);
    if !table.has("listen") {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, API_PORT));
        return vec![Listen { address, tls: false }];
    }
    let texts = table.texts("listen").unwrap_or_default();
    if texts.len() > LISTENERS_MAX {
        let line = table.line_of("listen");
        table.fault(line, format!("listen has more than {LISTENERS_MAX} addresses; remove some"));
    }
    let mut found: Vec<Listen> = Vec::new();
    for text in texts.into_iter().take(LISTENERS_MAX) {
        let Some(listen) = listener(table, text, has_tls) else { continue };
        let address = listen.address;
        if found.iter().any(|other| other.address == address && address.port() != 0) {
            table.fault(text.line, format!("listen has {address} twice; remove one"));
        } else {
            found.push(listen);
        }
    }
    found
}

fn listener(table: &Table<'_>, text: Placed<&str>, has_tls: bool) -> Option<Listen> {
    let Placed { line, value } = text;
    let (scheme, rest) = match value.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest.trim_end_matches('/')),
        None => (None, value),
    };
    let address = rest.parse().ok().filter(|_| matches!(scheme, None | Some("http" | "https")));
    let Some(address): Option<SocketAddr> = address else {
        table.fault(line, format!("listen {} is not {ADDRESS_FORM}", quoted(value)));
        return None;
    };
    let stays_here = is_loopback(address.ip());
    if scheme == Some("http") && !stays_here {
        table.fault(
            line,
            format!(
                "listen {} would take secrets over the network in plain HTTP; write https:// and \
                 add certificate and private_key",
                quoted(value)
            ),
        );
        return None;
    }
    let tls = scheme == Some("https") || !stays_here;
    if tls && !has_tls {
        if !table.has("certificate") && !table.has("private_key") {
            table.fault(
                line,
                format!(
                    "listen {} needs TLS; add certificate and private_key, or listen on 127.0.0.1 \
                     only",
                    quoted(value)
                ),
            );
        }
        return None;
    }
    Some(Listen { address, tls })
}

/// True for addresses whose traffic never leaves this machine.
fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn limits(mut table: Table<'_>) -> Limits {
    fn number<T>(table: &Table<'_>, key: &'static str, range: &RangeInclusive<T>, default: T) -> T
    where
        T: TryFrom<i64> + PartialOrd + std::fmt::Display,
    {
        table.integer(key, range).map_or(default, |number| number.value)
    }
    "[api.limits]".clone_into(&mut table.subject);
    let default = Limits::default();
    let timeout = number(&table, "client_timeout_s", &(1..=300), default.client_timeout.as_secs());
    let limits = Limits {
        connections: number(&table, "connections", &(1..=16_384), default.connections),
        connections_per_address: number(
            &table,
            "connections_per_address",
            &(1..=16_384),
            default.connections_per_address,
        ),
        // The HTTP library asks for as much at least.
        header_bytes: number(&table, "header_bytes", &(8192..=1 << 20), default.header_bytes),
        body_bytes: number(&table, "body_bytes", &(1024..=16 << 20), default.body_bytes),
        client_timeout: Duration::from_secs(timeout),
        requests_per_second: number(
            &table,
            "requests_per_second",
            &(1..=1_000_000),
            default.requests_per_second,
        ),
        request_burst: number(&table, "request_burst", &(1..=1_000_000), default.request_burst),
    };
    table.finish();
    limits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document;
    use crate::fault::FaultSink;

    fn parse(text: &str) -> (Api, Vec<String>) {
        let sink = FaultSink::new("f");
        let (node, _) = document::toml::read(text, &sink);
        let root = Table::new(&node, "the file", &sink);
        let api = read(root.table("api"), Path::new("/state"), Path::new("/run"));
        root.finish();
        (api, sink.into_faults().iter().map(ToString::to_string).collect())
    }

    fn only_fault(text: &str) -> String {
        let (_, faults) = parse(text);
        let [fault] = faults.as_slice() else { panic!("one fault was expected: {faults:#?}") };
        fault.clone()
    }

    #[test]
    fn an_empty_table_listens_on_loopback_only() {
        let (api, faults) = parse("[api]");
        assert_eq!(faults, [""; 0]);
        assert_eq!(api.listen, [Listen { address: ([127, 0, 0, 1], 8440).into(), tls: false }]);
        assert_eq!(api.audit, Path::new("/state/control/audit.jsonl"));
        assert_eq!(api.socket, Path::new("/run/api/api.sock"));
        assert_eq!((api.account.as_str(), api.region), ("000000000000", None));
        assert_eq!(api.limits, Limits::default());
    }

    #[test]
    fn tls_is_what_leaves_loopback() {
        let tls = "certificate = \"c\"\nprivate_key = \"k\"\n";
        let text = format!(
            "[api]\n{tls}listen = [\"127.0.0.2:1\", \"[::1]:2\", \"https://127.0.0.1:3\", \
             \"0.0.0.0:4\", \"https://[2001:db8::1]:5\", \"[::ffff:127.0.0.1]:6\"]"
        );
        let (api, faults) = parse(&text);
        assert_eq!(faults, [""; 0]);
        let tls: Vec<bool> = api.listen.iter().map(|listen| listen.tls).collect();
        assert_eq!(tls, [false, false, true, true, true, false]);
    }

    #[test]
    fn what_would_be_open_to_the_network_is_a_fault() {
        let fault = |listen: &str| only_fault(&format!("[api]\nlisten = {listen}"));
        assert!(
            fault("\"0.0.0.0:8440\"").contains("f:2: [api]: listen \"0.0.0.0:8440\" needs TLS")
        );
        assert!(fault("\"https://127.0.0.1:1\"").contains("needs TLS"));
        assert!(fault("\"http://192.0.2.1:1\"").contains("in plain HTTP; write https://"));
        assert!(fault("\"localhost:1\"").contains("is not an address with a port"));
        assert!(fault("\"ftp://127.0.0.1:1\"").contains("is not an address with a port"));
        assert!(fault("[\"127.0.0.1:1\", \"127.0.0.1:1\"]").contains("twice; remove one"));
        let half = only_fault("[api]\nlisten = \"192.0.2.1:1\"\ncertificate = \"c\"");
        assert!(half.contains("certificate is there without private_key"), "{half}");
    }

    #[test]
    fn odd_values_are_faults_with_their_remedy() {
        assert!(only_fault("[api]\naccount = \"12\"").contains("write 12 digits in quotes"));
        assert!(only_fault("[api]\nregion = \"US East\"").contains("write one like \"us-east-1\""));
        assert!(only_fault("[api]\nlisen = 1").contains("did you mean \"listen\"?"));
        let limit = only_fault("[api.limits]\nheader_bytes = 10");
        assert!(limit.contains("[api.limits]: header_bytes 10 is below 8192"), "{limit}");
        assert!(only_fault("[api.limits]\nbody = 10").contains("unknown key \"body\""));
    }
}
