//! What is said of a plan and of its steps: lines for people, one document for machines.

use std::io::IsTerminal;

use serde_json::{Value, json};

use super::plan::{Act, Step};
use super::wanted::Kind;
use crate::cli::say;

const COLOURS: [(char, &str); 3] = [('+', "\x1b[32m"), ('~', "\x1b[33m"), ('-', "\x1b[31m")];
const PLAIN: &str = "\x1b[0m";

/// How it is said, and what a machine is told at the end.
pub(super) struct Show {
    json: bool,
    colours: bool,
    done: Vec<Value>,
}

impl Act {
    /// Whether it changes anything.
    pub(super) fn does_something(&self) -> bool {
        !matches!(self, Self::Keep { .. } | Self::Leave { .. })
    }

    /// The word for it when it is done.
    pub(super) fn done(&self) -> &'static str {
        match self {
            Self::Create { .. } => "made",
            Self::Change { .. } => "changed",
            Self::Retry { .. } => "tried again",
            Self::Remove { .. } => "removed",
            Self::Keep { .. } | Self::Leave { .. } => "touched",
        }
    }
}

impl Show {
    pub(super) fn new(json: bool) -> Self {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { json, colours, done: Vec::new() }
    }

    /// Says what will be done.
    pub(super) fn plan(&self, steps: &[Step]) {
        if self.json {
            return;
        }
        for Step { name, act } in steps {
            let what = format!("{:<12} {}", name.kind, say::clean(&name.qualified()));
            match act {
                Act::Create { .. } => self.line('+', &what),
                Act::Change { changes, warnings, .. } => {
                    self.line('~', &what);
                    for change in changes {
                        let (old, new) = (say::clean(&change.old), say::clean(&change.new));
                        say::line(&format!("      {}: {old} → {new}", change.field));
                    }
                    for warning in warnings {
                        say::line(&format!("      ! {}", say::clean(warning)));
                    }
                }
                Act::Retry { refused, .. } => {
                    self.line('~', &what);
                    say::line(&format!("      ! is tried again; it was refused: {}", say::clean(refused)));
                }
                Act::Remove { .. } => self.line('-', &what),
                Act::Leave { because, .. } => say::line(&format!("  ?  {what}  (not in the file: {because})")),
                Act::Keep { .. } => {}
            }
        }
        let count = |of: fn(&Act) -> bool| steps.iter().filter(|step| of(&step.act)).count();
        let kept = count(|act| matches!(act, Act::Keep { .. }));
        if steps.iter().any(|step| step.act.does_something()) {
            let (new, changed) =
                (count(|act| matches!(act, Act::Create { .. })), count(|act| matches!(act, Act::Change { .. })));
            let gone = count(|act| matches!(act, Act::Remove { .. }));
            let again = count(|act| matches!(act, Act::Retry { .. }));
            let again = if again > 0 { format!(", to try again {again}") } else { String::new() };
            say::line(&format!(
                "To make {new}, to change {changed}{again}, to remove {gone}; {kept} as they shall be."
            ));
        } else {
            say::line(&format!("Nothing to do: {kept} as they shall be."));
        }
        for step in steps {
            if let Act::Keep { concern: Some(concern), .. } = &step.act {
                say::line(&format!("  !  {}", say::clean(concern)));
            }
        }
    }

    /// Says that a step is done, with what the service shows this once.
    pub(super) fn done(&mut self, step: &Step, answer: &Value) {
        let secret = answer["secret"].as_str();
        if self.json {
            let done = json!({ "kind": step.name.kind, "name": step.name.qualified(), "done": step.act.done(),
                               "id": answer["id"], "warnings": answer["warnings"], "secret": secret });
            self.done.push(done);
            return;
        }
        say::line(&format!("{:<8} {}", step.act.done(), say::clean(&step.name.to_string())));
        if let (Some(secret), Kind::Subscription) = (secret, step.name.kind) {
            say::line(&format!("         its calls are signed with {secret} (shown this once: keep it)"));
        }
        for warning in answer["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            say::line(&format!("         {}", say::clean(warning)));
        }
        if answer["state"] == "sign_in_required" && answer["grant"] == "refresh_token" {
            let name = say::clean(&step.name.own);
            say::line(&format!("         a person must sign in: tidings account sign-in \"{name}\""));
        }
    }

    /// Says what became of a report.
    pub(super) fn report(&self, name: &str, what: &str) {
        if !self.json {
            say::line(&say::clean(&format!("report   {name} {what}")));
        }
    }

    /// Tells a machine all of it.
    pub(super) fn document(&mut self, steps: &[Step], dry_run: bool) -> serde_json::Result<()> {
        if self.json {
            let document = json!({ "dry_run": dry_run, "plan": steps, "done": std::mem::take(&mut self.done) });
            say::line(&serde_json::to_string_pretty(&document)?);
        }
        Ok(())
    }

    fn line(&self, sign: char, what: &str) {
        let colour = COLOURS.iter().find(|(of, _)| *of == sign).map_or("", |(_, colour)| colour);
        let (colour, plain) = if self.colours { (colour, PLAIN) } else { ("", "") };
        say::line(&format!("  {colour}{sign}  {what}{plain}"));
    }
}
