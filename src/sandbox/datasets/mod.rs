//! Which data can be asked for, and what a query must name to be taken.
//!
//! The documented datasets, each under its documented system queries. Columns, metrics and ranges that a query names must
//! be the dataset's; conditions are checked and not applied.

mod clas;
mod cmp;
mod mpn;

use chrono::DateTime;

use super::language::{self, Statement};
use super::rules::Refusal;
use super::world::{Program, Query};

const LONG_RANGES: &[&str] = &["LAST_MONTH", "LAST_3_MONTHS", "LAST_6_MONTHS", "LAST_1_YEAR", "LIFETIME"];
const ISV_RANGES: &[&str] = &["LAST_MONTH", "LAST_3_MONTHS", "LAST_6_MONTHS", "LIFETIME"];
const LIFETIME_ONLY: &[&str] = &["LIFETIME"];
/// 2021-03-01, about when the API was first described.
const SYSTEM_QUERIES_MADE_AT: i64 = 1_614_556_800;

/// One dataset.
#[derive(Debug)]
pub(super) struct Dataset {
    program: Program,
    pub(super) name: &'static str,
    /// Another name that queries may use and lists don't show.
    alias: Option<&'static str>,
    /// With blanks between them.
    columns: &'static [&'static str],
    metrics: &'static str,
    pub(super) ranges: &'static [&'static str],
    /// In hours; only mpn tells it.
    pub(super) minimum_interval: Option<u32>,
    queries: &'static [SystemQuery],
}

/// A query that exists without anyone having made it.
#[derive(Debug)]
struct SystemQuery {
    id: &'static str,
    /// None: the dataset's.
    name: &'static str,
    /// The dataset's columns that it leaves out, with blanks between them.
    without: &'static str,
    conditions: &'static str,
    range: Option<&'static str>,
}

impl Dataset {
    /// As most of Partner Insights are.
    const fn mpn(name: &'static str) -> Self {
        Self {
            program: Program::Mpn,
            name,
            alias: None,
            columns: &[],
            metrics: "",
            ranges: LONG_RANGES,
            minimum_interval: Some(24),
            queries: &[],
        }
    }

    /// As those of commercial marketplace analytics are.
    const fn cmp(name: &'static str) -> Self {
        Self { program: Program::Cmp, ranges: ISV_RANGES, minimum_interval: None, ..Self::mpn(name) }
    }

    pub(super) fn columns(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().flat_map(|columns| columns.split_whitespace())
    }

    pub(super) fn metrics(&self) -> impl Iterator<Item = &'static str> {
        self.metrics.split_whitespace()
    }

    fn is_called(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name) || self.alias.is_some_and(|alias| alias.eq_ignore_ascii_case(name))
    }

    /// The column or metric of this name, spelled as the dataset spells it.
    fn column(&self, wanted: &str) -> Result<String, Refusal> {
        let known = self.columns().chain(self.metrics()).find(|known| known.eq_ignore_ascii_case(wanted));
        known.map(str::to_owned).ok_or_else(|| Refusal::bad("Incorrect column name"))
    }
}

impl SystemQuery {
    /// All columns of the last six months.
    const fn of(id: &'static str) -> Self {
        Self { id, name: "", without: "", conditions: "", range: Some("LAST_6_MONTHS") }
    }
}

/// What a query asks for.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) dataset: &'static Dataset,
    /// Columns and metrics, spelled as the dataset spells them.
    pub(super) columns: Vec<String>,
    pub(super) limit: Option<u64>,
}

/// The datasets of one product.
pub(super) fn of(program: Program) -> impl Iterator<Item = &'static Dataset> {
    all().filter(move |dataset| dataset.program == program)
}

/// Reads a query and finds what it names.
pub(super) fn select(program: Program, text: &str) -> Result<Selection, Refusal> {
    let Statement { columns, dataset, others, limit, range } = language::parse(text)?;
    let known = of(program).find(|known| known.is_called(&dataset));
    let dataset = known.ok_or_else(|| Refusal::bad("Invalid table name"))?;
    let columns = columns.iter().map(|wanted| dataset.column(wanted)).collect::<Result<_, _>>()?;
    for name in &others {
        dataset.column(name)?;
    }
    match range {
        Some(range) if !dataset.ranges.iter().any(|known| known.eq_ignore_ascii_case(&range)) => {
            Err(Refusal::bad(format!("Invalid query - TIMESPAN {range} is not available for {}", dataset.name)))
        }
        _ => Ok(Selection { dataset, columns, limit }),
    }
}

