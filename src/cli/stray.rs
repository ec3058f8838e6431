//! Settings in the environment that nobody reads, as their names are written wrong.

use std::collections::BTreeSet;

use clap::CommandFactory;

use super::Cli;
use crate::insights::language::nearest;

const OURS: &str = "TIDINGS_";
/// What others set: our tests and benches, and Kubernetes and Docker beside a service that is called tidings.
const OF_OTHERS: [&str; 6] = ["TEST_", "FAULT_", "FUZZ_", "BENCH_", "SERVICE_", "PORT"];

/// Warns of each variable that looks like a setting and is none. Their values are told to nobody.
pub(super) fn warn() {
    let known = known();
    let set = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for told in set.filter_map(|name| stray(&name, &known)) {
        tracing::warn!("{told}");
    }
}

/// The variables that any command reads.
fn known() -> BTreeSet<String> {
    let (mut known, mut commands) = (BTreeSet::new(), vec![Cli::command()]);
    while let Some(command) = commands.pop() {
        let variables = command.get_arguments().filter_map(|argument| argument.get_env()?.to_str());
        known.extend(variables.map(str::to_owned));
        commands.extend(command.get_subcommands().cloned());
    }
    known
}

/// What is to be told of a variable, if it is none that is known.
fn stray(name: &str, known: &BTreeSet<String>) -> Option<String> {
    let own = name.strip_prefix(OURS)?;
    if known.contains(name) || OF_OTHERS.iter().any(|other| own.starts_with(other)) {
        return None;
    }
    let near = nearest(own, known.iter().filter_map(|known| known.strip_prefix(OURS)));
    let instead = near.map(|near| format!("; did you mean {OURS}{near}?")).unwrap_or_default();
    Some(format!("{name} is set, but there is no such setting{instead}"))
}

#[cfg(test)]
mod tests {
    use super::{known, stray};

    #[test]
    fn a_variable_is_told_where_no_command_reads_it() {
        let known = known();
        for (name, told) in [
            ("TIDINGS_PUBLIC_ULR", Some("; did you mean TIDINGS_PUBLIC_URL?")),
            ("TIDINGS_SMTP", Some("; did you mean TIDINGS_SMTP_URL?")),
            ("TIDINGS_COLOUR_OF_THE_MOON", Some("no such setting")),
            ("TIDINGS_URL", None),
            ("TIDINGS_ADMIN_KEY", None),
            ("TIDINGS_ADMIN_KEY_FILE", None),
            ("TIDINGS_PORT_8080_TCP", None),
            ("PATH", None),
        ] {
            let found = stray(name, &known);

            assert_eq!(found.is_some(), told.is_some(), "{name}");
            assert!(found.unwrap_or_default().ends_with(told.unwrap_or_default()), "{name}");
        }
    }
}
