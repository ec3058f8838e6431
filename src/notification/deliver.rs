//! Brings deliveries that are due to their endpoints.
//!
//! Claimed a few per lane, so that a heap for one endpoint delays no other. Outcomes go to the database in batches and
//! are durable when [`Deliver::perform`] returns; while the database is away for a moment they are held, since what is not
//! recorded is sent again. What can't be read back (a key was removed) is an attempt that failed on our side: it shows, and
//! can be mended. Waits: 5 s, 30 s, 2 min, 10 min, 1 h, 3 h, then every 10 h for three days; `Retry-After` replaces the wait
//! within one second and one hour.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::PgPool;
use tokio::time::Instant;

use super::flight::Flight;
use super::links::Links;
use super::store;
use super::store::deliveries::{self, Claimed, Outcome};
use super::{DeliveryState, message};
use crate::channel::{Channels, Class, Endpoint, Message, Refusal, Sent};
use crate::clock::Clock;
use crate::db::batch::{Batch, NotWritten};
use crate::db::{StoreError, Stored, lease};
use crate::download;
use crate::event::{self, About, Fact, Kind};
use crate::id::AttemptId;
use crate::retry::{Failure, bounded, with_jitter};
use crate::secret::Keyring;
use crate::wake::{Topic, Wake};

const WAITS: [Duration; 7] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(600),
    Duration::from_secs(3600),
    Duration::from_secs(3 * 3600),
    Duration::from_secs(10 * 3600),
];
const PATIENCE: TimeDelta = TimeDelta::days(3);
const LEAST_AFTER: Duration = Duration::from_secs(1);
const MOST_AFTER: Duration = Duration::from_secs(3600);
const PER_LANE: i64 = 4;
const LONGEST_DETAIL: usize = 1000;
/// So many bytes an outcome takes while it waits to be recorded, about.
const AN_OUTCOME: usize = 512;
/// Outcomes are held this long for a database that is away: with what the last renewal left, less than the lease.
const HOLD: Duration = Duration::from_secs(15);
/// One try to record them: all others wait for it.
const RECORD_TIME: Duration = Duration::from_secs(5);
const HOLD_PAUSE: Duration = Duration::from_millis(250);

/// The step that delivers.
#[derive(Clone)]
pub struct Deliver {
    pool: PgPool,
    clock: Clock,
    keyring: Keyring,
    channels: Arc<Channels>,
    links: Links,
    wake: Wake,
    outcomes: Batch<Vec<Outcome>, ()>,
    flight: Flight,
}

impl Deliver {
    /// Ready to deliver; one writer records outcomes.
    pub fn new(
        pool: PgPool,
        clock: Clock,
        keyring: Keyring,
        channels: Arc<Channels>,
        links: Links,
        wake: Wake,
    ) -> Self {
        let writer = pool.clone();
        let outcomes = Batch::start(move |outcomes: Vec<Outcome>| record(writer.clone(), outcomes));
        Self { pool, clock, keyring, channels, links, wake, outcomes, flight: Flight::default() }
    }

    /// Claims up to `limit` deliveries that are due, at most four of one lane, none of one that is busy enough.
    pub async fn claim(&self, limit: i64) -> Stored<Vec<Claimed>> {
        let mut conn = self.pool.acquire().await?;
        deliveries::claim(&mut conn, self.clock.now(), PER_LANE, &self.flight.full(), limit).await
    }

