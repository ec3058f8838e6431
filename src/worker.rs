//! Runs every step: woken at once, and on a timer regardless.
//!
//! A step claims as much work as it has free places and performs each piece in a task of its own, so one slow endpoint holds
//! up nothing. A hint makes it look at once; the timer makes it look all the same. When told to stop, it claims no more and
//! gives what is in flight a little time; what is cut off is done again when its lease has run out. A piece of work that
//! panics is logged and done again too; a step that panics stops all of them and is passed on.

use std::future::Future;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::access;
use crate::account::expiring;
use crate::app::App;
use crate::db::{StoreError, Stored};
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

const SIGN_INS: usize = 4;
const REGISTRATIONS: usize = 8;
const COMPARISONS: usize = 2;
const CHECKS: usize = 16;
const DOWNLOADS: usize = 4;
const DELIVERIES: usize = 64;

/// Runs all steps until told to stop, and returns when what was in flight has ended or had its time.
pub async fn run(app: App, stop: CancellationToken) {
    let mut steps = JoinSet::new();
    let hints = |topic| Hints { ear: app.wake.ear(), topics: [topic] };
    steps.spawn(run_step(
        // Nothing but time makes one due.
        Step { name: "sign_in", places: SIGN_INS, hints: hints(Topic::Reports), stop: stop.clone() },
        app.sign_ins.clone(),
        |step, places| async move { step.claim(places).await },
        |step, work| async move { step.perform(work).await },
    ));
    steps.spawn(run_step(
        Step { name: "register", places: REGISTRATIONS, hints: hints(Topic::Reports), stop: stop.clone() },
        app.register.clone(),
        |step, places| async move { step.claim(places).await },
        |step, work| async move { step.perform(work).await },
    ));
    steps.spawn(run_step(
        Step { name: "compare", places: COMPARISONS, hints: hints(Topic::Reports), stop: stop.clone() },
        app.compare.clone(),
        |step, places| async move { step.claim(places).await },
        |step, work| async move { step.perform(work).await },
    ));
    steps.spawn(run_step(
        Step { name: "discover", places: CHECKS, hints: hints(Topic::Checks), stop: stop.clone() },
        app.discover.clone(),
        |step, places| async move { step.claim(places).await },
        |step, work| async move { step.perform(work).await },
    ));
    steps.spawn(run_step(
        Step { name: "download", places: DOWNLOADS, hints: hints(Topic::Executions), stop: stop.clone() },
        app.fetch.clone(),
        |step, places| async move { step.claim(places).await },
        |step, work| async move { step.perform(work).await },
    ));
    steps.spawn(run_step(
        Step { name: "deliver", places: DELIVERIES, hints: hints(Topic::Deliveries), stop: stop.clone() },
        app.deliver.clone(),
        |step, places| async move { step.claim(places).await },
        |step, work| async move { step.perform(work).await },
    ));
    steps.spawn(fan_out(app.clone(), stop.clone()));
    steps.spawn(keep_watch(app.clone(), stop.clone()));
    steps.spawn(keep_fresh(app.clone(), stop.clone()));
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
}

async fn run_step<S, W, C, P>(
    mut step: Step,
    subject: S,
    claim: impl Fn(S, i64) -> C + Send,
    perform: impl Fn(S, W) -> P + Send,
) where
    S: Clone + Send + 'static,
    W: Send + 'static,
    C: Future<Output = Stored<Vec<W>>> + Send,
    P: Future<Output = Stored<()>> + Send + 'static,
{
    let mut flight = JoinSet::new();
    while !step.stop.is_cancelled() {
        let free = step.places - flight.len();
        if free > 0 {
            match claim(subject.clone(), i64::try_from(free).unwrap_or(1)).await {
                Ok(claimed) => {
                    metrics::counter!("tidings_claimed_total", "step" => step.name).increment(claimed.len() as u64);
                    for work in claimed {
                        flight.spawn(performed(step.name, perform(subject.clone(), work)));
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
            Some(ended) = flight.join_next(), if !flight.is_empty() => note_panic(step.name, ended),
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
    let drained = async {
        while let Some(ended) = flight.join_next().await {
            note_panic(step.name, ended);
        }
    };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::warn!(step = step.name, "work in flight is cut off; it is done again when its lease has run out");
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

fn note_panic(step: &'static str, ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        metrics::counter!("tidings_step_errors_total", "step" => step).increment(1);
        tracing::error!(step, %error, "panicked; it is done again when its lease has run out");
    }
}

async fn fan_out(app: App, stop: CancellationToken) {
    let mut ear = app.wake.ear();
    while !stop.is_cancelled() {
        match app.fan_out.run_once().await {
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

/// Looks after what no other step does: late reports, what has run out, and a database that was away. After a start and
/// after its return every report is looked at once: a callback may have come meanwhile. Whatever else fails here is said
/// and comes again in its turn; only a database that does not answer is away.
async fn keep_watch(app: App, stop: CancellationToken) {
    let (mut is_away, mut all_expected) = (false, false);
    let (mut next_late, mut next_prune, mut next_expiring) = (Instant::now(), Instant::now(), Instant::now());
    while !stop.is_cancelled() {
        match ping(&app).await {
            Ok(()) => {
                is_away = false;
                if !all_expected {
                    all_expected = done("expect every report", &expect_all(&app).await);
                }
                if Instant::now() >= next_late {
                    next_late = Instant::now() + LATE_EVERY;
                    done("tell what is late", &tell_late(&app).await);
                }
                if Instant::now() >= next_expiring {
                    next_expiring = Instant::now() + EXPIRING_EVERY;
                    done("tell which sign-ins end", &tell_expiring(&app).await);
                }
                if Instant::now() >= next_prune {
                    next_prune = Instant::now() + PRUNE_EVERY;
                    done("remove what has run out", &prune(&app).await);
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
            tried = app.sessions.keep_fresh() => {
                done("keep sign-ins fresh", &tried.map(drop));
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(FRESH_EVERY) => {}
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

async fn prune(app: &App) -> Stored<()> {
    access::store::prune(&mut *app.pool.acquire().await?, app.clock.now()).await?;
    Ok(())
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
