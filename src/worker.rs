//! Runs every step: woken at once, and on a timer regardless.
//!
//! A step claims as much work as it has free places and performs each piece in a task of its own, so one slow endpoint holds
//! up nothing. A hint makes it look at once; the timer makes it look all the same. When told to stop, it claims no more, gives
//! what is in flight a little time, and gives back what is left then, so that another replica need not wait for the end of
//! the leases. A piece of work that panics, or that takes longer than anything may, is logged and done again when its lease
//! has run out; a step that panics stops all of them and is passed on.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use tokio::task::{self, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::account::expiring;
use crate::app::App;
use crate::db::{StoreError, Stored, lease};
use crate::report::{expectation, store::checks, store::comparisons};
use crate::rotation;
use crate::wake::{Ear, Topic};

const LOOK_EVERY: Duration = Duration::from_secs(1);
const LATE_EVERY: Duration = Duration::from_secs(30);
const PRUNE_EVERY: Duration = Duration::from_secs(3600);
const EXPIRING_EVERY: Duration = Duration::from_secs(3600);
const FRESH_EVERY: Duration = Duration::from_secs(300);
const RESEAL_EVERY: Duration = Duration::from_secs(3600);
const RESEAL_AFTER_FAILURE: Duration = Duration::from_secs(60);
/// What is in flight when the process stops gets this long; the whole stop takes under 20 s.
const DRAIN: Duration = Duration::from_secs(12);
/// What it could not finish is given back in this time.
const RELEASE: Duration = Duration::from_secs(3);
/// A claim, and whatever else is a few queries; they have limits of their own, which a network that swallows answers ignores.
const SHORT: Duration = Duration::from_secs(15);
/// No piece of work takes longer, but for downloads: they take as long as bytes come. All that each does has its own limits,
/// except for queries whose answers a broken network swallowed.
const LONGEST: Duration = Duration::from_secs(900);
const LONGEST_DOWNLOAD: Duration = Duration::from_secs(12 * 3600);

const SIGN_INS: usize = 4;
const REGISTRATIONS: usize = 8;
const COMPARISONS: usize = 2;
/// So many that the pace of the accounts is the brake, not the way to Microsoft and back. None of them takes more than fifty
/// for long: Microsoft lets it have no more reports.
const CHECKS: usize = 256;
const DOWNLOADS: usize = 4;
const DELIVERIES: usize = 64;

/// A step with its three verbs, which all have alike.
macro_rules! verbs {
    ($step:expr, $subject:expr) => {
        run_step(
            $step,
            $subject.clone(),
            |step, places| async move { step.claim(places).await },
            |step, work| async move { step.perform(work).await },
            |step, work| async move { step.release(work).await },
        )
    };
}

/// Runs all steps until told to stop, and returns when what was in flight has ended or had its time.
pub async fn run(app: App, stop: CancellationToken) {
    let mut steps = JoinSet::new();
    let step = |name, places, topic| {
        let hints = Hints { ear: app.wake.ear(), topics: [topic] };
        Step { name, places, hints, stop: stop.clone(), longest: LONGEST }
    };
    // Nothing but time makes one due.
    steps.spawn(verbs!(step("sign_in", SIGN_INS, Topic::Reports), app.sign_ins));
    steps.spawn(verbs!(step("register", REGISTRATIONS, Topic::Reports), app.register));
    steps.spawn(verbs!(step("compare", COMPARISONS, Topic::Reports), app.compare));
    steps.spawn(verbs!(step("discover", CHECKS, Topic::Checks), app.discover));
    steps
        .spawn(verbs!(Step { longest: LONGEST_DOWNLOAD, ..step("download", DOWNLOADS, Topic::Executions) }, app.fetch));
    steps.spawn(verbs!(step("deliver", DELIVERIES, Topic::Deliveries), app.deliver));
    steps.spawn(fan_out(app.clone(), stop.clone()));
    steps.spawn(keep_watch(app.clone(), stop.clone()));
    steps.spawn(keep_fresh(app.clone(), stop.clone()));
    steps.spawn(prune(app.clone(), stop.clone()));
    steps.spawn(keep_sealed(app.clone(), stop.clone()));
    steps.spawn(app.wake.clone().relay(app.pool.clone(), stop.clone()));
    all_ended(steps, &stop).await;
}