    /// Makes one attempt, and records what came of it.
    pub async fn perform(&self, claim: Claimed) -> Stored<()> {
        let _send = self.flight.begin(&claim.lane);
        let started_at = self.clock.now();
        let answer = match self.prepare(&claim, started_at).await {
            Ok((endpoint, message)) => {
                let renew =
                    || async { deliveries::renew(&mut *self.pool.acquire().await?, &claim, self.clock.now()).await };
                lease::while_renewing(Box::pin(self.channels.send(&endpoint, &message, started_at)), renew).await?
            }
            Err(error @ StoreError::Corrupt { .. }) => Err(unreadable(&error)),
            Err(error) => return Err(error),
        };
        let finished_at = self.clock.now();
        let outcome = judge(claim.clone(), &answer, (started_at, finished_at), self.clock.new_id());
        let gathered = |outcomes: &mut Vec<Outcome>| {
            outcomes.push(outcome);
            Ok(AN_OUTCOME)
        };
        match self.outcomes.write(gathered).outcome().await {
            Ok(()) => {}
            // The lease runs out and it is sent again, under the same id.
            Err(NotWritten::Full | NotWritten::Failed) => return Err(StoreError::Lost),
        }
        match answer {
            Err(refusal) if refusal.class == Class::Gone => self.suspend(&claim, &refusal.to_string()).await?,
            _ => {}
        }
        self.wake.hint(Topic::Deliveries);
        Ok(())
    }

    /// Gives a delivery back of which it is not known whether it arrived: it is sent again, under the same id.
    pub async fn release(&self, claim: Claimed) -> Stored<()> {
        deliveries::release(&mut *self.pool.acquire().await?, &claim).await
    }

    /// What is to be sent, and where.
    async fn prepare(&self, claim: &Claimed, now: DateTime<Utc>) -> Stored<(Endpoint, Message)> {
        let mut conn = self.pool.acquire().await?;
        let (subscription, endpoint) =
            store::endpoint(&mut conn, &self.keyring, claim.subscription_id).await?.ok_or(StoreError::Lost)?;
        let event = event::store::find(&mut conn, claim.event_id).await?.ok_or(StoreError::Lost)?;
        let file = match event.about.file_id {
            Some(id) => download::store::find(&mut conn, id).await?,
            None => None,
        };
        let message = message::compose(&self.links, claim.id, &subscription, &event, file.as_ref(), now);
        Ok((endpoint, message))
    }

    async fn suspend(&self, claim: &Claimed, why: &str) -> Stored<()> {
        let (now, id) = (self.clock.now(), claim.subscription_id);
        let mut tx = self.pool.begin().await?;
        if let Some(name) = store::suspend(&mut tx, id, &claim.endpoint_print, why, now).await? {
            let fact = Fact {
                kind: Kind::SubscriptionSuspended,
                key: format!("suspended:{id}:{}", now.timestamp_micros()),
                about: About { subscription_id: Some(id), ..About::default() },
                data: json!({ "subscription": { "id": id, "name": name }, "reason": why }),
            };
            event::store::append(&mut tx, &self.clock, fact).await?;
            tracing::warn!(subscription = %id, why, "an endpoint is gone; its subscription is suspended");
        }
        tx.commit().await?;
        self.wake.hint(Topic::Events);
        Ok(())
    }
}

/// Writes outcomes, again and again for a while: a moment without the database must not send so many messages twice.
async fn record(pool: PgPool, outcomes: Vec<Outcome>) -> Option<Vec<()>> {
    let until = Instant::now() + HOLD;
    loop {
        match lease::in_time(RECORD_TIME, deliveries::record(&pool, &outcomes)).await {
            Ok(()) => return Some(vec![(); outcomes.len()]),
            Err(error) if Instant::now() + HOLD_PAUSE < until => {
                tracing::warn!(error = &error as &dyn std::error::Error, "failed to record deliveries; trying again");
                tokio::time::sleep(HOLD_PAUSE).await;
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "failed to record deliveries; they are sent again under the same ids");
                return None;
            }
        }
    }
}

/// Our own rows can't be read: whoever can mend that must see it.
fn unreadable(error: &StoreError) -> Refusal {
    Refusal { class: Class::Ours, failure: Failure::transient(error.to_string()), status: None, reply: String::new() }
}

