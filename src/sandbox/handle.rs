//! The one handle to a running sandbox, for its own endpoints and for tests.
//!
//! Clones share one world behind a lock that is never held across an await.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use url::Url;

use super::callback::{self, Call};
use super::clockwork::{self, Pace};
use super::fault::{Fault, Faults};
use super::settings::{Account, Settings};
use super::sign_in;
use super::world::{CallbackSent, Caller, Caught, Counts, Program, Report, ReportStatus, World};
use crate::clock::Clock;
use crate::secret::Keyring;

const CALLBACK_TIMEOUT: Duration = Duration::from_secs(10);
/// The year 9000: all that is reckoned from the sandbox's time can still be written.
const LAST_SECOND: i64 = 221_845_392_000;

/// A running sandbox's world, and the means to look into it and to change it.
#[derive(Debug, Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    world: Mutex<World>,
    clock: Clock,
    /// How far the sandbox's time is ahead of the clock's, in microseconds: nothing else in the process follows it.
    ahead: AtomicI64,
    /// Links of an earlier generation are past their end.
    link_generation: AtomicU64,
    started_at: DateTime<Utc>,
    settings: Settings,
    keys: Keyring,
    url: Url,
    client: reqwest::Client,
}

impl Handle {
    pub(super) fn new(settings: Settings, clock: Clock, url: Url, keys: Keyring) -> reqwest::Result<Self> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(CALLBACK_TIMEOUT)
            .no_proxy()
            .build()?;
        let mut faults = Faults::once_each(&settings.faults, settings.seed);
        settings.planned_faults.iter().for_each(|planned| faults.plan(*planned));
        let world = Mutex::new(World::new(settings.rows, faults, settings.seed));
        let started_at = settings.now.unwrap_or_else(|| clock.now());
        let ahead = AtomicI64::new((started_at - clock.now()).num_microseconds().unwrap_or_default());
        let link_generation = AtomicU64::default();
        Ok(Self {
            shared: Arc::new(Shared { world, clock, ahead, link_generation, started_at, settings, keys, url, client }),
        })
    }

    /// Does all that is due now, and returns when the callbacks that this caused are answered.
    pub async fn tick(&self) {
        callback::send(self, self.advance()).await;
    }

    /// Makes a fault happen once, at its next occasion.
    pub fn fault(&self, fault: Fault) {
        self.fault_times(fault, 1);
    }

    /// Makes a fault happen at its next so many occasions.
    pub fn fault_times(&self, fault: Fault, times: u32) {
        self.with(|world| world.faults.times(fault, times));
    }

    /// Makes a fault happen at this part of its occasions, between 0 (never) and 1 (always).
    pub fn fault_rate(&self, fault: Fault, rate: f64) {
        self.with(|world| world.faults.rate(fault, rate));
    }

    /// Nothing goes wrong any more.
    pub fn clear_faults(&self) {
        self.with(|world| world.faults.clear());
    }

    /// What happened so far, in numbers.
    pub fn counts(&self) -> Counts {
        self.with(|world| world.counts.clone())
    }

    /// The last callbacks, oldest first, with their answers.
    pub fn callbacks(&self) -> Vec<CallbackSent> {
        self.with(|world| world.callbacks.iter().cloned().collect())
    }

    /// The last mails and messages, oldest first.
    pub fn caught(&self) -> Vec<Caught> {
        self.with(|world| world.caught.iter().cloned().collect())
    }

    /// The reports with their executions, oldest first.
    pub fn reports(&self) -> Vec<Report> {
        self.with(|world| world.reports.clone())
    }

    /// From now on, files have so many rows.
    pub fn set_rows(&self, rows: u64) {
        self.with(|world| world.next_files.rows = rows);
    }

    /// From now on, files have these columns whatever their query says; none: what their query says.
    pub fn set_columns<T: Into<String>>(&self, columns: impl IntoIterator<Item = T>) {
        let columns = columns.into_iter().map(Into::into).collect();
        self.with(|world| world.next_files.columns = columns);
    }

    /// Begins an execution of an active report beside its schedule, with a callback at its end; tells its id.
    pub async fn run_report_now(&self, report_id: &str) -> Option<String> {
        let now = self.now();
        let (id, early) = self.with(|world| {
            let World { reports, faults, ids, .. } = world;
            let report = reports.iter_mut().find(|report| report.id.eq_ignore_ascii_case(report_id))?;
            if report.status != ReportStatus::Active {
                return None;
            }
            let early = clockwork::start_execution(report, now, true, faults, ids);
            Some((report.executions.back()?.id.clone(), early))
        })?;
        callback::send(self, early.into_iter().collect()).await;
        Some(id)
    }

    /// Confirms a device code as a person with a second factor would; false when no such code waits.
    pub fn approve_device(&self, user_code: &str) -> bool {
        sign_in::confirm(self, user_code, true, None)
    }

    /// Declines a device code; false when no such code waits.
    pub fn decline_device(&self, user_code: &str) -> bool {
        sign_in::confirm(self, user_code, false, None)
    }

    /// Every token given so far is refused from now on, access and refresh tokens alike, the first ones too.
    pub fn revoke_tokens(&self) {
        self.with(|world| world.sign_ins.generation += 1);
    }

    /// Every secure link given so far is refused from now on; asking again brings a fresh one.
    pub fn expire_links(&self) {
        self.shared.link_generation.fetch_add(1, Ordering::SeqCst);
    }

    /// Demands a second factor, or no longer: passwords and older refresh tokens are then refused by the sign-in, and
    /// access tokens that were got without one by the API. A device code that is confirmed afterwards meets the demand.
    pub fn demand_mfa(&self, demanded: bool) {
        self.with(|world| world.sign_ins.demand_mfa(demanded));
    }

    /// The sandbox's own time.
    pub fn now(&self) -> DateTime<Utc> {
        self.shared.clock.now() + TimeDelta::microseconds(self.shared.ahead.load(Ordering::SeqCst))
    }

    /// Moves the sandbox's own time forwards; the clock that it was started with stays as it is. It ends in the year 9000.
    pub fn advance_clock(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        let most = (*time_range().end() - self.shared.clock.now()).num_microseconds().unwrap_or(i64::MAX);
        let moved = |ahead: i64| Some(ahead.saturating_add(by).min(most));
        // The function always has an answer.
        let _ = self.shared.ahead.fetch_update(Ordering::SeqCst, Ordering::SeqCst, moved);
    }

    /// Sets the sandbox's own time, between 1970 and 9000; it goes on from there.
    pub fn set_clock(&self, now: DateTime<Utc>) {
        let range = time_range();
        let now = now.clamp(*range.start(), *range.end());
        let ahead = (now - self.shared.clock.now()).num_microseconds().unwrap_or_default();
        self.shared.ahead.store(ahead, Ordering::SeqCst);
    }

    /// Everyone who may sign in.
    pub fn accounts(&self) -> &[Account] {
        &self.settings().accounts
    }

    /// One of them, by its place.
    pub fn account(&self, number: usize) -> &Account {
        &self.accounts()[number]
    }

    /// How others reach it.
    pub fn url(&self) -> &Url {
        &self.shared.url
    }

    /// What it was started with.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// How the API names the user behind a caller: by name, in cmp by a number.
    pub(super) fn user(&self, caller: Caller) -> String {
        match caller.program {
            Program::Mpn => self.account(caller.account).username.clone(),
            Program::Cmp => (142_344_300 + caller.account).to_string(),
        }
    }

    pub(super) fn link_generation(&self) -> u64 {
        self.shared.link_generation.load(Ordering::SeqCst)
    }

    pub(super) fn started_at(&self) -> DateTime<Utc> {
        self.shared.started_at
    }

    pub(super) fn keys(&self) -> &Keyring {
        &self.shared.keys
    }

    pub(super) fn client(&self) -> &reqwest::Client {
        &self.shared.client
    }

    pub(super) fn with<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.shared.world.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn advance(&self) -> Vec<Call> {
        let (now, pace) = (self.now(), self.pace());
        self.with(|world| clockwork::advance(world, now, pace))
    }

    pub(super) fn pace(&self) -> Pace {
        let Settings { speed, run_time, pending_time, callback_delay, .. } = *self.settings();
        let pending_time = pending_time.unwrap_or(run_time / 4).min(run_time);
        Pace { speed, run_time, pending_time, callback_delay }
    }
}

/// The times that the sandbox's own may have.
pub(super) fn time_range() -> RangeInclusive<DateTime<Utc>> {
    let end = DateTime::from_timestamp(LAST_SECOND, 0).expect("the year 9000 is a time that can be written");
    DateTime::UNIX_EPOCH..=end
}
