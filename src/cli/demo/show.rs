//! How the story looks: one line a step, with the time since the start; ticks and colours on a terminal only.

use std::io::IsTerminal;

use tokio::time::Instant;

use crate::cli::say;

const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
const END: &str = "\x1b[0m";

/// Prints the story as it happens.
pub(super) struct Show {
    began: Instant,
    colours: bool,
}

impl Show {
    /// Begins to count the time.
    pub(super) fn begin() -> Self {
        let no_colours = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let show = Self { began: Instant::now(), colours: std::io::stdout().is_terminal() && !no_colours };
        show.heading("Tidings: from a report that is ready to everyone who asked, on this machine alone");
        show
    }

    /// Something happened.
    pub(super) fn step(&self, what: &str, detail: &str) {
        let seconds = self.began.elapsed().as_secs_f64();
        let tick = self.coloured(GREEN, if self.colours { " ✓" } else { "" });
        let time = self.coloured(DIM, &format!("{seconds:7.3} s"));
        // Padded before it is coloured: the codes would count as letters.
        say::line(&format!("{time}{tick}  {}  {detail}", self.coloured(BOLD, &format!("{what:<19}"))));
    }

    /// Something to know.
    pub(super) fn note(&self, text: &str) {
        say::line(&self.coloured(DIM, &format!("  {text}")));
    }

    /// What comes next.
    pub(super) fn heading(&self, text: &str) {
        say::line(&self.coloured(BOLD, text));
    }

    /// The last words before waiting.
    pub(super) fn stays_up(&self, failure: Option<&anyhow::Error>) {
        if let Some(failure) = failure {
            say::line(&self.coloured(RED, &format!("The story broke off: {failure:#}")));
        }
        say::line("Everything stays up until ^C; the report runs again and again.");
    }

    fn coloured(&self, colour: &str, text: &str) -> String {
        if self.colours { format!("{colour}{text}{END}") } else { text.to_owned() }
    }
}
