//! What exists in the sandbox: plain data, changed by plain functions, with no clock and no network of its own.
//!
//! Everything that callers can add to is bounded; the oldest goes first.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::callback::Delayed;
use super::datasets;
use super::fault::Faults;
use super::ids::Ids;
use super::sign_in::SignIns;
use crate::secret::random_bytes;

const MAX_REPORTS: usize = 1_000;
const MAX_EXECUTIONS_OF_A_REPORT: usize = 1_000;
const MAX_KEPT: usize = 200;

/// Which of the two products; each has queries and reports of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Program {
    /// Partner Insights.
    Mpn,
    /// Commercial marketplace analytics.
    Cmp,
}

/// Who asks: queries, reports and quotas belong to one account in one product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) program: Program,
    pub(super) account: usize,
}

impl Caller {
    pub(super) fn has(self, report: &Report) -> bool {
        report.program == self.program && report.account == self.account
    }

    /// Whether it made the query, or nobody did.
    pub(super) fn may_use(self, query: &Query) -> bool {
        query.program == self.program && query.account.is_none_or(|account| account == self.account)
    }
}

/// A text of the query language under an id.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Query {
    pub(super) id: String,
    pub(super) program: Program,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) text: String,
    /// Whose it is; nobody's: it exists from the start and can't be deleted.
    pub(super) account: Option<usize>,
    pub(super) created_at: DateTime<Utc>,
}

/// Only an active report runs; an inactive one has had its last occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ReportStatus {
    Active,
    Paused,
    Inactive,
}

/// How the cells of a file are separated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Csv,
    Tsv,
}

impl Format {
    /// As the API echoes it, and the end of the file's name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Tsv => "tsv",
        }
    }
}

/// How a report's completion is called back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum CallbackMethod {
    Get,
    Post,
}

/// When a report runs again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Schedule {
    pub start_at: DateTime<Utc>,
    pub end_at: Option<DateTime<Utc>>,
    pub interval_hours: u32,
    /// How many occurrences; without it there is no last one.
    pub count: Option<u32>,
}

/// What the caller may say about a report, and change later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Terms {
    pub name: String,
    pub description: Option<String>,
    pub format: Format,
    pub callback_url: Option<String>,
    pub callback_method: CallbackMethod,
    /// None: it runs once, at once.
    pub schedule: Option<Schedule>,
}

/// A report and its executions, which go with it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub id: String,
    pub program: Program,
    /// The number of the account that made it.
    pub account: usize,
    pub query_id: String,
    pub query: String,
    pub columns: Vec<String>,
    /// The most rows that its query asks for.
    pub limit: Option<u64>,
    pub terms: Terms,
    pub status: ReportStatus,
    pub created_at: DateTime<Utc>,
    pub modified_at: Option<DateTime<Utc>>,
    /// From here on the sandbox's speed shortens the wait for [`Report::next_start`].
    pub anchor: DateTime<Utc>,
    /// When the next occurrence is, by the schedule's own words; none after the last one.
    pub next_start: Option<DateTime<Utc>>,
    pub runs: u32,
    pub executions: VecDeque<Execution>,
}

/// How far an execution has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ExecutionStatus {
    Pending,
    Running,
    /// The documentation names it; nothing is known to show it, and nothing here does.
    Paused,
    Completed,
    /// Undocumented.
    Failed,
}

impl ExecutionStatus {
    pub(super) const ALL: [Self; 5] = [Self::Pending, Self::Running, Self::Paused, Self::Completed, Self::Failed];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Paused => "Paused",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
        }
    }

    pub(super) const fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Running)
    }
}

/// One run of a report.
#[derive(Debug, Clone, Serialize)]
pub struct Execution {
    pub id: String,
    pub status: ExecutionStatus,
    pub due_at: DateTime<Utc>,
    pub generated_at: Option<DateTime<Utc>>,
    /// Whether completion is still to be called back.
    pub callback_owed: bool,
    pub file: FileSpec,
}

/// What a file holds; its bytes are made when they are asked for, always the same ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileSpec {
    pub format: Format,
    pub columns: Vec<String>,
    pub rows: u64,
    /// Tells one execution's numbers from the next one's.
    pub edition: u64,
}

/// A callback and how it was answered.
#[derive(Debug, Clone, Serialize)]
pub struct CallbackSent {
    pub at: DateTime<Utc>,
    pub report_id: String,
    pub method: CallbackMethod,
    pub url: String,
    pub answer: Answer,
}

/// How a callback was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// By this status.
    Status(u16),
    /// Not at all, for this reason.
    Failed(String),
}

/// A mail or message that was caught.
#[derive(Debug, Clone, Serialize)]
pub struct Caught {
    pub id: String,
    pub at: DateTime<Utc>,
    #[serde(flatten)]
    pub what: CaughtKind,
}

