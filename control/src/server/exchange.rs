//! One request, from its head to its answer.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::http::request::Parts;
use axum::http::{Method, Request, Response};
use http_body_util::LengthLimitError;
use jiff::Timestamp;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::connection::Guest;
use super::peer::Peer;
use super::rate::Rates;
use super::refusals::Refusals;
use super::reply::{Trouble, code_of, reply};
use crate::audit::{Audit, Phase, Record, add_made, cut, objects_of};
use crate::ec2::auth::{Claim, Keyring, Refusal};
use crate::ec2::caller::{Access, Caller};
use crate::ec2::endpoint::{Answer, Endpoint, Params};
use crate::ec2::query::pairs;

/// What is read of a body that nobody wants, so that the refusal gets through.
const UNWANTED_BYTES_MAX: usize = 64 << 10;

/// What is needed to answer.
pub(super) struct Desk {
    pub(super) endpoint: Arc<dyn Endpoint>,
    pub(super) keys: RwLock<Arc<Keyring>>,
    pub(super) audit: Audit,
    /// True while the last record could be written: only the first failure is logged.
    pub(super) audit_is_well: AtomicBool,
    pub(super) rates: Rates,
    pub(super) refusals: Refusals,
    pub(super) region: Option<String>,
    pub(super) account: String,
    pub(super) body_bytes: usize,
    pub(super) client_timeout: Duration,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("account", &self.account).finish_non_exhaustive()
    }
}

/// A request whose caller is proven.
struct Case {
    caller: Caller,
    source: String,
    params: Params,
    request_id: String,
}

impl Desk {
    /// Answers one request of a guest.
    pub(super) async fn take(
        self: Arc<Self>,
        guest: Guest,
        request: Request<Body>,
        request_id: &str,
    ) -> Response<Body> {
        match self.answer(guest, request, request_id).await {
            Ok(answer) => reply(answer, request_id),
            Err(trouble) => trouble.reply(request_id),
        }
    }

    async fn answer(
        self: Arc<Self>,
        guest: Guest,
        request: Request<Body>,
        request_id: &str,
    ) -> Result<Answer, Trouble> {
        let (head, body) = request.into_parts();
        if head.method != Method::GET && head.method != Method::POST {
            self.pass_over(body).await;
            return Err(Trouble::new("InvalidAction", 405, "Only GET and POST are served."));
        }
        let peer = guest.peer;
        let (caller, params) = match peer {
            Peer::Tcp(_) => self.prove(peer, &head, body).await?,
            Peer::Unix { .. } => {
                let Some(caller) = guest.caller else {
                    self.pass_over(body).await;
                    return Err(self.refuse(peer, &Refusal::Stranger, None));
                };
                let body = self.read(&head, body).await?;
                (caller, params(&head, &body, None)?)
            }
        };
        if !self.rates.take(&caller.key_id, Instant::now()) {
            return Err(self.refuse(peer, &Refusal::TooMany, Some(&caller.key_id)));
        }
        let request_id = request_id.to_owned();
        let case = Case { caller, source: peer.to_string(), params, request_id };
        // What has begun goes on to its end, also when the caller is gone meanwhile.
        let settled = spawn_blocking(move || self.settle(peer, &case)).await;
        settled.map_err(|_| Trouble::new("Unavailable", 503, "The appliance is shutting down."))
    }

    /// Proves who signed a request. Its body is read only for those who know a key's id.
    async fn prove(
        &self,
        peer: Peer,
        head: &Parts,
        body: Body,
    ) -> Result<(Caller, Params), Trouble> {
        let keys = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        let claim = Claim::of(head, self.region.as_deref(), Timestamp::now());
        let known = claim.and_then(|claim| {
            let key = keys.find(&claim.key_id).ok_or(Refusal::UnknownKey)?;
            Ok((claim, key))
        });
        let (claim, key) = match known {
            Ok(known) => known,
            Err(refusal) => {
                self.pass_over(body).await;
                return Err(self.refuse(peer, &refusal, None));
            }
        };
        let body = self.read(head, body).await?;
        claim
            .prove(head, &body, &key.secret)
            .map_err(|refusal| self.refuse(peer, &refusal, Some(&claim.key_id)))?;
        Ok((key.caller.clone(), params(head, &body, Some(&claim))?))
    }

    fn refuse(&self, peer: Peer, refusal: &Refusal, key_id: Option<&str>) -> Trouble {
        self.refusals.note(&peer, refusal, key_id);
        Trouble::from(refusal)
    }