/// A step that panics takes the others with it: half a worker would look alive and do half the work.
async fn all_ended(mut steps: JoinSet<()>, stop: &CancellationToken) {
    let mut broken = None;
    while let Some(ended) = steps.join_next().await {
        if let Err(error) = ended {
            stop.cancel();
            broken = Some(error);
        }
    }
    if let Some(panic) = broken.and_then(|error| error.try_into_panic().ok()) {
        std::panic::resume_unwind(panic);
    }
}

struct Hints {
    ear: Ear,
    topics: [Topic; 1],
}

struct Step {
    name: &'static str,
    places: usize,
    hints: Hints,
    stop: CancellationToken,
    longest: Duration,
}

/// Work under way, each piece with the claim to give back.
struct Flight<W> {
    tasks: JoinSet<()>,
    claims: HashMap<task::Id, W>,
}

impl<W> Flight<W> {
    fn begin(&mut self, claim: W, work: impl Future<Output = ()> + Send + 'static) {
        let id = self.tasks.spawn(work).id();
        self.claims.insert(id, claim);
    }

    /// Waits until one piece has ended; at once if there is none. Others that have ended too are done with as well, so that
    /// all of their places are filled by one claim.
    async fn next(&mut self, step: &'static str) {
        let mut ended = self.tasks.join_next_with_id().await;
        while let Some(end) = ended {
            let id = end.map_or_else(
                |error| {
                    note_panic(step, &error);
                    error.id()
                },
                |(id, ())| id,
            );
            self.claims.remove(&id);
            ended = self.tasks.try_join_next_with_id();
        }
    }

    /// Waits until all have ended, for a while; what has not by then is cut off and its claims are told.
    async fn drain(mut self, step: &'static str) -> Vec<W> {
        let ended = async {
            while !self.tasks.is_empty() {
                self.next(step).await;
            }
        };
        if tokio::time::timeout(DRAIN, ended).await.is_err() {
            self.tasks.shutdown().await;
        }
        self.claims.into_values().collect()
    }
}

