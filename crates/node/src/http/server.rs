use super::Instruments;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Connections at a time. Others wait in the system's queue.
const CONNECTIONS: usize = 16;
/// Connections that wait in the system's queue.
const BACKLOG: u32 = 64;
/// Between two connections, each of which brings one request: whoever asks without end takes only a little CPU time.
const PACE: Duration = Duration::from_millis(10);
/// How long a request may take to arrive, and its answer to leave.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest request line with all headers.
const REQUEST_BYTES: usize = 8 << 10;
const REQUEST_HEADERS: usize = 64;

/// The address could not be had.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Another process, or another replica of this machine, has the port.
    #[error(
        "TCP address {0} (http) is already in use: stop what listens there, or set http in config.toml to another address; by default it is the port of listen"
    )]
    AddressInUse(SocketAddr),
    /// The system refused it.
    #[error("cannot listen on TCP address {address} (http): {source}. Set http in config.toml to an address of this machine")]
    Socket {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// Opens the address. To be called within a tokio runtime.
pub fn listen(address: SocketAddr) -> Result<TcpListener, HttpError> {
    bind(address).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => HttpError::AddressInUse(address),
        _ => HttpError::Socket { address, source },
    })
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    // A restart finds connections of the process before in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Answers for ever. Nobody who connects can change anything, or make the replica hold or do more than a little: connections
/// are few, short, slow to be taken and bring one small request each.
pub async fn serve(listener: TcpListener, instruments: Arc<Instruments>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while let Ok(place) = places.clone().acquire_owned().await {
        pace.tick().await;
        while connections.try_join_next().is_some() {}
        // An error is of that one connection, or a shortage that may pass.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let instruments = instruments.clone();
        connections.spawn(async move {
            let _ = timeout(PATIENCE, converse(stream, instruments)).await;
            drop(place);
        });
    }
}

/// One request and its answer. What goes wrong is the other side's affair.
async fn converse(stream: TcpStream, instruments: Arc<Instruments>) {
    let service = service_fn(move |request| answer(request, instruments.clone()));
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_headers(REQUEST_HEADERS).max_buf_size(REQUEST_BYTES);
    let _ = server.keep_alive(false).serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, instruments: Arc<Instruments>) -> Result<Response<Full<Bytes>>, Infallible> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET: nothing can be changed here\n".to_owned());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(refused);
    }
    let path = request.uri().path().to_owned();
    // Off the threads that serve the network.
    let page = tokio::task::spawn_blocking(move || page(&path, &instruments)).await;
    Ok(page.unwrap_or_else(|_| text(StatusCode::INTERNAL_SERVER_ERROR, "a defect of this program\n".to_owned())))
}

fn page(path: &str, instruments: &Arc<Instruments>) -> Response<Full<Bytes>> {
    match path {
        "/metrics" => page_of(StatusCode::OK, super::metrics::CONTENT_TYPE, super::metrics::page(instruments)),
        "/healthz" => text(StatusCode::OK, "the process lives\n".to_owned()),
        "/readyz" => match instruments.unready() {
            None => text(StatusCode::OK, "ready\n".to_owned()),
            Some(reason) => text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
        },
        "/status" => page_of(StatusCode::OK, "application/json", super::status::page(instruments)),
        _ => text(StatusCode::NOT_FOUND, "there are /metrics, /healthz, /readyz and /status\n".to_owned()),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    page_of(status, "text/plain; charset=utf-8", body)
}

fn page_of(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
