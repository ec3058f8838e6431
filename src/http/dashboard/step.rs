//! The steps of a story: a call, what was found, the file, the fact, and who was told of it.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::store::{Attempt, Callback, Delivery, Download, Event, Execution};
use super::story::Rows;
use super::text::{Moment, duration, number, size};
use crate::event::Kind;
use crate::id::{DeliveryId, FileId};

const MOST_NAMED: usize = 12;

/// How good or bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Tone {
    Good,
    Busy,
    Bad,
    Calm,
}

/// Something that happened.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    pub(super) what: What,
    tone: Tone,
    at: Moment,
    /// How long after the first step.
    after: Option<String>,
    #[serde(skip)]
    pub(super) happened_at: DateTime<Utc>,
}

/// What it was.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum What {
    Callback {
        method: String,
        path: String,
        from: Option<String>,
    },
    Found {
        by: &'static str,
        status: String,
        generated: Option<Moment>,
        remote_id: String,
        failure: Option<String>,
        silent: bool,
    },
    Download {
        state: String,
        tries: i32,
        took: Option<String>,
        failure: Option<String>,
        due: Option<Moment>,
        file: Option<File>,
    },
    Event {
        title: &'static str,
        word: String,
        detail: Option<String>,
        deliveries: Vec<Told>,
    },
}

/// A stored file.
#[derive(Debug, Serialize)]
pub(super) struct File {
    id: FileId,
    rows: String,
    columns: String,
    size: String,
    stored: String,
    sha256: String,
}

/// A delivery and its attempts.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    id: DeliveryId,
    channel: String,
    subscription: String,
    endpoint: String,
    state: String,
    tone: Tone,
    reason: Option<String>,
    after: Option<String>,
    due: Option<Moment>,
    can_resend: bool,
    attempts: Vec<Try>,
}

#[derive(Debug, Serialize)]
struct Try {
    number: i32,
    is_resend: bool,
    at: Moment,
    took: String,
    outcome: &'static str,
    tone: Tone,
    status: Option<i32>,
    detail: String,
}

/// Tells the steps of one chapter.
pub(super) struct Teller<'a> {
    pub(super) rows: &'a Rows,
    /// When the chapter begins.
    pub(super) begins_at: DateTime<Utc>,
    pub(super) now: DateTime<Utc>,
}

impl Teller<'_> {
    fn step(&self, at: DateTime<Utc>, tone: Tone, what: What) -> Step {
        Step { what, tone, at: Moment::new(at, self.now), after: self.after(at), happened_at: at }
    }

    fn after(&self, at: DateTime<Utc>) -> Option<String> {
        (at > self.begins_at).then(|| format!("+{}", duration(at - self.begins_at)))
    }

    pub(super) fn callback(&self, callback: &Callback) -> Step {
        let query = callback.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        let what = What::Callback {
            method: callback.method.clone(),
            path: format!("/callbacks/…{}{query}", callback.path),
            from: callback.remote_address.clone(),
        };
        self.step(callback.received_at, Tone::Calm, what)
    }

    pub(super) fn found(&self, execution: &Execution) -> Step {
        let what = What::Found {
            by: match execution.found_by.as_str() {
                "callback" => "asked because of the callback",
                "manual" => "asked by hand",
                _ => "asked on schedule",
            },
            status: execution.status.clone(),
            generated: execution.generated_at.map(|at| Moment::new(at, self.now)),
            remote_id: execution.remote_id.clone(),
            failure: execution.failure.clone(),
            silent: execution.silent,
        };
        let tone = if execution.state == "failed" { Tone::Bad } else { Tone::Calm };
        self.step(execution.found_at, tone, what)
    }

    pub(super) fn download(&self, download: &Download) -> Step {
        let (tone, is_open) = match download.state.as_str() {
            "stored" => (Tone::Good, false),
            "failed" => (Tone::Bad, false),
            _ => (Tone::Busy, true),
        };
        let what = What::Download {
            state: download.state.clone(),
            tries: download.tries,
            took: download.stored_at.map(|at| duration(at - download.since)),
            failure: download.last_failure.clone(),
            due: (is_open && download.due_at > self.now).then(|| Moment::new(download.due_at, self.now)),
            file: file(download),
        };
        self.step(download.stored_at.unwrap_or(download.since), tone, what)
    }

    pub(super) fn event(&self, event: &Event) -> Step {
        let deliveries = self.rows.deliveries.iter().rev().filter(|delivery| delivery.event_id == event.id);
        let what = What::Event {
            title: title(&event.kind),
            word: event.kind.clone(),
            detail: detail(event),
            deliveries: deliveries.map(|delivery| self.told(delivery)).collect(),
        };
        self.step(event.occurred_at, tone(&event.kind), what)
    }

    fn told(&self, delivery: &Delivery) -> Told {
        let is_pending = delivery.state == "pending";
        let attempts = self.rows.attempts.iter().filter(|attempt| attempt.delivery_id == delivery.id);
        Told {
            id: delivery.id,
            channel: delivery.channel.clone(),
            subscription: delivery.subscription.clone(),
            endpoint: delivery.endpoint_shown.clone(),
            state: delivery.state.clone(),
            tone: match delivery.state.as_str() {
                "delivered" => Tone::Good,
                "pending" => Tone::Busy,
                "failed" => Tone::Bad,
                _ => Tone::Calm,
            },
            reason: delivery.reason.clone(),
            after: delivery.finished_at.and_then(|at| self.after(at)),
            due: is_pending.then(|| Moment::new(delivery.due_at, self.now)),
            can_resend: !delivery.removed,
            attempts: attempts.map(|attempt| self.attempt(attempt)).collect(),
        }
    }

    fn attempt(&self, attempt: &Attempt) -> Try {
        let (outcome, tone) = match attempt.outcome.as_str() {
            "delivered" => ("delivered", Tone::Good),
            "retry" => ("will be tried again", Tone::Busy),
            "payload" => ("message refused", Tone::Bad),
            "gone" => ("endpoint gone", Tone::Bad),
            _ => ("our side failed", Tone::Busy),
        };
        Try {
            number: attempt.number,
            is_resend: attempt.trigger == "resend",
            at: Moment::new(attempt.started_at, self.now),
            took: duration(attempt.finished_at - attempt.started_at),
            outcome,
            tone,
            status: attempt.status,
            detail: attempt.detail.clone(),
        }
    }
}

