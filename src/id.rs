//! Typed identifiers: UUIDv7, so that "newest first" is the order of the ids themselves.
//!
//! An id is made by [`crate::clock::Clock::new_id`] and sorts as that clock ticks. Two kinds of id can't be mixed up; the
//! API's own ids live in [`crate::insights`] and are opaque texts.

use std::sync::{LazyLock, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use uuid::{ContextV7, Timestamp, Uuid};

/// An id that can be made from a moment.
pub trait Id: From<Uuid> {
    /// A fresh id whose order follows `at`.
    fn at(at: DateTime<Utc>) -> Self {
        static SEQUENCE: LazyLock<Sequence> = LazyLock::new(Sequence::default);
        Self::of(&SEQUENCE, at)
    }

    /// The next id of a sequence: it sorts behind those before it, even when `at` does not.
    fn of(sequence: &Sequence, at: DateTime<Utc>) -> Self {
        let seconds = u64::try_from(at.timestamp()).unwrap_or(0);
        let context = sequence.0.lock().unwrap_or_else(PoisonError::into_inner);
        Self::from(Uuid::new_v7(Timestamp::from_unix(&*context, seconds, at.timestamp_subsec_nanos())))
    }
}

/// What the ids of one clock have in common: none sorts before an earlier one.
#[derive(Debug)]
pub struct Sequence(Mutex<ContextV7>);

impl Default for Sequence {
    fn default() -> Self {
        Self(Mutex::new(ContextV7::new()))
    }
}

/// Sorts before every id of that moment and later, and after those made before.
pub fn first_of(at: DateTime<Utc>) -> Uuid {
    let milliseconds = u128::try_from(at.timestamp_millis()).unwrap_or(0);
    Uuid::from_u128(milliseconds << 80)
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize, sqlx::Type, utoipa::ToSchema)]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(pub Uuid);

        impl Id for $name {}

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )*};
}

ids! {
    /// A Partner Center identity that we speak for.
    AccountId
    /// A query that we keep for an account.
    QueryId
    /// A report that we registered, or shall register.
    ReportId
    /// One registration of a report at the API.
    RegistrationId
    /// One recorded callback.
    CallbackId
    /// One run of a report.
    ExecutionId
    /// One downloaded report file.
    FileId
    /// One fact in the event log.
    EventId
    /// Who wants which events, and where.
    SubscriptionId
    /// The duty to bring one event to one subscription.
    DeliveryId
    /// One try of a delivery.
    AttemptId
    /// An API key.
    KeyId
    /// A line of the audit log.
    AuditId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_moment_still_sort_in_the_order_they_were_made() {
        let at = DateTime::from_timestamp(1_795_154_531, 0).unwrap();

        let ids: Vec<ReportId> = (0..1000).map(|_| ReportId::at(at)).collect();

        assert!(ids.is_sorted());
        assert_eq!(ids.iter().collect::<std::collections::HashSet<_>>().len(), 1000);
    }

    #[test]
    fn the_first_of_a_moment_parts_the_ids_before_it_from_the_others() {
        let at = DateTime::from_timestamp_millis(1_795_154_531_007).unwrap();

        // Of their own, as other tests make ids of later moments meanwhile.
        let sequence = Sequence::default();

        assert!(CallbackId::of(&sequence, at - chrono::TimeDelta::milliseconds(1)).0 < first_of(at));
        assert!(first_of(at) < CallbackId::of(&sequence, at).0);
    }
}
