//! Telling people: who wants what, and bringing it to them.
//!
//! The cast: a *subscription* says who wants which events and where; [`fan_out`] makes one *delivery* for each event and
//! subscription that match; [`deliver`] claims deliveries that are due, has [`message`] say the event for that subscriber,
//! sends it through [`crate::channel`] with no transaction open, and records an *attempt*. What the other side answered
//! decides: delivered, later, failed, or the endpoint is gone and its subscription suspended.
//!
//! What holds: one delivery per event and subscription, whatever is killed when; its id goes out with every attempt, so a
//! repeat can be told. "Why was this sent twice?" is answered by the attempts of the delivery with that id. What is not
//! promised: exactly once (a kill between the answer and our record repeats the send, under the same id), and an order.

pub mod deliver;
pub mod fan_out;
mod flight;
pub mod links;
pub mod message;
pub mod store;
pub mod subscribe;

use chrono::{DateTime, Utc};

use crate::channel::Channel;
use crate::event::Kind;
use crate::id::{AttemptId, DeliveryId, EventId, ReportId, SubscriptionId};

/// Whether a subscription is told anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionState {
    /// Yes.
    Active,
    /// No: somebody wanted a rest. What matches meanwhile is cancelled.
    Paused,
    /// No: its endpoint is gone. What matches meanwhile fails and can be resent.
    Suspended,
}

/// Whether and how first rows of a report are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FirstRows {
    /// Not at all.
    Off,
    /// With the letters and digits of each word masked but its first.
    Masked,
}

impl FirstRows {
    fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Masked => "masked",
        }
    }
}

/// Who wants which events, and where.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Its id.
    pub id: SubscriptionId,
    /// What people call it.
    pub name: String,
    /// The kind of transport.
    pub channel: Channel,
    /// The endpoint, as far as it may be shown.
    pub endpoint_shown: String,
    /// Which kinds; all when not given.
    pub kinds: Option<Vec<Kind>>,
    /// Which reports; all when not given.
    pub report_ids: Option<Vec<ReportId>>,
    /// Who is told when the endpoint is gone.
    pub owner: Option<String>,
    /// Whether first rows are shown.
    pub first_rows: FirstRows,
    /// Whether it is told anything.
    pub state: SubscriptionState,
    /// Why it is suspended, or what went wrong last.
    pub last_failure: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// How far we are with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Due now or later.
    Pending,
    /// The other side took it.
    Delivered,
    /// Given up; can be resent.
    Failed,
    /// Not wanted when it was made; can be resent.
    Cancelled,
}

impl DeliveryState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The duty to bring one event to one subscription.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct Delivery {
    /// Its id: `webhook-id` and the `Message-ID` of every attempt.
    pub id: DeliveryId,
    /// The event.
    pub event_id: EventId,
    /// Its kind.
    pub event_kind: String,
    /// The report it is about, if any.
    pub report_id: Option<ReportId>,
    /// The subscription.
    pub subscription_id: SubscriptionId,
    /// Its name.
    pub subscription_name: String,
    /// Its channel.
    pub channel: String,
    /// How far we are.
    pub state: DeliveryState,
    /// Why it failed or was cancelled, or what went wrong last.
    pub reason: Option<String>,
    /// When it is tried next.
    pub due_at: DateTime<Utc>,
    /// How many attempts there were since it was made or last resent.
    pub tries: i32,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was delivered, failed or cancelled.
    pub finished_at: Option<DateTime<Utc>>,
}

/// One try of a delivery.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// 1 is the first since the delivery was made or last resent.
    pub number: i32,
    /// `schedule` or `resend`.
    pub trigger: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When the answer was there.
    pub finished_at: DateTime<Utc>,
    /// `delivered`, `retry`, `payload`, `gone` or `ours` (our own side was broken).
    pub outcome: String,
    /// HTTP or SMTP status.
    pub status: Option<i32>,
    /// What the other side said, or what went wrong.
    pub detail: String,
}
