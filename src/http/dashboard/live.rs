//! Tells an open page that its report's story, or its account, has changed, by server-sent events.
//!
//! The event carries the version of what is shown and nothing else; the page's script fetches what is new, through the same door as
//! everybody. Hints come in bursts, so a story is looked at a few times a second at most, and now and then without a hint.
//! A connection ends after a while, so that a session that has ended ends its connections too: the browser comes back by
//! itself and names the version it knows.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout};

use super::guard::Viewer;
use super::page::{Named, PageError};
use super::store;
use crate::app::App;
use crate::db::Stored;
use crate::id::{AccountId, ReportId};
use crate::wake::Ear;
use crate::{account, report};

const LONGEST_QUIET: Duration = Duration::from_secs(15);
const LEAST_PAUSE: Duration = Duration::from_millis(200);
const LIFE: Duration = Duration::from_mins(10);
const MOST_CONNECTIONS: usize = 100;

static PLACES: Semaphore = Semaphore::const_new(MOST_CONNECTIONS);

/// The version that the page was made from.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Known {
    #[serde(default)]
    version: String,
}

/// An event whenever the story of a report has changed.
pub(super) async fn changes(
    _: Viewer,
    State(app): State<App>,
    Named(id): Named<ReportId>,
    Query(known): Query<Known>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, PageError> {
    // Before the first look, so that no change falls between the two.
    let ear = app.wake.ear();
    report::store::find(&mut *app.pool.acquire().await?, id).await?.ok_or(PageError::NotFound)?;
    watch(app, ear, Subject::Report(id), known, &headers)
}

/// An event whenever an account, or its sign-in, has changed.
pub(super) async fn account_changes(
    _: Viewer,
    State(app): State<App>,
    Named(id): Named<AccountId>,
    Query(known): Query<Known>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, PageError> {
    let ear = app.wake.ear();
    account::store::find(&mut *app.pool.acquire().await?, id).await?.ok_or(PageError::NotFound)?;
    watch(app, ear, Subject::Account(id), known, &headers)
}

fn watch(
    app: App,
    ear: Ear,
    subject: Subject,
    known: Known,
    headers: &HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>> + use<>>, PageError> {
    let place = PLACES.try_acquire().map_err(|_| PageError::Busy)?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let known = last.map_or(known.version, str::to_owned);
    let stopping = app.stopping.clone().cancelled_owned();
    let watch = Watch { app, subject, ear, known, ends: Instant::now() + LIFE, looked: false, _place: place };
    let events = stream::unfold(watch, |mut watch| async {
        let event = watch.next().await?;
        Some((Ok(event), watch))
    });
    Ok(Sse::new(events.take_until(stopping)))
}

/// What a page shows.
#[derive(Debug, Clone, Copy)]
enum Subject {
    Report(ReportId),
    Account(AccountId),
}

struct Watch {
    app: App,
    subject: Subject,
    ear: Ear,
    known: String,
    ends: Instant,
    looked: bool,
    _place: SemaphorePermit<'static>,
}

impl Watch {
    /// The new version, or a sign of life after a quiet time; `None` when it is time to come back.
    async fn next(&mut self) -> Option<Event> {
        let quiet_until = Instant::now() + LONGEST_QUIET;
        while Instant::now() < self.ends {
            if self.looked {
                let left = quiet_until.saturating_duration_since(Instant::now());
                let _ = timeout(left, self.ear.any()).await;
                sleep(LEAST_PAUSE).await;
            }
            self.looked = true;
            match self.version().await {
                Ok(version) if version != self.known => {
                    self.known.clone_from(&version);
                    return Some(Event::default().id(version).data("changed"));
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "failed to watch what a page shows");
                    return None;
                }
            }
            if Instant::now() >= quiet_until {
                return Some(Event::default().comment("still here"));
            }
        }
        None
    }

    async fn version(&self) -> Stored<String> {
        let mut conn = self.app.pool.acquire().await?;
        match self.subject {
            Subject::Report(id) => store::version(&mut conn, id).await,
            Subject::Account(id) => store::account_version(&mut conn, id).await,
        }
    }
}