fn file(download: &Download) -> Option<File> {
    let (size_bytes, stored_bytes) = (download.size_bytes?, download.stored_bytes?);
    Some(File {
        id: download.id,
        rows: number(download.rows?),
        columns: number(download.columns.unwrap_or_default().into()),
        size: size(size_bytes),
        stored: size(stored_bytes),
        sha256: download.sha256.clone()?,
    })
}

/// A kind of fact in a few words.
pub(super) fn title(kind: &str) -> &'static str {
    // A kind that only a newer replica knows is shown by its word.
    let Ok(kind) = kind.parse() else { return "Event" };
    match kind {
        Kind::ReportReady => "Report ready",
        Kind::ReportEmpty => "Report without rows",
        Kind::ReportFailed => "Report failed",
        Kind::ReportLate => "Report late",
        Kind::ReportRecovered => "Late report has come",
        Kind::ReportSchemaChanged => "Columns changed",
        Kind::ReportUnusual => "Out of the ordinary",
        Kind::ReportDrifted => "Changed at Microsoft",
        Kind::ReportEnded => "Report has ended",
        Kind::AccountSignInRequired => "Sign-in required",
        Kind::AccountSignInExpiring => "Sign-in expires soon",
        Kind::SubscriptionSuspended => "Subscription suspended",
        Kind::SubscriptionTest => "Test",
    }
}

/// How good or bad a fact is.
pub(super) fn tone(kind: &str) -> Tone {
    let Ok(kind) = kind.parse() else { return Tone::Calm };
    match kind {
        Kind::ReportReady | Kind::ReportRecovered => Tone::Good,
        Kind::ReportFailed | Kind::AccountSignInRequired | Kind::SubscriptionSuspended => Tone::Bad,
        Kind::ReportEmpty
        | Kind::ReportLate
        | Kind::ReportSchemaChanged
        | Kind::ReportUnusual
        | Kind::ReportDrifted
        | Kind::AccountSignInExpiring => Tone::Busy,
        Kind::ReportEnded | Kind::SubscriptionTest => Tone::Calm,
    }
}

/// What a fact says beyond its kind, where there is more to say.
fn detail(event: &Event) -> Option<String> {
    let names = |pointer: &str| {
        let names = event.data.pointer(pointer)?.as_array()?;
        let shown: Vec<&str> = names.iter().filter_map(|name| name.as_str()).take(MOST_NAMED).collect();
        let more = if names.len() > shown.len() { ", …" } else { "" };
        (!shown.is_empty()).then(|| format!("{}{more}", shown.join(", ")))
    };
    let reason = || event.data.pointer("/reason")?.as_str().map(str::to_owned);
    let changes = || {
        let added = names("/changes/added").map(|names| format!("added: {names}"));
        let removed = names("/changes/removed").map(|names| format!("removed: {names}"));
        let all: Vec<String> = added.into_iter().chain(removed).collect();
        (!all.is_empty()).then(|| all.join("; "))
    };
    let expected = || {
        let at = event.data.pointer("/expected_at")?.as_str()?.parse::<DateTime<Utc>>().ok()?;
        Some(format!("expected {} UTC", at.format("%Y-%m-%d %H:%M")))
    };
    let differences = || {
        let fields = event.data.pointer("/differences")?.as_array()?;
        let fields: Vec<&str> = fields.iter().filter_map(|one| one.get("field")?.as_str()).take(MOST_NAMED).collect();
        Some(format!("differs: {}", fields.join(", ")))
    };
    reason().or_else(changes).or_else(expected).or_else(differences)
}
