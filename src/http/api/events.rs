//! `/events`: the log of facts, as lists, as a feed that misses nothing, and as a stream.
//!
//! Streams are few, look a few times a second at most and end after a while, so that a key that was revoked ends its
//! streams too; the client comes back with the last number it knows.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event as ServerSent, KeepAlive, Sse};
use chrono::{DateTime, Utc};
use futures_util::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until, timeout};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::event::{self, Event, Kind, store::Next};
use crate::http::error::ApiError;
use crate::http::extract::{MayRead, Page, Paging, Params};
use crate::id::{AccountId, EventId, ExecutionId, FileId, ReportId, SubscriptionId};
use crate::wake::{Ear, Topic};

const STREAM_BATCH: i64 = 100;
const STREAM_LOOK: Duration = Duration::from_secs(5);
const LEAST_PAUSE: Duration = Duration::from_millis(200);
const STREAM_LIFE: Duration = Duration::from_mins(10);
const MOST_STREAMS: usize = 100;

static PLACES: Semaphore = Semaphore::const_new(MOST_STREAMS);

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(stream))
}

/// A fact.
#[derive(Debug, Serialize, ToSchema)]
struct EventView {
    id: EventId,
    /// Its number in the feed; null for a moment after it happened.
    seq: Option<i64>,
    /// What kind, as in the `kind` of a list and the `events` of a subscription.
    kind: Kind,
    occurred_at: DateTime<Utc>,
    account_id: Option<AccountId>,
    report_id: Option<ReportId>,
    execution_id: Option<ExecutionId>,
    file_id: Option<FileId>,
    subscription_id: Option<SubscriptionId>,
    #[schema(value_type = Object)]
    data: serde_json::Value,
}

impl From<Event> for EventView {
    fn from(event: Event) -> Self {
        Self {
            id: event.id,
            seq: event.seq,
            kind: event.kind,
            occurred_at: event.occurred_at,
            account_id: event.about.account_id,
            report_id: event.about.report_id,
            execution_id: event.about.execution_id,
            file_id: event.about.file_id,
            subscription_id: event.about.subscription_id,
            data: event.data,
        }
    }
}

/// Which events to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct EventFilter {
    kind: Option<String>,
    report_id: Option<ReportId>,
    /// With this, oldest first, with numbers above it; none is missed. Where the next ones were removed because of their
    /// age, 410 says with which number to go on.
    after: Option<i64>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// Where a stream begins.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct StreamStart {
    /// The last number that is known; `Last-Event-ID` comes first.
    after: Option<i64>,
}

/// List events: newest first, or by number with `after`
#[utoipa::path(get, path = "/events", tag = "events", params(EventFilter),
    responses((status = 200, body = Page<EventView>), (status = 410, body = crate::http::error::Problem)))]
async fn list(
    State(app): State<App>,
    _: MayRead,
    Params(filter): Params<EventFilter>,
) -> Result<Json<Page<EventView>>, ApiError> {
    let (limit, before) = Paging { limit: filter.limit, cursor: filter.cursor }.read()?;
    let kind = filter.kind.as_deref().map(str::parse::<Kind>).transpose();
    let kind = kind.map_err(|()| ApiError::field("kind", "is no kind of event"))?;
    let mut conn = app.pool.acquire().await?;
    if let Some(seq) = filter.after {
        if kind.is_some() || filter.report_id.is_some() || before.is_some() {
            return Err(ApiError::field("after", "gives all events; it goes with limit only"));
        }
        let events = next_events(&mut conn, seq, limit).await?;
        return Ok(Json(Page { items: events.into_iter().map(EventView::from).collect(), next_cursor: None }));
    }
    let events = event::store::list(&mut conn, kind, filter.report_id, before, limit).await?;
    let items = events.into_iter().map(EventView::from).collect();
    Ok(Json(Page::new(items, limit, |event: &EventView| event.id.to_string())))
}

/// Events as they happen, server-sent; the id of each is its number
#[utoipa::path(get, path = "/events/stream", tag = "events", params(StreamStart),
    responses((status = 200, content_type = "text/event-stream", body = EventView),
        (status = 410, body = crate::http::error::Problem), (status = 503, body = crate::http::error::Problem)))]
async fn stream(
    State(app): State<App>,
    _: MayRead,
    Params(start): Params<StreamStart>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<ServerSent, Infallible>>>, ApiError> {
    let place = PLACES.try_acquire().map_err(|_| ApiError::Busy)?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    let mut conn = app.pool.acquire().await?;
    let (seq, waiting) = match last.or(start.after) {
        Some(seq) => (seq, next_events(&mut conn, seq, STREAM_BATCH).await?),
        None => (event::store::last_seq(&mut conn).await?, Vec::new()),
    };
    drop(conn);
    let ends = timeout(STREAM_LIFE, app.stopping.clone().cancelled_owned());
    let (ear, waiting) = (app.wake.ear(), waiting.into_iter());
    let feed = Feed { app, ear, seq, waiting, next_look: Instant::now(), _place: place };
    let events = futures_util::stream::unfold(feed, next).take_until(ends);
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

async fn next_events(conn: &mut PgConnection, seq: i64, limit: i64) -> Result<Vec<Event>, ApiError> {
    match event::store::after(conn, seq, limit).await? {
        Next::Events(events) => Ok(events),
        Next::Removed(seq) => Err(ApiError::Removed(seq)),
    }
}

struct Feed {
    app: App,
    ear: Ear,
    seq: i64,
    waiting: std::vec::IntoIter<Event>,
    next_look: Instant,
    _place: SemaphorePermit<'static>,
}

async fn next(mut feed: Feed) -> Option<(Result<ServerSent, Infallible>, Feed)> {
    loop {
        if let Some(event) = feed.waiting.next() {
            feed.seq = event.seq.unwrap_or(feed.seq);
            let view = EventView::from(event);
            let sent = ServerSent::default().id(feed.seq.to_string()).event(view.kind.as_str()).json_data(&view);
            return Some((Ok(sent.unwrap_or_default()), feed));
        }
        sleep_until(feed.next_look).await;
        feed.next_look = Instant::now() + LEAST_PAUSE;
        let mut conn = feed.app.pool.acquire().await.ok()?;
        // A database that is away ends the stream, and so do events that were removed before they were read; the client comes
        // back with the last number it knows, and is told.
        feed.waiting = next_events(&mut conn, feed.seq, STREAM_BATCH).await.ok()?.into_iter();
        drop(conn);
        if feed.waiting.len() == 0 {
            // An event has its number when it is handed out, and that is told as deliveries.
            let _ = timeout(STREAM_LOOK, feed.ear.hear(&[Topic::Events, Topic::Deliveries])).await;
        }
    }
}
