//! A connection to `linetapd`, or to whatever else answers EC2's API.

use std::error::Error as StdError;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use percent_encoding::utf8_percent_encode;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use uuid::Uuid;

use super::place::{Place, Url};
use super::trouble::{self, Trouble};
use super::trust::{self, TrustError};
use super::{CallError, Ec2, Element};
use crate::ec2::auth::Signer;
use crate::ec2::endpoint::{Dialect, Params};
use crate::ec2::query::RESERVED;

/// A call is tried so often, as by AWS's own clients.
const TRIES_MAX: usize = 3;
/// How long it rests before the second and the third time.
const RESTS: [Duration; TRIES_MAX - 1] = [Duration::from_millis(300), Duration::from_secs(1)];
/// The codes of a change that is stored and not in force yet, EC2's and ELB's.
const UNAVAILABLE: [&str; 2] = ["Unavailable", "ServiceUnavailable"];
/// More than a page of 1,000 filters has that are as long as the engine takes them.
const REPLY_BYTES_MAX: usize = 256 << 20;

/// Why there can't be a connection, wherever the API is.
#[derive(Debug, Error)]
pub enum ConnectionError {
    /// Nobody's certificate would be believed.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The host is no name.
    #[error("{0:?} is no host's name; write an address or a name like tap.example")]
    Host(String),
    /// The system has no means for it.
    #[error("the system gives no means to wait for an answer: {0}")]
    Runtime(#[from] std::io::Error),
}

/// How the API is reached.
enum Way {
    Socket(PathBuf),
    Http(Url, Signer),
    Https(Url, Signer, TlsConnector, ServerName<'static>),
}

/// A way to the API, and the connection as soon as something was asked. One that breaks is made
/// anew.
///
/// Thread: any but one of a tokio runtime.
pub struct Connection {
    way: Way,
    timeout: Duration,
    /// `None` only while this is dropped.
    runtime: Option<Runtime>,
    open: Option<SendRequest<Full<Bytes>>>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("place", &self.place()).finish_non_exhaustive()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // A name that is still being looked up is nothing to wait for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Connection {
    /// A way by a Unix socket. `timeout` is for a whole call, with all tries of it.
    pub fn by_socket(path: &Path, timeout: Duration) -> Result<Self, ConnectionError> {
        Self::new(Way::Socket(path.to_owned()), timeout)
    }

    /// A way by HTTP or HTTPS. `bundle`: whose certificates are believed, in place of the system's
    /// authorities.
    pub fn by_url(
        url: Url,
        signer: Signer,
        bundle: Option<&Path>,
        timeout: Duration,
    ) -> Result<Self, ConnectionError> {
        if !url.tls {
            return Self::new(Way::Http(url, signer), timeout);
        }
        let name = ServerName::try_from(url.host.clone())
            .map_err(|_| ConnectionError::Host(url.host.clone()))?;
        let connector = trust::connector(bundle)?;
        Self::new(Way::Https(url, signer, connector, name), timeout)
    }

    fn new(way: Way, timeout: Duration) -> Result<Self, ConnectionError> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { way, timeout, runtime: Some(runtime), open: None })
    }

    /// Where the API is.
    pub fn place(&self) -> Place {
        match &self.way {
            Way::Socket(path) => Place::Socket(path.clone()),
            Way::Http(url, _) | Way::Https(url, ..) => Place::Url(url.clone()),
        }
    }

    /// A request as it goes over the wire, signed for now.
    fn request(&self, body: &str) -> Result<Request<Full<Bytes>>, Trouble> {
        let odd = |error: &dyn fmt::Display| Trouble::last(format!("it can't be asked: {error}"));
        let (authority, path) = match &self.way {
            Way::Socket(_) => ("localhost", "/"),
            Way::Http(url, _) | Way::Https(url, ..) => (url.authority.as_str(), url.path.as_str()),
        };
        let host = HeaderValue::from_str(authority).map_err(|error| odd(&error))?;
        let form = HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8");
        let agent = HeaderValue::from_static(concat!("linetap/", env!("CARGO_PKG_VERSION")));
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(HOST, host)
            .header(CONTENT_TYPE, form)
            .header(USER_AGENT, agent)
            .body(Full::new(Bytes::from(body.to_owned())))
            .map_err(|error| odd(&error))?;
        let (mut head, whole) = request.into_parts();
        if let Way::Http(_, signer) | Way::Https(_, signer, ..) = &self.way {
            let signed = signer.sign(&mut head, body.as_bytes(), Timestamp::now());
            signed.map_err(|_| {
                Trouble::last("key id, token or region have characters that no header can have")
            })?;
        }
        Ok(Request::from_parts(head, whole))
    }

