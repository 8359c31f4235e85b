//! The HTTP server of the EC2 API: takes requests, proves who sent them, has them answered.
//!
//! ```text
//!  listen      accepts TCP, TLS and the Unix socket, no more connections than allowed
//!  connection  one client: HTTP/1.1, with a limit on everything that it may take
//!  exchange    one request: claim -> body -> proof -> rate -> right -> audit -> Endpoint -> audit
//! ```
//! It has a runtime with threads of its own: whoever calls [`serve`] goes on as it was. An endpoint
//! is called from threads that may block.

mod connection;
mod exchange;
mod listen;
mod peer;
mod rate;
mod refusals;
mod reply;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::audit::{Audit, AuditError};
use crate::config::Api;
use crate::ec2::auth::Keyring;
use crate::ec2::endpoint::Endpoint;
use crate::fault::Faults;
use exchange::Desk;
use rate::Rates;
use refusals::Refusals;
use tls::Certificate;

/// Threads that move bytes and check signatures.
const THREADS: usize = 2;
/// Requests that are answered at a time; others wait their turn.
const ANSWERING_MAX: usize = 32;
/// What is being answered at the end gets this long.
const FAREWELL: Duration = Duration::from_secs(5);
/// How often it is looked whether the certificate's files have changed.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Why the server can't begin.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The certificate or its key can't be used.
    #[error("{0}")]
    Tls(Faults),
    /// The audit log can't be written.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// An address can't be listened on.
    #[error("can't listen on {address}: {cause}; {remedy}")]
    Listen {
        /// Which.
        address: String,
        /// Why.
        cause: std::io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// The system has no threads for it.
    #[error("the API's threads can't be started: {0}")]
    Threads(std::io::Error),
}

/// A running server. It ends when this is dropped, at once, or by [`Handle::shutdown`].
#[derive(Debug)]
pub struct Handle {
    runtime: Runtime,
    addresses: Vec<SocketAddr>,
    socket: PathBuf,
    keys: PathBuf,
    desk: Arc<Desk>,
    certificate: Option<Arc<Certificate>>,
    stop: watch::Sender<bool>,
}

/// Serves the API until the handle ends it. `keys` are those of `config.keys`, read before.
///
/// Errors: an address is taken, the certificate or the audit log is of no use; nothing is served.
/// Thread: any but one of a tokio runtime.
pub fn serve(
    config: &Api,
    keys: Keyring,
    endpoint: Arc<dyn Endpoint>,
) -> Result<Handle, ServeError> {
    let certificate = match &config.tls {
        Some(files) => Some(Arc::new(Certificate::read(files).map_err(ServeError::Tls)?)),
        None => None,
    };
    let desk = Arc::new(Desk {
        endpoint,
        keys: RwLock::new(Arc::new(keys)),
        audit: Audit::open(&config.audit)?,
        audit_is_well: AtomicBool::new(true),
        rates: Rates::new(&config.limits),
        refusals: Refusals::default(),
        region: config.region.clone(),
        account: config.account.clone(),
        body_bytes: config.limits.body_bytes,
        client_timeout: config.limits.client_timeout,
    });
    let runtime = Builder::new_multi_thread()
        .worker_threads(THREADS)
        .max_blocking_threads(ANSWERING_MAX)
        .thread_name("api")
        .enable_all()
        .build()
        .map_err(ServeError::Threads)?;
    let (stop, stopped) = watch::channel(false);
    let hall = listen::Hall::new(config, Arc::clone(&desk), stopped);
    let addresses = {
        let _inside = runtime.enter();
        listen::open(config, &hall, certificate.as_ref())?
    };
    if let Some(certificate) = certificate.clone() {
        runtime.spawn(watch_files(certificate));
    }
    let (socket, keys) = (config.socket.clone(), config.keys.clone());
    Ok(Handle { runtime, addresses, socket, keys, desk, certificate, stop })
}

/// Takes over a certificate whose files have changed.
async fn watch_files(certificate: Arc<Certificate>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let certificate = Arc::clone(&certificate);
        let look = move || {
            if certificate.has_changed() {
                tell(certificate.reload(), "the certificate's files have changed and are in use");
            }
        };
        // It only fails when the look panicked, and then the next one may not.
        let _ = tokio::task::spawn_blocking(look).await;
    }
}

fn tell(outcome: Result<(), Faults>, success: &str) {
    match outcome {
        Ok(()) => log::info!("{success}"),
        Err(Faults(faults)) => {
            for fault in faults {
                log::error!("{fault}; what was in use still is");
            }
        }
    }
}

impl Handle {
    /// The TCP addresses that are listened on, in the order of the configuration.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Reads keys and certificate again and opens the audit log anew: for SIGHUP. Connections and
    /// what is being answered go on; addresses and limits stay those of the start.
    ///
    /// Errors: all that could not be taken over; the old is in use.
    pub fn reload(&self) -> Result<(), Faults> {
        self.desk.refusals.forget();
        let mut faults = Vec::new();
        match Keyring::read(&self.keys) {
            Ok(keys) => {
                let mut place = self.desk.keys.write().unwrap_or_else(PoisonError::into_inner);
                *place = Arc::new(keys);
            }
            Err(Faults(found)) => faults.extend(found),
        }
        if let Some(Err(Faults(found))) = self.certificate.as_ref().map(|held| held.reload()) {
            faults.extend(found);
        }
        if let Err(error) = self.desk.audit.reopen() {
            faults.extend(Faults::of_arguments([error.to_string()]).0);
        }
        if faults.is_empty() { Ok(()) } else { Err(Faults(faults)) }
    }

    /// Takes no more connections, lets what is being answered end, but for seconds only, and ends.
    pub fn shutdown(self) {
        let Self { runtime, socket, stop, .. } = self;
        // Nobody listens any more when this fails, which is what is wanted.
        let _ = stop.send(true);
        let _ = std::fs::remove_file(socket);
        let ended = runtime.block_on(async { timeout(FAREWELL, stop.closed()).await });
        if ended.is_err() {
            log::warn!("some clients of the API were still waiting at its end");
        }
        runtime.shutdown_timeout(FAREWELL);
    }
}
