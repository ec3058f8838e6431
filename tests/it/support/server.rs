//! A server on loopback that keeps what it gets: an endpoint of ours to be told, or somebody between us and the sandbox.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};
use tidings::secret::random_bytes;
use tokio::net::TcpListener;
use url::Url;

const LARGEST: usize = 16 * 1024 * 1024;

/// One request that came in.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Taken {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// A field of a form.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let mut fields = url::form_urlencoded::parse(&self.body);
        fields.find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    }

    /// Whether it creates a report at the API.
    pub(crate) fn creates_a_report(&self) -> bool {
        self.method == Method::POST && self.uri.path().ends_with("/ScheduledReport")
    }

    /// Whether it asks for a token.
    pub(crate) fn signs_in(&self) -> bool {
        self.uri.path().ends_with("/oauth2/token")
    }
}

/// A server; it ends with its test.
pub(crate) struct Server {
    pub(crate) url: Url,
    taken: Arc<Mutex<Vec<Taken>>>,
}

impl Server {
    /// Answers each request with what `answer` makes of it.
    pub(crate) async fn start<F, R>(answer: F) -> Self
    where
        F: Fn(Taken) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        let taken = Arc::<Mutex<Vec<Taken>>>::default();
        let kept = taken.clone();
        let take = move |request: Request| async move {
            let (parts, body) = request.into_parts();
            let body = to_bytes(body, LARGEST).await.unwrap();
            let taken = Taken { method: parts.method, uri: parts.uri, headers: parts.headers, body };
            kept.lock().unwrap().push(taken.clone());
            answer(taken).await
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(take)).await });
        Self { url, taken }
    }

    /// Answers everything with this status.
    pub(crate) async fn answering(status: u16) -> Self {
        Self::start(move |_| async move { answer(status) }).await
    }

    /// Hands everything on to another server; `change` sees each request with its answer, and gives the answer.
    pub(crate) async fn before(
        other: Url,
        change: impl Fn(&Taken, (StatusCode, Bytes)) -> (StatusCode, Bytes) + Clone + Send + Sync + 'static,
    ) -> Self {
        Self::start(move |taken| {
            let (other, change) = (other.clone(), change.clone());
            async move {
                let (status, body) = change(&taken, hand_on(&other, &taken).await);
                Response::builder().status(status).header("content-type", "application/json").body(body.into()).unwrap()
            }
        })
        .await
    }

    /// What came so far, oldest first.
    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }
}

/// An answer without a body.
pub(crate) fn answer(status: u16) -> Response<Body> {
    Response::builder().status(status).body(Body::empty()).unwrap()
}

/// Sends a request to another server as it came.
pub(crate) async fn hand_on(other: &Url, taken: &Taken) -> (StatusCode, Bytes) {
    let url = other.join(taken.uri.path_and_query().unwrap().as_str()).unwrap();
    let mut headers = taken.headers.clone();
    for ours in ["host", "content-length"] {
        headers.remove(ours);
    }
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.request(taken.method.clone(), url).headers(headers).body(taken.body.clone());
    let answer = request.send().await.unwrap();
    (answer.status(), answer.bytes().await.unwrap())
}

/// An address for a process that is ended and started again. It is below the ports that the system gives to connections that
/// go out: one of the many that tests open at once could take it while nobody listens there.
pub(crate) async fn lasting_address() -> SocketAddr {
    loop {
        let port = 10_000 + u16::from_be_bytes(random_bytes()) % 20_000;
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await {
            return listener.local_addr().unwrap();
        }
    }
}
