//! The query language of the API, read before anything is sent.
//!
//! ```text
//! query := SELECT [DISTINCT] name {"," name} FROM dataset [WHERE cond {AND cond}]
//!          [ORDER BY name [ASC|DESC] {"," …}] [LIMIT n] [TIMESPAN range]
//! cond  := name op value          op := = > < >= <= != LIKE | NOT LIKE | IN | NOT IN
//! value := number | word | 'text' | (value, …)                         a list with IN and NOT IN only
//! ```
//!
//! [`parse`] finds the first thing that breaks this grammar, [`check`] all names that the datasets don't have. Both are pure,
//! say where and what to do about it, and take time and space in proportion to their input: the grammar is flat, so
//! nothing here calls itself. What is not known (no datasets, a dataset that lists no columns or ranges, a new range) is
//! never held against a query: the API has the last word.

mod check;
mod lex;
mod parse;
mod suggest;

pub use check::{check, dataset};
pub use parse::parse;
pub use suggest::nearest;

/// Where something is in a query's text; both count from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The character in it.
    pub column: usize,
}

/// What is wrong with a query, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {}, column {}: {message}", place.line, place.column)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What, and what to do.
    pub message: String,
}

impl Problem {
    fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into() }
    }
}

/// A query that keeps to the grammar: all that names something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    selected: Vec<Selected>,
    dataset: Name,
    /// Columns and metrics of conditions and of the order.
    used: Vec<Name>,
    timespan: Option<Name>,
}

/// A name as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    text: String,
    place: Place,
}

/// One part of what is selected. The last two are mistakes, but only the dataset tells what was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Selected {
    Name(Name),
    Everything(Place),
    Function(Name, Option<String>),
}