async fn run_step<S, W, C, P, R>(
    mut step: Step,
    subject: S,
    claim: impl Fn(S, i64) -> C + Send,
    perform: impl Fn(S, W) -> P + Send,
    release: impl Fn(S, W) -> R + Send,
) where
    S: Clone + Send + 'static,
    W: Clone + Send + 'static,
    C: Future<Output = Stored<Vec<W>>> + Send,
    P: Future<Output = Stored<()>> + Send + 'static,
    R: Future<Output = Stored<()>> + Send,
{
    let mut flight = Flight { tasks: JoinSet::new(), claims: HashMap::new() };
    while !step.stop.is_cancelled() {
        let free = step.places - flight.tasks.len();
        if free > 0 {
            match lease::in_time(SHORT, claim(subject.clone(), i64::try_from(free).unwrap_or(1))).await {
                Ok(claimed) => {
                    metrics::counter!("tidings_claimed_total", "step" => step.name).increment(claimed.len() as u64);
                    for work in claimed {
                        let performing = lease::in_time(step.longest, perform(subject.clone(), work.clone()));
                        flight.begin(work, performed(step.name, performing));
                    }
                }
                Err(error) => {
                    tracing::error!(step = step.name, error = &error as &dyn std::error::Error, "failed to claim work");
                }
            }
        }
        tokio::select! {
            () = step.stop.cancelled() => {}
            () = step.hints.ear.hear(&step.hints.topics), if free > 0 => {}
            () = flight.next(step.name), if !flight.tasks.is_empty() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
    let left = flight.drain(step.name).await;
    if !left.is_empty() {
        tracing::warn!(step = step.name, count = left.len(), "work in flight is cut off and given back");
    }
    let given_back = futures_util::future::join_all(left.into_iter().map(|work| release(subject.clone(), work)));
    if tokio::time::timeout(RELEASE, given_back).await.is_err() {
        tracing::warn!(step = step.name, "failed to give work back; it is done again when its lease has run out");
    }
}

async fn performed(step: &'static str, work: impl Future<Output = Stored<()>>) {
    let began = Instant::now();
    let result = work.await;
    metrics::histogram!("tidings_step_seconds", "step" => step).record(began.elapsed().as_secs_f64());
    match result {
        Ok(()) => {}
        Err(StoreError::Lost) => tracing::debug!(step, "somebody else took over"),
        Err(error) => {
            metrics::counter!("tidings_step_errors_total", "step" => step).increment(1);
            tracing::error!(step, error = &error as &dyn std::error::Error, "failed; it is done again later");
        }
    }
}

fn note_panic(step: &'static str, error: &JoinError) {
    metrics::counter!("tidings_step_errors_total", "step" => step).increment(1);
    tracing::error!(step, %error, "panicked; it is done again when its lease has run out");
}

async fn fan_out(app: App, stop: CancellationToken) {
    let mut ear = app.wake.ear();
    while !stop.is_cancelled() {
        match lease::in_time(SHORT, app.fan_out.run_once()).await {
            Ok(0) => {}
            Ok(_) => continue,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "failed to fan out");
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = ear.hear(&[Topic::Events]) => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Looks after what no other step does: late reports, sign-ins that end, and a database that was away. After a start and
/// after its return every report is looked at once: a callback may have come meanwhile. Whatever else fails here is said
/// and comes again in its turn; only a database that does not answer is away.
async fn keep_watch(app: App, stop: CancellationToken) {
    let (mut is_away, mut all_expected) = (false, false);
    let (mut next_late, mut next_expiring) = (Instant::now(), Instant::now());
    while !stop.is_cancelled() {
        match lease::in_time(SHORT, ping(&app)).await {
            Ok(()) => {
                is_away = false;
                if !all_expected {
                    all_expected = done("expect every report", &lease::in_time(SHORT, expect_all(&app)).await);
                }
                if Instant::now() >= next_late {
                    next_late = Instant::now() + LATE_EVERY;
                    done("tell what is late", &lease::in_time(SHORT, tell_late(&app)).await);
                }
                if Instant::now() >= next_expiring {
                    next_expiring = Instant::now() + EXPIRING_EVERY;
                    done("tell which sign-ins end", &lease::in_time(SHORT, tell_expiring(&app)).await);
                }
            }
            Err(error) => {
                if !is_away {
                    tracing::error!(error = &error as &dyn std::error::Error, "the database is away");
                }
                (is_away, all_expected) = (true, false);
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

async fn ping(app: &App) -> Stored<()> {
    Ok(sqlx::Connection::ping(&mut *app.pool.acquire().await?).await?)
}

async fn expect_all(app: &App) -> Stored<()> {
    let mut conn = app.pool.acquire().await?;
    checks::expect_all(&mut conn, app.clock.now()).await?;
    comparisons::due_all(&mut conn, app.clock.now()).await?;
    drop(conn);
    app.wake.hint(Topic::Checks);
    Ok(())
}

async fn tell_late(app: &App) -> Stored<()> {
    if expectation::tell_late(&app.pool, &app.clock).await? > 0 {
        app.wake.hint(Topic::Events);
    }
    Ok(())
}

async fn tell_expiring(app: &App) -> Stored<()> {
    if expiring::tell(&app.pool, &app.clock).await? > 0 {
        app.wake.hint(Topic::Events);
    }
    Ok(())
}

/// Keeps sign-ins from running out where nothing else uses them. It calls Microsoft, so it holds up nothing else.
async fn keep_fresh(app: App, stop: CancellationToken) {
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => {}
            tried = lease::in_time(LONGEST, app.sessions.keep_fresh()) => {
                done("keep sign-ins fresh", &tried.map(drop));
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(FRESH_EVERY) => {}
        }
    }
}

/// Removes what is old. There may be much of it, so it holds up nothing else.
async fn prune(app: App, stop: CancellationToken) {
    while !stop.is_cancelled() {
        done("remove what is old", &app.retention.run_once(&stop).await);
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(PRUNE_EVERY) => {}
        }
    }
}

/// Brings what rests sealed under the newest key: after a start, when the key may be another one, and now and then, for what
/// a replica with the old setting sealed meanwhile.
async fn keep_sealed(app: App, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let resealed = rotation::reseal(&app.pool, &app.keyring).await;
        let is_done = done("seal with the newest key", &resealed.map(drop));
        let is_shown = done("measure what needs which key", &rotation::measure(&app.pool, &app.keyring).await);
        let pause = if is_done && is_shown { RESEAL_EVERY } else { RESEAL_AFTER_FAILURE };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Whether it was done; says so if not.
fn done(what: &str, result: &Stored<()>) -> bool {
    if let Err(error) = result {
        tracing::error!(what, error = error as &dyn std::error::Error, "failed; it comes again");
    }
    result.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[should_panic(expected = "a step broke")]
    async fn a_step_that_panics_stops_the_others_and_is_passed_on() {
        let stop = CancellationToken::new();
        let mut steps = JoinSet::new();
        steps.spawn(stop.clone().cancelled_owned());
        steps.spawn(async { panic!("a step broke") });

        all_ended(steps, &stop).await;
    }
}