    /// Connects. Inside the runtime.
    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Trouble> {
        let (url, tls) = match &self.way {
            Way::Socket(path) => {
                let stream = UnixStream::connect(path).await;
                return shake(stream.map_err(|cause| trouble::of_socket(path, &cause))?).await;
            }
            Way::Http(url, _) => (url, None),
            Way::Https(url, _, connector, name) => (url, Some((connector, name))),
        };
        let stream = TcpStream::connect((url.host.as_str(), url.port)).await;
        let stream = stream.map_err(|cause| trouble::of_host(url, &cause))?;
        // Requests are whole: waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        let Some((connector, name)) = tls else { return shake(stream).await };
        let stream = connector.connect(name.clone(), stream).await;
        shake(stream.map_err(|error| trouble::of_tls(url, &error))?).await
    }

    /// Asks once, over the open connection or a new one. Inside the runtime.
    async fn ask(&mut self, body: &str) -> Result<(StatusCode, Bytes), Trouble> {
        let request = self.request(body)?;
        let mut open = self.open.take();
        if let Some(sender) = &mut open
            && sender.ready().await.is_err()
        {
            open = None;
        }
        let mut sender = match open {
            Some(sender) => sender,
            None => self.connect().await?,
        };
        let lost = |error: &hyper::Error| trouble::of_http(&self.place(), error);
        let reply = sender.send_request(request).await.map_err(|error| lost(&error))?;
        let status = reply.status();
        let body = Limited::new(reply.into_body(), REPLY_BYTES_MAX).collect().await;
        let body = body.map_err(|error| match error.downcast_ref::<hyper::Error>() {
            Some(error) => lost(error),
            None => Trouble::last(format!("the answer of {} is too long: {error}", self.place())),
        })?;
        self.open = Some(sender);
        Ok((status, body.to_bytes()))
    }

    /// Asks once, but no longer than until the deadline.
    fn ask_until(&mut self, deadline: Instant, body: &str) -> Result<(StatusCode, Bytes), Trouble> {
        let left = deadline.saturating_duration_since(Instant::now());
        let late = trouble::late(&self.place(), self.timeout);
        let Some(runtime) = self.runtime.take() else { return Err(late) };
        let outcome = runtime.block_on(async { tokio::time::timeout(left, self.ask(body)).await });
        self.runtime = Some(runtime);
        outcome.unwrap_or(Err(late))
    }
}

/// Begins HTTP on a stream.
async fn shake<S>(stream: S) -> Result<SendRequest<Full<Bytes>>, Trouble>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let begun = handshake(TokioIo::new(stream)).await;
    let (sender, connection) = begun.map_err(|error| Trouble::lost(error.to_string()))?;
    // What becomes of it, whoever sends is told.
    tokio::spawn(connection);
    Ok(sender)
}

/// The parameters of a call as a form. What makes an object bears a token, so that trying again
/// makes no second one.
fn form(action: &str, params: &Params) -> String {
    let given = params.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut pairs = vec![("Action", action), ("Version", Dialect::of_action(action).version())];
    pairs.extend(given);
    let token = Uuid::new_v4().to_string();
    let has_token = pairs.iter().any(|(name, _)| *name == "ClientToken");
    if action.starts_with("CreateTrafficMirror") && !has_token {
        pairs.push(("ClientToken", &token));
    }
    let word = |word| utf8_percent_encode(word, RESERVED);
    let pairs = pairs.iter().map(|(name, value)| format!("{}={}", word(name), word(value)));
    pairs.collect::<Vec<_>>().join("&")
}

