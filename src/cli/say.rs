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

/// Prints an error with its causes, those left out that the text before has told already.
pub fn failure(error: &anyhow::Error) {
    let _ = write!(std::io::stderr().lock(), "{}", chain(error));
}

/// A text from elsewhere without what could move the cursor or change the colours.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn chain(error: &anyhow::Error) -> String {
    let (mut text, mut last) = (String::new(), String::new());
    for cause in error.chain().map(ToString::to_string).take(20) {
        if text.is_empty() {
            text = format!("error: {cause}\n");
        } else if !last.contains(&cause) {
            text.extend(["  caused by: ", &cause, "\n"]);
        }
        last = cause;
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_cause_is_told_once() {
        let error =
            anyhow::anyhow!("no such host").context("failed to connect: no such host").context("failed to start");

        assert_eq!(super::chain(&error), "error: failed to start\n  caused by: failed to connect: no such host\n");
    }
}