/// What an answer means for the delivery.
fn judge(
    claim: Claimed,
    answer: &Result<Sent, Refusal>,
    (started_at, finished_at): (DateTime<Utc>, DateTime<Utc>),
    attempt_id: AttemptId,
) -> Outcome {
    let number = claim.tries + 1;
    let (state, word, status, detail, due_at) = match answer {
        Ok(sent) => (DeliveryState::Delivered, "delivered", sent.status, sent.reply.clone(), finished_at),
        Err(refusal) => {
            let word = match refusal.class {
                Class::Retry => "retry",
                Class::Payload => "payload",
                Class::Gone => "gone",
                Class::Ours => "ours",
            };
            let next = next_attempt(number, refusal, finished_at);
            let patient = finished_at - claim.since < PATIENCE && !refusal.failure.is_permanent();
            let state = if patient { DeliveryState::Pending } else { DeliveryState::Failed };
            (state, word, refusal.status, refusal.to_string(), next)
        }
    };
    let detail: String = detail.chars().take(LONGEST_DETAIL).collect();
    let trigger = claim.trigger.clone();
    let status = status.map(i32::from);
    Outcome { claim, state, due_at, attempt_id, number, trigger, started_at, finished_at, word, status, detail }
}

fn next_attempt(number: i32, refusal: &Refusal, now: DateTime<Utc>) -> DateTime<Utc> {
    let at = usize::try_from(number - 1).unwrap_or(0).min(WAITS.len() - 1);
    let wait =
        refusal.failure.after.map_or_else(|| with_jitter(WAITS[at]), |after| bounded(after, LEAST_AFTER, MOST_AFTER));
    now + wait
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{DeliveryId, EventId, Id, SubscriptionId};

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_154_531 + seconds, 0).unwrap()
    }

    fn claim(tries: i32) -> Claimed {
        Claimed {
            id: DeliveryId::at(at(0)),
            event_id: EventId::at(at(0)),
            subscription_id: SubscriptionId::at(at(0)),
            endpoint_print: Vec::new(),
            lane: Vec::new(),
            lease: 1,
            tries,
            since: at(0),
            trigger: "schedule".into(),
        }
    }

    fn refusal(class: Class, failure: Failure) -> Result<Sent, Refusal> {
        Err(Refusal { class, failure, status: Some(503), reply: String::new() })
    }

    fn outcome(tries: i32, answer: &Result<Sent, Refusal>, now: DateTime<Utc>) -> Outcome {
        judge(claim(tries), answer, (now, now), AttemptId::at(now))
    }

    #[test]
    fn what_may_pass_is_tried_for_three_days_with_growing_waits() {
        let (mut now, mut waits) = (at(0), Vec::new());
        for tries in 0..100 {
            let outcome = outcome(tries, &refusal(Class::Retry, Failure::transient("down")), now);
            if outcome.state == DeliveryState::Failed {
                break;
            }
            waits.push((outcome.due_at - now).num_seconds());
            now = outcome.due_at;
        }

        assert!(waits[0] <= 5 && waits[1] <= 30 && waits[5] <= 3 * 3600, "{waits:?}");
        assert!(now - at(0) >= TimeDelta::hours(60), "{waits:?}");
        assert!(waits.len() < 20, "{waits:?}");
    }

    #[test]
    fn what_the_other_side_said_is_told_once() {
        let (class, failure) = (Class::Retry, Failure::transient("the endpoint answered 500"));
        let answer = Err(Refusal { class, failure, status: Some(500), reply: "boom".into() });

        assert_eq!(outcome(0, &answer, at(0)).detail, "the endpoint answered 500: boom");
    }

    #[test]
    fn retry_after_replaces_the_wait_within_bounds() {
        for (asked, expected) in [(0, 1), (7, 7), (999_999, 3600)] {
            let failure = Failure::transient("slow down").after(Some(Duration::from_secs(asked)));
            let outcome = outcome(3, &refusal(Class::Retry, failure), at(0));

            assert_eq!((outcome.due_at - at(0)).num_seconds(), expected);
        }
    }

    #[test]
    fn what_never_will_fails_at_once_and_what_was_taken_is_delivered() {
        let gone = outcome(0, &refusal(Class::Gone, Failure::permanent("gone")), at(0));
        let sent = outcome(0, &Ok(Sent { status: Some(200), reply: "ok".into() }), at(0));

        assert_eq!((gone.state, gone.word), (DeliveryState::Failed, "gone"));
        assert_eq!((sent.state, sent.word, sent.number), (DeliveryState::Delivered, "delivered", 1));
    }
}
