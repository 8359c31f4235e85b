//! One client: HTTP/1.1 with a limit on everything that it may take.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response};
use axum::routing::any;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_io_timeout::TimeoutWriter;
use uuid::Uuid;

use super::exchange::Desk;
use super::peer::Peer;
use super::reply::Trouble;
use crate::config::Limits;
use crate::ec2::caller::Caller;

/// Who is connected.
#[derive(Debug, Clone)]
pub(super) struct Guest {
    pub(super) peer: Peer,
    /// Who that is, if the kernel has told.
    pub(super) caller: Option<Caller>,
}

/// What serves every connection.
#[derive(Debug)]
pub(super) struct House {
    http: http1::Builder,
    router: Router,
    desk: Arc<Desk>,
}

impl House {
    pub(super) fn new(limits: &Limits, desk: Arc<Desk>) -> Self {
        let mut http = http1::Builder::new();
        // Also how long an idle connection is kept.
        http.timer(TokioTimer::new()).header_read_timeout(limits.client_timeout);
        http.max_buf_size(limits.header_bytes);
        let router =
            Router::new().route("/", any(exchange)).fallback(nowhere).with_state(Arc::clone(&desk));
        Self { http, router, desk }
    }

    pub(super) fn client_timeout(&self) -> Duration {
        self.desk.client_timeout
    }

    pub(super) fn account(&self) -> &str {
        &self.desk.account
    }
}

/// Serves a connection to its end, or from `stopped` on to the end of what it is about.
pub(super) async fn serve<S>(
    stream: S,
    guest: Guest,
    house: &House,
    mut stopped: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let mut stream = TimeoutWriter::new(stream);
    stream.set_timeout(Some(house.client_timeout()));
    let inner = TowerToHyperService::new(house.router.clone());
    let peer = guest.peer;
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(guest.clone());
        inner.call(request)
    });
    let connection = house.http.serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        log::debug!("API: the connection of {peer} ended: {error}");
    }
}

async fn exchange(State(desk): State<Arc<Desk>>, mut request: Request<Body>) -> Response<Body> {
    let id = Uuid::new_v4().to_string();
    match request.extensions_mut().remove::<Guest>() {
        Some(guest) => desk.take(guest, request, &id).await,
        None => Trouble::new("InternalError", 500, "Nobody knows who asks.").reply(&id),
    }
}

async fn nowhere() -> Response<Body> {
    let trouble = Trouble::new("InvalidAction", 404, "The API's only path is /.");
    trouble.reply(&Uuid::new_v4().to_string())
}