/// What was caught, by the way it came.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CaughtKind {
    Mail(Mail),
    Slack(Posted),
    Teams(Posted),
    Webhook(Posted),
}

/// A mail: its envelope, and what a mail program would show.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Mail {
    pub envelope_from: String,
    pub envelope_to: Vec<String>,
    pub from: String,
    pub to: Vec<String>,
    pub subject: String,
    pub headers: Vec<(String, String)>,
    pub text: Option<String>,
    pub html: Option<String>,
}

/// A request that was caught.
#[derive(Debug, Clone, Serialize)]
pub struct Posted {
    /// What followed the catcher's own path.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// What happened, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub token_requests: u64,
    pub api_requests: u64,
    /// How often executions were asked for, by report id as it was asked.
    pub execution_questions: BTreeMap<String, u64>,
    pub downloads: u64,
    pub callbacks: u64,
    pub caught: u64,
}

/// All that exists.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) queries: Vec<Query>,
    pub(super) reports: Vec<Report>,
    pub(super) callbacks: VecDeque<CallbackSent>,
    pub(super) caught: VecDeque<Caught>,
    pub(super) faults: Faults,
    pub(super) counts: Counts,
    pub(super) next_files: NextFiles,
    pub(super) ids: Ids,
    pub(super) delayed: Vec<Delayed>,
    /// Who made reports that ran at once, and when, of the last hour.
    pub(super) at_once: Vec<(Caller, DateTime<Utc>)>,
    pub(super) sign_ins: SignIns,
}

/// How files are to be that are yet to be made.
#[derive(Debug, Clone, Default)]
pub(super) struct NextFiles {
    pub(super) rows: u64,
    /// Whatever the query says; none: as the query says.
    pub(super) columns: Vec<String>,
}

impl World {
    /// A world that has the documented system queries and nothing else.
    pub(super) fn new(rows: u64, faults: Faults, seed: u64) -> Self {
        let next_files = NextFiles { rows, columns: Vec::new() };
        Self { queries: datasets::system_queries(), next_files, faults, ids: Ids::new(seed), ..Self::default() }
    }

    /// A query that this caller may use.
    pub(super) fn query(&self, caller: Caller, id: &str) -> Option<&Query> {
        self.queries.iter().find(|query| caller.may_use(query) && query.id.eq_ignore_ascii_case(id.trim()))
    }

    pub(super) fn report_mut(&mut self, caller: Caller, id: &str) -> Option<&mut Report> {
        self.reports.iter_mut().find(|report| caller.has(report) && report.id.eq_ignore_ascii_case(id.trim()))
    }

    /// The execution of this id, whose report it may be.
    pub(super) fn execution(&self, id: &str) -> Option<&Execution> {
        self.reports.iter().flat_map(|report| &report.executions).find(|execution| execution.id == id)
    }

    /// Adds a report; far beyond any quota the oldest one makes room, rather one that is over or paused than an active one.
    pub(super) fn add_report(&mut self, report: Report) {
        let rank = |at: &usize| match self.reports[*at].status {
            ReportStatus::Inactive => 0,
            ReportStatus::Paused => 1,
            ReportStatus::Active => 2,
        };
        if self.reports.len() >= MAX_REPORTS
            && let Some(oldest) = (0..self.reports.len()).min_by_key(rank)
        {
            self.reports.remove(oldest);
        }
        self.reports.push(report);
    }

    /// Counts a question for the executions of one report.
    pub(super) fn count_question(&mut self, report_id: &str) {
        let questions = &mut self.counts.execution_questions;
        if questions.len() < MAX_REPORTS || questions.contains_key(report_id) {
            *questions.entry(report_id.to_owned()).or_default() += 1;
        }
    }

    pub(super) fn add_callback(&mut self, callback: CallbackSent) {
        self.counts.callbacks += 1;
        keep(&mut self.callbacks, callback, MAX_KEPT);
    }

    pub(super) fn add_caught(&mut self, caught: Caught) {
        self.counts.caught += 1;
        keep(&mut self.caught, caught, MAX_KEPT);
    }
}

impl Report {
    /// Adds an execution; the oldest beyond the limit is forgotten.
    pub(super) fn add_execution(&mut self, execution: Execution) {
        keep(&mut self.executions, execution, MAX_EXECUTIONS_OF_A_REPORT);
    }
}

/// A fresh id that looks like the API's own: a random UUID.
pub(super) fn new_id() -> String {
    uuid::Builder::from_random_bytes(random_bytes()).into_uuid().to_string()
}

/// A time as the API writes it: UTC, no fraction.
pub(super) fn stamp(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn keep<T>(list: &mut VecDeque<T>, item: T, most: usize) {
    if list.len() >= most {
        list.pop_front();
    }
    list.push_back(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_list_loses_its_oldest() {
        let mut list = VecDeque::new();

        for number in 0..5 {
            keep(&mut list, number, 3);
        }

        assert_eq!(list, [2, 3, 4]);
    }
}
