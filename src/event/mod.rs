//! The log of facts: what happened, and can be subscribed to.
//!
//! A fact is appended in the transaction that made it true, so it is there exactly if the change is. Its key makes "once"
//! literal: a second append under the same key changes nothing. Numbers (`seq`) are given after the commit, by one at a
//! time, so that a reader who goes by them misses nothing: neither UUIDs nor sequences are in the order of commits.

pub mod store;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::id::{AccountId, EventId, ExecutionId, FileId, ReportId, SubscriptionId};

// A literal that a macro hands on as one is hidden from the derive that makes the schema: hence `tt`.
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:tt)*) => {
        /// What kind of fact.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
        pub enum Kind {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl Kind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word for it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

kinds! {
    /// A report's file with rows is in the archive.
    ReportReady = "report.ready"
    /// A report's file is in the archive and has no rows.
    ReportEmpty = "report.empty"
    /// There will be no file of an execution, or it could not be fetched for an hour.
    ReportFailed = "report.failed"
    /// An expected execution did not come within the grace period.
    ReportLate = "report.late"
    /// A late report has come.
    ReportRecovered = "report.recovered"
    /// Columns were added or removed since the last file.
    ReportSchemaChanged = "report.schema_changed"
    /// Something about a file is out of the ordinary.
    ReportUnusual = "report.unusual"
    /// The report there is no longer what we made.
    ReportDrifted = "report.drifted"
    /// The report has run for the last time.
    ReportEnded = "report.ended"
    /// A person must sign in again, or the account needs a good credential.
    AccountSignInRequired = "account.sign_in_required"
    /// A person should sign in again soon.
    AccountSignInExpiring = "account.sign_in_expiring"
    /// A subscription's endpoint is gone.
    SubscriptionSuspended = "subscription.suspended"
    /// Somebody wanted to see whether messages arrive.
    SubscriptionTest = "subscription.test"
}

impl std::str::FromStr for Kind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text).ok_or(())
    }
}

/// What a fact is about. Ids only: the rows may go, the fact stays.
#[derive(Debug, Clone, Copy, Default)]
pub struct About {
    /// The account.
    pub account_id: Option<AccountId>,
    /// The report.
    pub report_id: Option<ReportId>,
    /// The execution.
    pub execution_id: Option<ExecutionId>,
    /// The file.
    pub file_id: Option<FileId>,
    /// The subscription.
    pub subscription_id: Option<SubscriptionId>,
}

/// A fact to be appended.
#[derive(Debug)]
pub struct Fact {
    /// What kind.
    pub kind: Kind,
    /// What makes it this one fact and no other, e.g. `ready:{execution}`.
    pub key: String,
    /// What it is about.
    pub about: About,
    /// A snapshot for whoever is told: no address, no secret.
    pub data: Value,
}

/// A fact of the log.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// Its number, once it has one.
    pub seq: Option<i64>,
    /// What kind.
    pub kind: Kind,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// What it is about.
    pub about: About,
    /// A snapshot for whoever is told.
    pub data: Value,
}
