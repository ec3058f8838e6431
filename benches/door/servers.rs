//! What the door is compared with: a server that does nothing, and one that inserts a row for each request.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::routing::any;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tidings::clock::Clock;
use tidings::http;
use tidings::id::CallbackId;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const POOL: u32 = 32;

/// Reads the request and answers: what the accept loop, hyper and axum cost.
pub(crate) fn bare(address: &str) {
    let router = Router::new().route("/callbacks/{*rest}", any(|_: Bytes| async { StatusCode::OK }));
    serve(address, async { router });
}

/// One `INSERT` per request into a table like ours, through a pool of 32.
pub(crate) fn insert(address: &str, database: &str) {
    let (options, clock) = (database.to_owned(), Clock::system());
    serve(address, async move {
        let pool = PgPoolOptions::new().max_connections(POOL).connect(&options).await.unwrap();
        Router::new().route("/callbacks/{*rest}", any(insert_one)).with_state((pool, clock))
    });
}

async fn insert_one(
    State((pool, clock)): State<(PgPool, Clock)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default())).collect();
    let inserted = sqlx::query(
        "insert into callbacks
             (id, received_at, report_id, verdict, method, path, query, headers, body, body_escaped, body_cut, remote_address)
         values ($1, $2, $3, 'accepted', $4, $5, $6, $7, $8, false, false, $9)",
    )
    .bind(clock.new_id::<CallbackId>().0)
    .bind(clock.now())
    .bind(Uuid::from_u128(1))
    .bind(method.as_str())
    .bind(uri.path())
    .bind(uri.query())
    .bind(serde_json::to_string(&headers).unwrap())
    .bind(String::from_utf8_lossy(&body))
    .bind("127.0.0.1")
    .execute(&pool)
    .await;
    if inserted.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn serve(address: &str, router: impl Future<Output = Router>) {
    crate::runtime().block_on(async {
        let listener = TcpListener::bind(address).await.unwrap();
        http::accept(listener, router.await, CancellationToken::new()).await;
    });
}
