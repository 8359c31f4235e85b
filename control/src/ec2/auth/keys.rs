//! The access keys: a file that only the daemon can read.
//!
//! ```toml
//! [[key]]
//! id      = "AKIDEXAMPLE"
//! secret  = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
//! account = "000000000000"
//! access  = "read-write"            # or "read-only"
//! ```

use std::collections::HashMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::unistd::geteuid;

use crate::config::account;
use crate::config::table::{Placed, Table};
use crate::document;
use crate::ec2::caller::{Access, Caller};
use crate::fault::{FaultSink, Faults, quoted};

/// The largest keys file that is read.
pub const KEYS_BYTES_MAX: u64 = 1 << 20;
/// A key id's length, as AWS has it at most.
const ID_CHARS: std::ops::RangeInclusive<usize> = 4..=128;
/// A secret's length: AWS's have 40.
const SECRET_CHARS: std::ops::RangeInclusive<usize> = 16..=256;

/// What only the two sides know. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret of this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// One access key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// Who whoever signs with it is.
    pub caller: Caller,
    /// What it signs with.
    pub secret: Secret,
}

/// All access keys, by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keyring(HashMap<String, AccessKey>);

impl Keyring {
    /// Reads a keys file. Errors: every fault in it; it can't be read, or others than this process's
    /// user can. No message holds what may be a secret.
    pub fn read(path: &Path) -> Result<Self, Faults> {
        let sink = FaultSink::new(path.display().to_string());
        let keyring = match open_private(path).and_then(read_all) {
            Ok(text) => Self::parse(&text, &sink),
            Err(why) => {
                sink.add(0, why);
                Self::default()
            }
        };
        if sink.is_empty() { Ok(keyring) } else { Err(Faults(sink.into_faults())) }
    }

    /// Reads a keys file's text. Faults go to `sink`; the result lacks the keys with faults.
    pub fn parse(text: &str, sink: &FaultSink) -> Self {
        let (node, _) = document::toml::read(text, sink);
        let root = Table::new(&node, "the file", sink);
        let mut keyring = Self::default();
        for mut table in root.tables("key", "key").unwrap_or_default() {
            let line = table.line;
            if let Some(key) = key(&mut table) {
                let id = key.caller.key_id.clone();
                if keyring.0.insert(id, key).is_some() {
                    table.fault(line, "another key has this id already; remove one");
                }
            }
            table.finish();
        }
        root.finish();
        keyring
    }

    /// A ring of these keys.
    pub fn of(keys: impl IntoIterator<Item = AccessKey>) -> Self {
        Self(keys.into_iter().map(|key| (key.caller.key_id.clone(), key)).collect())
    }

    /// The key with this id.
    pub fn find(&self, id: &str) -> Option<&AccessKey> {
        self.0.get(id)
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there is none: nobody can call but over the Unix socket.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Opens a file that nobody else can read. Errors: the rest of a sentence about it.
fn open_private(path: &Path) -> Result<File, String> {
    // Or a pipe in its place would be waited for.
    let flags = OFlag::O_NONBLOCK.bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = file.map_err(|error| format!("the access keys can't be read: {error}"))?;
    let meta = file.metadata().map_err(|error| format!("it can't be looked at: {error}"))?;
    let (mode, own) = (meta.mode() & 0o7777, geteuid().as_raw());
    if !meta.is_file() {
        return Err("this is no file; write the access keys into one".to_owned());
    }
    if meta.uid() != own {
        let owner = meta.uid();
        return Err(format!(
            "the access keys belong to user {owner}, not to user {own} that reads them; run: \
             chown {own} FILE"
        ));
    }
    if mode & !0o600 != 0 {
        return Err(format!(
            "the access keys have mode {mode:04o}, so that others may get at them; run: \
             chmod 0600 FILE, and give out new secrets if others could read these"
        ));
    }
    Ok(file)
}

fn read_all(file: File) -> Result<String, String> {
    let mut text = String::new();
    let read = file.take(KEYS_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| format!("the access keys can't be read: {error}"))?;
    if text.len() as u64 > KEYS_BYTES_MAX {
        return Err(format!("it has more than {KEYS_BYTES_MAX} bytes; remove some keys"));
    }
    Ok(text)
}

fn key(table: &mut Table<'_>) -> Option<AccessKey> {
    let id = table.required_text("id").and_then(|id| key_id(table, id));
    if let Some(id) = &id {
        table.subject = format!("key {}", quoted(id));
    }
    let secret = secret(table);
    let account = table.required_text("account").and_then(|text| account(table, text));
    if !table.has("access") {
        let line = table.line;
        table.fault(line, "access is missing; add access = \"read-only\" or \"read-write\"");
    }
    let words = [("read-only", Access::ReadOnly), ("read-write", Access::ReadWrite)];
    let access = table.choice("access", &words);
    let caller = Caller { account: account?, access: access?, key_id: id? };
    Some(AccessKey { caller, secret: secret? })
}

fn key_id(table: &Table<'_>, id: Placed<&str>) -> Option<String> {
    let Placed { line, value } = id;
    let is_word = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_word && ID_CHARS.contains(&value.len()) {
        return Some(value.to_owned());
    }
    // Not quoted: a secret may have got into its place.
    let (least, most) = (ID_CHARS.start(), ID_CHARS.end());
    table.fault(
        line,
        format!("id must be {least} to {most} letters, digits or \"_\", like \"AKIDEXAMPLE\""),
    );
    None
}

fn secret(table: &Table<'_>) -> Option<Secret> {
    let (least, most) = (SECRET_CHARS.start(), SECRET_CHARS.end());
    let is_fit = |text: &str| {
        SECRET_CHARS.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let text = table.unquoted("secret");
    let secret = text.filter(|text| is_fit(text)).map(Secret::new);
    if secret.is_none() {
        let line = table.line_of("secret");
        table.fault(
            line,
            format!(
                "secret must be there, as a text of {least} to {most} printable ASCII letters \
                     without spaces"
            ),
        );
    }
    secret
}