    /// Reads a body of the allowed size, in the allowed time.
    async fn read(&self, head: &Parts, body: Body) -> Result<Bytes, Trouble> {
        let too_large = || {
            let most = self.body_bytes;
            let message = format!("The body has more than {most} bytes; ask in several requests.");
            Trouble::new("RequestEntityTooLarge", 413, message).closing()
        };
        if body.size_hint().lower() > self.body_bytes as u64 {
            return Err(too_large());
        }
        match timeout(self.client_timeout, to_bytes(body, self.body_bytes)).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) => {
                let cause = std::error::Error::source(&error);
                if cause.and_then(|cause| cause.downcast_ref::<LengthLimitError>()).is_some() {
                    return Err(too_large());
                }
                let message = format!("The body of the {} can't be read.", head.method);
                Err(Trouble::new("MalformedQueryString", 400, message).closing())
            }
            Err(_) => {
                let message = "The body didn't come in time; send it without pauses.";
                Err(Trouble::new("RequestTimeout", 408, message).closing())
            }
        }
    }

    /// Takes a body that is of no use off the wire, unless it is long or late: then the connection
    /// ends with the answer.
    async fn pass_over(&self, body: Body) {
        let _ = timeout(self.client_timeout, to_bytes(body, UNWANTED_BYTES_MAX)).await;
    }

    /// Has a request answered, and writes down what came of it. May block.
    fn settle(&self, peer: Peer, case: &Case) -> Answer {
        let mut objects = objects_of(&case.params.0);
        let action = Action::of(&case.params);
        let answer = if case.caller.access == Access::ReadOnly && action.changes {
            self.refuse(peer, &Refusal::ReadOnly, Some(&case.caller.key_id))
                .answer(&case.request_id)
        } else if action.changes && !self.note(case, &action, &objects, None) {
            return Trouble::new(
                "InternalError",
                500,
                "Nothing was changed: the appliance can't write its audit log, perhaps for want of \
                 space. Its own log tells more.",
            )
            .answer(&case.request_id);
        } else {
            self.ask(case)
        };
        if action.name.starts_with("Create") && answer.status < 300 {
            add_made(&mut objects, &answer.body);
        }
        self.note(case, &action, &objects, Some(&answer));
        answer
    }

    fn ask(&self, case: &Case) -> Answer {
        let Case { caller, params, request_id, .. } = case;
        let ask = || self.endpoint.answer(caller, params, request_id);
        // The hook has logged the panic. Endpoints keep their state sound across it.
        catch_unwind(AssertUnwindSafe(ask)).unwrap_or_else(|_| {
            let message = "An internal error has occurred. The appliance's log tells more.";
            Trouble::new("InternalError", 500, message).answer(request_id)
        })
    }

    /// Writes a record: what is asked for, or what came of it. False when it can't be written.
    fn note(
        &self,
        case: &Case,
        action: &Action<'_>,
        objects: &[String],
        answer: Option<&Answer>,
    ) -> bool {
        let record = Record {
            time: Timestamp::now(),
            request_id: &case.request_id,
            phase: if answer.is_some() { Phase::Answered } else { Phase::Asked },
            key_id: &case.caller.key_id,
            account: &case.caller.account,
            source: &case.source,
            action: cut(action.name),
            dry_run: action.is_dry_run,
            objects,
            status: answer.map(|answer| answer.status),
            result: answer.map(|answer| cut(code_of(answer))),
        };
        let outcome = self.audit.append(&record);
        let was_well = self.audit_is_well.swap(outcome.is_ok(), Ordering::Relaxed);
        if let Err(error) = &outcome
            && was_well
        {
            log::error!("{error}; until then nothing is changed through the API");
        }
        outcome.is_ok()
    }
}

/// What the parameters ask for.
struct Action<'p> {
    name: &'p str,
    /// True unless all that it can mean is to describe.
    changes: bool,
    is_dry_run: bool,
}

impl<'p> Action<'p> {
    fn of(params: &'p Params) -> Self {
        let values = |wanted: &'static str| {
            let named = params.0.iter().filter(move |(name, _)| name == wanted);
            named.map(|(_, value)| value.as_str())
        };
        Self {
            name: values("Action").next().unwrap_or_default(),
            // Of several, whichever the endpoint takes.
            changes: values("Action").any(|action| !action.starts_with("Describe")),
            is_dry_run: values("DryRun").any(|value| value == "true"),
        }
    }
}

/// All parameters: of the query, then of a POST's body; without those of the signature.
fn params(head: &Parts, body: &[u8], claim: Option<&Claim>) -> Result<Params, Trouble> {
    let decode = |text: &[u8]| {
        pairs(text).map_err(|error| {
            let mut message = error.to_string();
            message.get_mut(..1).map(str::make_ascii_uppercase).unwrap_or_default();
            Trouble::new("MalformedQueryString", 400, message + ".")
        })
    };
    let mut params = decode(head.uri.query().unwrap_or_default().as_bytes())?;
    params.retain(|(name, _)| claim.is_none_or(|claim| !claim.owns(name)));
    if head.method == Method::POST {
        params.extend(decode(body)?);
    }
    Ok(Params(params))
}
