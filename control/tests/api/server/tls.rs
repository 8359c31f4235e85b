//! TLS, and certificates that are exchanged while it runs.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair, SerialNumber};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::client::{ask_on, connect, post, reply};
use super::site::{Site, WRITER, put_private};
use control::config::{Listen, TlsFiles};
use control::server::ServeError;

const DESCRIBE: &str = "Action=DescribeTags&Version=2016-11-15";

/// Writes a new certificate and its key; returns what proves it.
fn certify(files: &TlsFiles, serial: u64) -> RootCertStore {
    let mut params = CertificateParams::new(["tap.example".to_owned()]).unwrap();
    params.serial_number = Some(SerialNumber::from(serial));
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    put_private(&files.private_key, &key.serialize_pem());
    fs::write(&files.certificate, certificate.pem()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap()).unwrap();
    roots
}

fn files(dir: &Path) -> TlsFiles {
    TlsFiles { certificate: dir.join("tls.pem"), private_key: dir.join("tls.key") }
}

fn start() -> (Site, TlsFiles, RootCertStore) {
    let mut made = None;
    let site = Site::with(|config| {
        let files = files(config.keys.parent().unwrap());
        made = Some((files.clone(), certify(&files, 1)));
        config.listen = vec![Listen { address: ([127, 0, 0, 1], 0).into(), tls: true }];
        config.tls = Some(files);
    });
    let (files, roots) = made.unwrap();
    (site, files, roots)
}

/// The status of a request over TLS; `None` when the certificate isn't one of these.
fn status(address: SocketAddr, roots: &RootCertStore) -> Option<u16> {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    let name = ServerName::try_from("tap.example").unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = connect(address);
    client.complete_io(&mut stream).ok()?;
    Some(ask_on(&mut StreamOwned::new(client, stream), &post(WRITER, DESCRIBE)).status)
}

#[test]
fn requests_are_answered_over_tls_and_only_so() {
    let (site, _, roots) = start();
    assert_eq!(status(site.address, &roots), Some(200));
    let mut plain = connect(site.address);
    std::io::Write::write_all(&mut plain, post(WRITER, DESCRIBE).as_bytes()).unwrap();
    assert!(reply(&mut plain).is_err(), "plain HTTP gets no answer");
    assert_eq!(site.times_asked(), 1);
}

#[test]
fn a_certificate_is_exchanged_on_reload_unless_it_is_of_no_use() {
    let (site, files, first) = start();
    let second = certify(&files, 2);
    assert_eq!(status(site.address, &first), Some(200));
    site.handle.reload().unwrap();
    assert_eq!((status(site.address, &first), status(site.address, &second)), (None, Some(200)));
    let other = tempfile::tempdir().unwrap();
    certify(&self::files(other.path()), 3);
    fs::copy(other.path().join("tls.key"), &files.private_key).unwrap();
    let faults = site.handle.reload().unwrap_err().to_string();
    assert!(faults.contains("tls.pem: can't be used with"), "{faults}");
    assert_eq!(status(site.address, &second), Some(200), "the old one is in use");
}

#[test]
fn a_certificate_that_has_changed_is_taken_up_by_itself() {
    let (site, files, _) = start();
    let second = certify(&files, 2);
    let start = Instant::now();
    while status(site.address, &second).is_none() {
        assert!(start.elapsed() < Duration::from_secs(30), "the new one is never taken up");
        sleep(Duration::from_millis(200));
    }
}

#[test]
fn whoever_never_says_hello_is_let_go() {
    let mut made = None;
    let site = Site::with(|config| {
        let files = files(config.keys.parent().unwrap());
        made = Some(certify(&files, 1));
        config.listen = vec![Listen { address: ([127, 0, 0, 1], 0).into(), tls: true }];
        config.tls = Some(files);
        config.limits.client_timeout = Duration::from_secs(1);
        config.limits.connections = 1;
    });
    let mute = connect(site.address);
    assert_eq!(status(site.address, &made.unwrap()), Some(200));
    drop(mute);
}

#[test]
fn files_of_no_use_are_told_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(dir.path());
    let why = || {
        let started = Site::try_with(|config| config.tls = Some(files.clone()));
        let Err(ServeError::Tls(faults)) = started else { panic!("it started") };
        faults.to_string()
    };
    let both = why();
    assert!(both.contains("tls.pem: it can't be read") && both.contains("tls.key: it can't be"));
    certify(&files, 1);
    fs::write(&files.certificate, "nothing").unwrap();
    assert!(why().contains("it has no certificate; write it as PEM"));
    certify(&files, 1);
    put_private(&files.private_key, "nothing");
    assert!(why().contains("it has no private key; write it as PEM"));
    certify(&files, 1);
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(&files.private_key, open).unwrap();
    assert!(why().contains("run: chmod o= FILE"));
}
