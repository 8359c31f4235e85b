//! The certificate, exchanged without a restart.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig};

use crate::config::TlsFiles;
use crate::fault::{FaultSink, Faults};

/// The largest file of certificates, or key.
const PEM_BYTES_MAX: u64 = 1 << 20;

/// What tells that a file is another than before.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

/// The certificate that is in use, and where it came from.
#[derive(Debug)]
pub(super) struct Certificate {
    files: TlsFiles,
    current: RwLock<Arc<CertifiedKey>>,
    stamps: Mutex<[Stamp; 2]>,
}

impl Certificate {
    /// Reads certificate and key. Errors: one can't be read, or they don't belong together.
    pub(super) fn read(files: &TlsFiles) -> Result<Self, Faults> {
        let stamps = Mutex::new(stamps(files));
        let current = RwLock::new(Arc::new(read(files)?));
        Ok(Self { files: files.clone(), current, stamps })
    }

    /// Reads both anew. Errors: as of [`Certificate::read`]; the old ones are in use then.
    pub(super) fn reload(&self) -> Result<(), Faults> {
        // Before reading: what changes meanwhile is seen next time.
        *self.stamps.lock().unwrap_or_else(PoisonError::into_inner) = stamps(&self.files);
        let key = Arc::new(read(&self.files)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = key;
        Ok(())
    }

    /// True when a file is another than at the last reading.
    pub(super) fn has_changed(&self) -> bool {
        let now = stamps(&self.files);
        // While one is being replaced it may not be there; that is no reason to read.
        let is_there = now.iter().all(Option::is_some);
        is_there && *self.stamps.lock().unwrap_or_else(PoisonError::into_inner) != now
    }

    /// What serves with whatever certificate is in use by then. Errors: rustls's.
    pub(super) fn config(self: Arc<Self>) -> Result<Arc<ServerConfig>, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(self);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn stamps(files: &TlsFiles) -> [Stamp; 2] {
    [&files.certificate, &files.private_key].map(|path| {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.dev(), meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
    })
}

fn read(files: &TlsFiles) -> Result<CertifiedKey, Faults> {
    let of_certificate = FaultSink::new(files.certificate.display().to_string());
    let of_key = FaultSink::new(files.private_key.display().to_string());
    let chain = chain(&files.certificate).map_err(|why| of_certificate.add(0, why)).ok();
    let key = private_key(&files.private_key).map_err(|why| of_key.add(0, why)).ok();
    let pair = chain.zip(key).and_then(|(chain, key)| {
        CertifiedKey::from_der(chain, key, &default_provider())
            .map_err(|error| {
                let other = files.private_key.display();
                of_certificate.add(0, format!("can't be used with {other}: {error}"));
            })
            .ok()
    });
    let mut faults = of_certificate.into_faults();
    faults.extend(of_key.into_faults());
    pair.ok_or(Faults(faults))
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = contents(path, |_| Ok(()))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|error| format!("this is not PEM: {error}"))?;
    if chain.is_empty() {
        return Err("it has no certificate; write it as PEM, -----BEGIN CERTIFICATE-----".into());
    }
    Ok(chain)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let is_private = |file: &File| {
        let mode = file.metadata().map_err(|error| error.to_string())?.mode() & 0o7777;
        let for_others = mode % 0o10;
        if for_others == 0 {
            return Ok(());
        }
        Err(format!(
            "the private key has mode {mode:04o}, so that anybody gets at it; run: \
                     chmod o= FILE, and make a new key if somebody could read this one"
        ))
    };
    let pem = contents(path, is_private)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        "it has no private key; write it as PEM, -----BEGIN PRIVATE KEY-----".to_owned()
    })
}

fn contents(
    path: &Path,
    check: impl FnOnce(&File) -> Result<(), String>,
) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|error| format!("it can't be read: {error}"))?;
    check(&file)?;
    let mut bytes = Vec::new();
    let read = file.take(PEM_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("it can't be read: {error}"))?;
    if bytes.len() as u64 > PEM_BYTES_MAX {
        return Err(format!("it has more than {PEM_BYTES_MAX} bytes; is it the right file?"));
    }
    Ok(bytes)
}
