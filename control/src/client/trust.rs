//! Whose certificates are believed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{self, CertificateError, ClientConfig, RootCertStore};

/// Why TLS can't even be begun.
#[derive(Debug, Error)]
pub enum TrustError {
    /// The file of authorities is of no use.
    #[error("{path}: {why}; name a file of certificates in PEM with --ca-bundle")]
    Bundle {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The system has none.
    #[error("this system has no certificates of authorities{0}; name a file with --ca-bundle")]
    NoSystem(String),
    /// The library can't.
    #[error("TLS can't be used: {0}")]
    Library(#[from] rustls::Error),
}

/// What makes TLS of a connection. It believes the authorities of `bundle`, else the system's
/// (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others, as for OpenSSL).
pub(super) fn connector(bundle: Option<&Path>) -> Result<TlsConnector, TrustError> {
    let roots = match bundle {
        Some(path) => of_file(path)?,
        None => of_system()?,
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn of_file(path: &Path) -> Result<RootCertStore, TrustError> {
    let bad = |why: String| TrustError::Bundle { path: path.to_owned(), why };
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| bad(why(&error)))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| bad(why(&error)))?;
        roots.add(certificate).map_err(|error| bad(error.to_string()))?;
    }
    if roots.is_empty() { Err(bad("it has no certificate".to_owned())) } else { Ok(roots) }
}

fn why(error: &rustls::pki_types::pem::Error) -> String {
    match error {
        rustls::pki_types::pem::Error::Io(cause) => format!("it can't be read: {cause}"),
        _ => "it is not in the form PEM".to_owned(),
    }
}

fn of_system() -> Result<RootCertStore, TrustError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Old ones that nobody can read any more are in many a store.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let cause = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(TrustError::NoSystem(cause));
    }
    Ok(roots)
}

/// What is wrong with a peer, as rustls tells it, and what to do.
pub(super) fn explain(error: &io::Error) -> String {
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match of_tls {
        Some(rustls::Error::InvalidCertificate(fault)) => format!(
            "its certificate is not believed: {}",
            match fault {
                CertificateError::UnknownIssuer =>
                    "an authority made it that is not known here; name that one's certificate with \
                     --ca-bundle FILE or AWS_CA_BUNDLE"
                        .to_owned(),
                CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. } =>
                    format!("{fault}; ask by a name that it has"),
                CertificateError::Expired | CertificateError::ExpiredContext { .. } =>
                    format!("{fault}; renew it on the appliance"),
                CertificateError::Other(other)
                    if other.0.to_string().contains("CaUsedAsEndEntity") =>
                    "it is an authority's own, which clients don't take for a server's; make one \
                     with basicConstraints=CA:FALSE"
                        .to_owned(),
                _ => fault.to_string(),
            }
        ),
        Some(rustls::Error::InvalidMessage(_)) => {
            "it does not speak TLS; for plain HTTP write http://".to_owned()
        }
        _ => format!("TLS failed: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_no_use_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let told = |text: &str| {
            let path = dir.path().join("ca.pem");
            std::fs::write(&path, text).unwrap();
            connector(Some(&path)).map(|_| ()).unwrap_err().to_string()
        };
        assert!(told("nothing").contains("it has no certificate; name a file"));
        let odd = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(told(odd).contains("ca.pem: "), "{}", told(odd));
        let none = connector(Some(Path::new("/nonexistent.pem"))).map(|_| ()).unwrap_err();
        assert!(none.to_string().contains("it can't be read: No such file"), "{none}");
    }
}
