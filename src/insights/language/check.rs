//! Whether the datasets have what a query names.

use std::collections::HashSet;

use super::super::Dataset;
use super::suggest::nearest;
use super::{Name, Place, Problem, Query, Selected};

/// Whoever has mended these may ask again.
const MOST_PROBLEMS: usize = 20;
const MOST_LISTED: usize = 40;
/// Names that Microsoft's own pages use for another dataset: its system queries are written with them.
const ALIASES: &[(&str, &str)] = &[
    ("CloudProductsResellerPerformance", "ResellerPerformance"),
    ("CompetencyPerformanceRequirement", "CompetencyPeformanceRequirement"),
];

/// The dataset that a query reads, if it is among these.
pub fn dataset<'a>(query: &Query, datasets: &'a [Dataset]) -> Option<&'a Dataset> {
    let named = |name: &str| datasets.iter().find(|one| one.name.eq_ignore_ascii_case(name));
    let written = query.dataset.text.as_str();
    let other = |(one, two): &(&'static str, &'static str)| {
        let is = |name: &str| written.eq_ignore_ascii_case(name);
        if is(one) { Some(*two) } else { is(two).then_some(*one) }
    };
    named(written).or_else(|| ALIASES.iter().find_map(other).and_then(named))
}

/// Everything in a query that these datasets don't have, in the order of the text. No datasets: nothing is known of them.
pub fn check(query: &Query, datasets: &[Dataset]) -> Vec<Problem> {
    let found = dataset(query, datasets);
    let mut problems = Vec::new();
    if found.is_none() && !datasets.is_empty() {
        problems.push(unknown_dataset(&query.dataset, datasets));
    }
    let names: HashSet<String> = found.into_iter().flat_map(all_names).map(str::to_lowercase).collect();
    let is_unknown = |name: &Name| !names.is_empty() && !names.contains(&name.text.to_lowercase());
    let selected = query.selected.iter().filter_map(|one| match one {
        Selected::Everything(place) => Some(everything(*place, found)),
        Selected::Function(name, argument) => Some(function(name, argument.as_deref(), found)),
        Selected::Name(name) => found.filter(|_| is_unknown(name)).map(|found| unknown(name, found)),
    });
    let used = query.used.iter().filter(|name| is_unknown(name));
    let used = found.into_iter().flat_map(|found| used.clone().map(move |name| unknown(name, found)));
    // What is behind the limit is not even looked at: it takes time to find out what was meant.
    problems.extend(selected.chain(used).take(MOST_PROBLEMS));
    problems.extend(query.timespan.as_ref().zip(found).and_then(|(range, found)| unknown_range(range, found)));
    problems.sort_by_key(|problem| problem.place);
    problems.truncate(MOST_PROBLEMS);
    problems
}

fn all_names(dataset: &Dataset) -> impl Iterator<Item = &str> {
    // Some datasets show no columns; then their metrics don't tell what else can be selected.
    let known = !dataset.columns.is_empty();
    dataset.columns.iter().chain(&dataset.metrics).map(String::as_str).filter(move |_| known)
}

fn unknown_dataset(name: &Name, datasets: &[Dataset]) -> Problem {
    let names = || datasets.iter().map(|dataset| dataset.name.as_str());
    let instead = match nearest(&name.text, names()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("there are {}", listed(names())),
    };
    Problem::new(name.place, format!("there is no dataset {}; {instead}", name.text))
}

fn unknown(name: &Name, dataset: &Dataset) -> Problem {
    let instead = match nearest(&name.text, all_names(dataset)) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("it has {}", listed(all_names(dataset))),
    };
    Problem::new(name.place, format!("{} has no column or metric {}; {instead}", dataset.name, name.text))
}

fn everything(place: Place, dataset: Option<&Dataset>) -> Problem {
    let columns = match dataset.filter(|dataset| !dataset.columns.is_empty()) {
        Some(dataset) => format!("{} has {}", dataset.name, listed(dataset.columns.iter().map(String::as_str))),
        None => "such as SELECT Month, CustomerName".to_owned(),
    };
    Problem::new(place, format!("there is no SELECT *: list the columns; {columns}"))
}

