//! What is wrong with a file of intent: each with its line, all in one go.

use std::fmt;
use std::path::Path;

/// Everything wrong with one file.
#[derive(Debug, Default)]
pub(super) struct Problems {
    file: String,
    found: Vec<(u64, String)>,
}

impl Problems {
    /// Of the file at `path`, none so far.
    pub(super) fn of(path: &Path) -> Self {
        Self { file: path.display().to_string(), found: Vec::new() }
    }

    /// Notes what is wrong with `place`, which begins at `line`.
    pub(super) fn add(&mut self, line: u64, place: &str, what: &str) {
        self.found.push((line, format!("{place}: {what}")));
    }

    /// Whether anything was noted of what stands at `place`.
    pub(super) fn is_about(&self, place: &str) -> bool {
        self.found.iter().any(|(_, what)| what.starts_with(place))
    }

    /// Fails with all that was noted.
    pub(super) fn none(&mut self) -> Result<(), Self> {
        if self.found.is_empty() { Ok(()) } else { Err(std::mem::take(self)) }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, verb) = (self.found.len(), if self.found.len() == 1 { "thing is" } else { "things are" });
        write!(f, "{count} {verb} wrong with {}; nothing was changed", self.file)?;
        let mut sorted: Vec<_> = self.found.iter().collect();
        sorted.sort_by_key(|(line, _)| *line);
        sorted.iter().try_for_each(|(line, what)| write!(f, "\n  {}:{line}: {what}", self.file))
    }
}

impl std::error::Error for Problems {}
