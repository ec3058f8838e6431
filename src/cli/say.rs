//! Plain lines for people. Standard output is for what was asked for, standard error for what went wrong and for the log.

use std::io::Write;

/// Prints a line. Nobody may be reading: that is no reason to stop.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Prints a line about one thing, its name in a column of its own.
pub fn about(name: &str, text: &str) {
    line(&format!("  {name:<11}  {text}"));
}

/// Prints a line beside what was asked for, about how it goes.
pub fn aside(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", clean(text));
}

/// Prints an error with its causes, those left out that the text before has told already. Whatever of it came from
/// elsewhere stays text.
pub fn failure(error: &anyhow::Error) {
    let _ = write!(std::io::stderr().lock(), "{}", chain(error));
}

/// A text from elsewhere without what could move the cursor or change the colours.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn chain(error: &anyhow::Error) -> String {
    let (mut text, mut last) = (String::new(), String::new());
    for cause in error.chain().map(|cause| lines(&cause.to_string())).take(20) {
        if text.is_empty() {
            text = format!("error: {cause}\n");
        } else if !last.contains(&cause) {
            text.extend(["  caused by: ", &cause, "\n"]);
        }
        last = cause;
    }
    text
}

/// A text of several lines, each of them clean.
fn lines(text: &str) -> String {
    text.split('\n').map(clean).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_cause_is_told_once() {
        let error =
            anyhow::anyhow!("no such host").context("failed to connect: no such host").context("failed to start");

        assert_eq!(super::chain(&error), "error: failed to start\n  caused by: failed to connect: no such host\n");
    }

    #[test]
    fn a_text_from_elsewhere_can_not_play_with_the_terminal() {
        let error = anyhow::anyhow!("several are called \"\x1b[2J\rgone\u{9b}31m\"\n  \x07name: no");

        assert_eq!(super::chain(&error), "error: several are called \" [2J gone 31m\"\n   name: no\n");
    }
}