fn function(name: &Name, argument: Option<&str>, dataset: Option<&Dataset>) -> Problem {
    let metrics = || dataset.into_iter().flat_map(|dataset| dataset.metrics.iter().map(String::as_str));
    let instead = match argument.and_then(|argument| nearest(argument, metrics())) {
        Some(metric) => format!("select the metric {metric}"),
        None if metrics().next().is_some() => format!("select a metric: {}", listed(metrics())),
        None => "select a metric, which is an aggregate by itself".to_owned(),
    };
    Problem::new(name.place, format!("there are no functions such as {}(…): {instead}", name.text))
}

fn unknown_range(range: &Name, dataset: &Dataset) -> Option<Problem> {
    let ranges = &dataset.date_ranges;
    if ranges.is_empty() || ranges.iter().any(|known| known.eq_ignore_ascii_case(&range.text)) {
        return None;
    }
    let ranges = listed(ranges.iter().map(String::as_str));
    Some(Problem::new(range.place, format!("{} has no TIMESPAN {}; it has {ranges}", dataset.name, range.text)))
}

/// The first of these names, with commas between them.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names = names;
    let first: Vec<&str> = names.by_ref().take(MOST_LISTED).collect();
    match names.count() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn datasets() -> Vec<Dataset> {
        let texts = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let dataset = |name: &str, columns: &str, metrics: &str, ranges: &str| Dataset {
            name: name.into(),
            columns: texts(columns),
            metrics: texts(metrics),
            date_ranges: texts(ranges),
            minimum_interval_hours: Some(24),
        };
        vec![
            dataset("OfficeUsage", "Month CustomerName Seats", "TotalSeats CustomerCount", "LAST_MONTH LIFETIME"),
            dataset("ResellerPerformance", "ResellerName", "", "LAST_MONTH"),
            dataset("Profile", "City", "", ""),
            dataset("Odd", "", "Count", "LIFETIME"),
        ]
    }

    fn told(text: &str, datasets: &[Dataset]) -> Vec<String> {
        check(&parse(text).unwrap(), datasets).iter().map(Problem::to_string).collect()
    }

    #[test]
    fn all_that_a_dataset_has_not_is_told_at_once_in_the_order_of_the_text() {
        let text = "SELECT Mnoth, *, SUM(Seats),\n COUNT(1) FROM officeusage WHERE Nonsense = 1 ORDER BY customernam TIMESPAN LAST_7_DAYS";

        assert_eq!(
            told(text, &datasets()),
            [
                "line 1, column 8: OfficeUsage has no column or metric Mnoth; did you mean Month?",
                "line 1, column 15: there is no SELECT *: list the columns; OfficeUsage has Month, CustomerName, Seats",
                "line 1, column 18: there are no functions such as SUM(…): select the metric TotalSeats",
                "line 2, column 2: there are no functions such as COUNT(…): select a metric: TotalSeats, CustomerCount",
                "line 2, column 34: OfficeUsage has no column or metric Nonsense; it has Month, CustomerName, Seats, \
                 TotalSeats, CustomerCount",
                "line 2, column 56: OfficeUsage has no column or metric customernam; did you mean CustomerName?",
                "line 2, column 77: OfficeUsage has no TIMESPAN LAST_7_DAYS; it has LAST_MONTH, LIFETIME",
            ]
        );
    }

    #[test]
    fn an_unknown_dataset_is_told_with_what_was_meant() {
        assert_eq!(
            told("SELECT a FROM OfficeUsages", &datasets()),
            ["line 1, column 15: there is no dataset OfficeUsages; did you mean OfficeUsage?"]
        );
        let all = told("SELECT a FROM Q", &datasets());
        assert!(all[0].ends_with("there are OfficeUsage, ResellerPerformance, Profile, Odd"), "{all:?}");
    }

    #[test]
    fn what_is_not_known_is_not_held_against_a_query() {
        for text in [
            "SELECT month, totalseats FROM OFFICEUSAGE TIMESPAN last_month",
            "SELECT ResellerName FROM CloudProductsResellerPerformance TIMESPAN LAST_MONTH",
            "SELECT City FROM Profile TIMESPAN LAST_MONTH",
            "SELECT Whatever FROM Odd WHERE Else = 1 TIMESPAN LIFETIME",
        ] {
            assert_eq!(told(text, &datasets()), Vec::<String>::new(), "{text}");
        }
        assert_eq!(told("SELECT a FROM b TIMESPAN c", &[]), Vec::<String>::new());
        assert_eq!(told("SELECT *, MAX(a) FROM b", &[]).len(), 2);
    }
}