impl Ec2 for Connection {
    /// Calls an action, at most three times: again after 503, and after a connection that was lost.
    ///
    /// It takes no longer than the connection's timeout, whatever happens.
    fn call(&mut self, action: &str, params: &Params) -> Result<Element, CallError> {
        let form = form(action, params);
        let deadline = Instant::now() + self.timeout;
        // Why it is tried again.
        let mut before: Option<CallError> = None;
        for rest in RESTS.map(Some).into_iter().chain([None]) {
            let was_open = self.open.is_some();
            let (error, may_help) = match self.ask_until(deadline, &form) {
                Ok((status, body)) => match read(&self.place(), status, &body) {
                    Ok(reply) => return Ok(reply),
                    Err(error) => {
                        let is_busy = status == StatusCode::SERVICE_UNAVAILABLE;
                        if let Some(before) = before.take_if(|_| !is_busy) {
                            return settle(action, before, error);
                        }
                        (error, is_busy)
                    }
                },
                // Nobody there at once: nobody will be in a second. But one who was may come back.
                Err(trouble) => {
                    let may_help = trouble.is_lost || (trouble.is_closed && before.is_some());
                    (CallError::Unanswered(trouble.message), may_help)
                }
            };
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(rest) = rest.filter(|rest| may_help && *rest < left) else {
                return Err(error);
            };
            // An idle connection may have been closed for its age alone.
            let is_stale =
                was_open && before.is_none() && matches!(error, CallError::Unanswered(_));
            if !is_stale {
                std::thread::sleep(rest);
            }
            before = Some(error);
        }
        Err(before.unwrap_or_else(|| CallError::Unanswered("it was not tried".to_owned())))
    }
}

/// What an answer to a repeated call means, when it is an error.
fn settle(action: &str, before: CallError, error: CallError) -> Result<Element, CallError> {
    let CallError::Refused { code, .. } = &error else { return Err(error) };
    // What the first one has done, the second finds done.
    let is_done = match action {
        "RegisterTargets" => code == "TargetAlreadyRegistered",
        "DeregisterTargets" => code == "TargetNotRegistered",
        _ => action.starts_with("Delete") && code.ends_with(".NotFound"),
    };
    match before {
        _ if !is_done => Err(error),
        // It was done, but the first answer knew more about that.
        CallError::Refused { code, message } if UNAVAILABLE.contains(&code.as_str()) => {
            Err(CallError::Refused { code, message })
        }
        CallError::Refused { .. } => Err(error),
        // The answer was lost, not the request.
        CallError::Unanswered(_) => {
            Ok(Element { name: format!("{action}Response"), ..Element::default() })
        }
    }
}

/// Reads a reply: an action's, or a refusal.
fn read(place: &Place, status: StatusCode, body: &[u8]) -> Result<Element, CallError> {
    let text = String::from_utf8_lossy(body);
    let root = Element::parse(&text);
    let error = root.as_ref().ok();
    let error = error.and_then(|root| root.items("Errors").next().or_else(|| root.child("Error")));
    let code = error.and_then(|error| error.text_of("Code"));
    match (root.as_ref(), code) {
        (Ok(_), Some(code)) if !status.is_success() => {
            let message = error.and_then(|error| error.text_of("Message")).unwrap_or_default();
            Err(CallError::Refused { code: code.to_owned(), message: message.to_owned() })
        }
        (Ok(root), _) if status.is_success() => Ok(root.clone()),
        (outcome, _) => {
            let why = outcome.err().map(|error| format!(", {error}")).unwrap_or_default();
            Err(CallError::Unanswered(format!(
                "what answers on {place} is not EC2's API (HTTP status {}{why}); give the URL or \
                 socket of linetapd's [api]",
                status.as_u16()
            )))
        }
    }
}

/// True when a peer closed a connection, or never took it.
pub(super) fn is_lost(error: &hyper::Error) -> bool {
    let of_system = error.source().is_some_and(<dyn StdError>::is::<std::io::Error>);
    error.is_incomplete_message() || error.is_canceled() || error.is_closed() || of_system
}