/// All the queries that exist without anyone having made them.
pub(super) fn system_queries() -> Vec<Query> {
    all().flat_map(|dataset| dataset.queries.iter().map(move |query| system_query(dataset, query))).collect()
}

fn system_query(dataset: &Dataset, query: &SystemQuery) -> Query {
    let without: Vec<&str> = query.without.split_whitespace().collect();
    let columns = dataset.columns().filter(|column| !without.contains(column)).collect::<Vec<_>>().join(",");
    let mut text = format!("SELECT {columns} FROM {}", dataset.alias.unwrap_or(dataset.name));
    if !query.conditions.is_empty() {
        text = format!("{text} {}", query.conditions);
    }
    if let Some(range) = query.range {
        text = format!("{text} TIMESPAN {range}");
    }
    Query {
        id: query.id.to_owned(),
        program: dataset.program,
        name: if query.name.is_empty() { dataset.name } else { query.name }.to_owned(),
        description: None,
        text,
        account: None,
        created_at: DateTime::from_timestamp(SYSTEM_QUERIES_MADE_AT, 0).unwrap_or_default(),
    }
}

fn all() -> impl Iterator<Item = &'static Dataset> {
    mpn::DATASETS.iter().chain(clas::DATASETS).chain(cmp::DATASETS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        select(Program::Mpn, text).unwrap_err().message
    }

    #[test]
    fn a_query_names_its_columns_in_any_case_and_spacing() {
        let query = "select  DISTINCT customername,\n month , CustomerCount from officeusage \
                     where customermarket not like 'Ger%' and MonthlyActiveUsers in (1, 2) limit 5 TIMESPAN last_month";

        let selection = select(Program::Mpn, query).unwrap();

        assert_eq!((selection.dataset.name, selection.limit), ("OfficeUsage", Some(5)));
        assert_eq!(selection.columns, ["CustomerName", "Month", "CustomerCount"]);
    }

    #[test]
    fn a_query_of_unknown_things_is_refused_in_the_documented_words() {
        assert_eq!(refusal("SELECT Month FROM ISVOrder"), "Invalid table name");
        assert_eq!(refusal("SELECT Month"), "Invalid table name");
        for text in [
            "SELECT * FROM OfficeUsage",
            "SELECT Month, Moon FROM OfficeUsage",
            "SELECT SUM(MonthlyActiveUsers) FROM OfficeUsage",
            "DELETE Month FROM OfficeUsage",
            "SELECT Month FROM OfficeUsage WHERE Moon = 1",
            "SELECT Month FROM OfficeUsage ORDER BY Month DESC, Moon",
        ] {
            assert_eq!(refusal(text), "Incorrect column name", "{text}");
        }
        assert_eq!(
            refusal("SELECT Month FROM OfficeUsage TIMESPAN LAST_7_DAYS"),
            "Invalid query - TIMESPAN LAST_7_DAYS is not available for OfficeUsage"
        );
    }

    #[test]
    fn every_system_query_could_be_asked_by_anyone() {
        let queries = system_queries();
        for query in &queries {
            assert!(select(query.program, &query.text).is_ok(), "{}", query.name);
        }
        let of = |program| queries.iter().filter(|query| query.program == program).count();
        assert_eq!((of(Program::Mpn), of(Program::Cmp)), (19, 10));
    }

    #[test]
    fn the_datasets_are_those_of_the_reference_with_as_many_columns() {
        let columns = |name: &str| all().find(|dataset| dataset.name == name).unwrap().columns().count();
        assert_eq!((of(Program::Mpn).count(), of(Program::Cmp).count()), (21, 9));
        for (name, count) in [
            ("CustomersAndTenants", 26),
            ("SeatsSubscriptionsAndRevenue", 35),
            ("DynamicsUsage", 27),
            ("PowerBIUsage", 25),
            ("EMSUsage", 28),
            ("CLASAgreementRenewalsPropensity", 38),
            ("CLASAzurePropensity", 75),
            ("CLASD365Propensity", 50),
            ("CLASM365Propensity", 65),
            ("CLASSurfacePropensity", 65),
        ] {
            assert_eq!(columns(name), count, "{name}");
        }
    }
}
