//! The papers of the project, held to what they say: the story by curl is run as it is printed, and what they name exists.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::support::database::fresh;

const README: &str = include_str!("../../README.md");
const ARCHITECTURE: &str = include_str!("../../ARCHITECTURE.md");
const CONTRIBUTING: &str = include_str!("../../CONTRIBUTING.md");
const COMPOSE: &str = include_str!("../../docker-compose.yml");
const KEY: &str = "a-key-only-for-trying-this";
const PATIENCE: Duration = Duration::from_mins(2);

/// A command of ours that runs until it is dropped, and the lines that it prints.
struct Running {
    _process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut process = tidings(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { _process: process, lines }
    }

    /// What stands behind `name` in the first line that begins with it.
    async fn said(&mut self, name: &str) -> String {
        let line = async {
            loop {
                let line = self.lines.next_line().await.unwrap().expect("it ended before it said that");
                if let Some(text) = line.trim().strip_prefix(name).filter(|text| text.starts_with(' ')) {
                    return text.trim().to_owned();
                }
            }
        };
        tokio::time::timeout(PATIENCE, line).await.expect("it says that in time")
    }
}

/// A command of ours, with no settings of whoever runs the tests.
fn tidings(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
    command.args(arguments).env_remove("DATABASE_URL");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIDINGS_")) {
        command.env_remove(name);
    }
    command
}

/// The blocks of shell below a heading, as one script.
fn script(heading: &str) -> String {
    let section = README.split_once(&format!("\n## {heading}\n")).unwrap().1;
    let section = section.split("\n## ").next().unwrap();
    let blocks = section.split("\n```sh\n").skip(1).map(|rest| rest.split_once("\n```").unwrap().0);
    blocks.collect::<Vec<_>>().join("\n")
}

/// Runs a script as bash would in `folder`, ending at the first line that fails.
async fn bash(script: &str, folder: &Path) -> Output {
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", script]).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    tokio::time::timeout(PATIENCE, bash.output()).await.expect("the script ends in time").unwrap()
}

/// The items of a list of the admin API.
async fn list(service: &str, path: &str) -> Vec<Value> {
    let answer = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
    let answer = answer.get(format!("{service}/api/v1/{path}")).bearer_auth(KEY).send().await.unwrap();
    let body: Value = answer.json().await.unwrap();
    body["items"].as_array().unwrap().clone()
}

/// All deliveries, once none of them is pending.
async fn settled_deliveries(service: &str) -> Vec<Value> {
    let settled = async {
        loop {
            let deliveries = list(service, "deliveries").await;
            if !deliveries.is_empty() && deliveries.iter().all(|delivery| delivery["state"] != "pending") {
                return deliveries;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.expect("the deliveries settle in time")
}

#[tokio::test]
async fn the_story_by_curl_comes_true_as_it_is_printed() {
    let (database, folder) = (fresh().await, TempDir::new().unwrap());
    let mut sandbox = Running::start(&["sandbox", "--listen", "127.0.0.1:0", "--smtp-listen", "127.0.0.1:0"], &[]);
    let page = sandbox.said("page").await;
    let mail = sandbox.said("mail").await;
    let data = folder.path().join("data");
    let mut service = Running::start(
        &["serve"],
        &[
            ("TIDINGS_LISTEN", "127.0.0.1:0"),
            ("TIDINGS_ADMIN_KEY", KEY),
            ("TIDINGS_ALLOW_NETWORKS", "127.0.0.0/8"),
            ("TIDINGS_SMTP_URL", &mail),
            ("TIDINGS_MAIL_FROM", "tidings@example.com"),
            ("TIDINGS_DATABASE_URL", &database.url()),
            ("TIDINGS_DATA_DIR", data.to_str().unwrap()),
            ("TIDINGS_LOG", "warn"),
        ],
    );
    let address = service.said("listening").await;
    let printed = script("The story by curl");
    let (ours, theirs) = ("TIDINGS=http://127.0.0.1:8080 ", "SANDBOX=http://127.0.0.1:8090 ");
    assert!(printed.contains(ours) && printed.contains(theirs) && printed.contains(KEY), "{printed}");
    let played = printed
        .replace(ours, &format!("TIDINGS={address} "))
        .replace(theirs, &format!("SANDBOX={} ", page.strip_suffix("/sandbox").unwrap()));

    let output = bash(&played, folder.path()).await;

    let (said, complaints) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{complaints}");
    for part in ["\"ok\":true", "\"verdict\":\"accepted\"", "\"attempts\":[{", "\"kind\":\"report.ready\""] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    let executions = list(&address, "executions").await;
    assert_eq!(executions.len(), 1, "{executions:?}");
    assert_eq!(executions[0]["state"], "stored");
    let file = std::fs::read_to_string(folder.path().join("office-usage.csv")).unwrap();
    assert_eq!(file.lines().next(), Some("CustomerName,Month,MonthlyActiveUsers"));
    assert_eq!(file.len() as u64, executions[0]["file"]["size_bytes"].as_u64().unwrap());
    let deliveries = settled_deliveries(&address).await;
    assert_eq!(deliveries.len(), 4, "{deliveries:?}");
    assert!(deliveries.iter().all(|delivery| delivery["state"] == "delivered"), "{deliveries:?}");
}

/// Words of a text that begin with `beginning` and go on with what `part` takes.
fn words(text: &'static str, beginning: &str, part: impl Fn(char) -> bool) -> BTreeSet<&'static str> {
    let starts = text.match_indices(beginning).map(|(at, _)| &text[at..]);
    starts.map(|rest| rest.split(|c| !part(c)).next().unwrap_or_default()).collect()
}

#[tokio::test]
async fn every_setting_that_the_papers_name_is_one_of_ours() {
    let mut help = String::new();
    for command in ["serve", "status"] {
        let output = tidings(&[command, "--help"]).output().await.unwrap();
        help.push_str(&String::from_utf8(output.stdout).unwrap());
    }
    let is_part = |c: char| c.is_ascii_uppercase() || c == '_';
    let known: BTreeSet<String> =
        help.split(|c| !is_part(c)).filter(|word| word.starts_with("TIDINGS_")).map(str::to_owned).collect();

    let named = words(README, "TIDINGS_", is_part).into_iter().chain(words(COMPOSE, "TIDINGS_", is_part));
    let unknown: BTreeSet<_> = named.filter(|name| *name != "TIDINGS_" && !known.contains(*name)).collect();

    assert!(known.contains("TIDINGS_LISTEN"), "{help}");
    assert!(unknown.is_empty(), "{unknown:?} is no setting of tidings");
}

#[tokio::test]
async fn every_command_that_the_readme_names_exists() {
    let starts = ["\ntidings ", "`tidings ", "\ncargo run -- "];
    let named = starts.iter().flat_map(|start| README.split(start).skip(1));
    let commands: BTreeSet<&str> =
        named.filter_map(|rest| rest.split(|c: char| !c.is_ascii_lowercase()).next()).collect();

    for command in &commands {
        let help = tidings(&[command, "--help"]).output().await.unwrap();
        assert!(help.status.success(), "{command} is no command");
    }
    assert!(commands.is_superset(&BTreeSet::from(["demo", "serve", "sandbox"])), "{commands:?}");
}

#[test]
fn every_file_that_the_papers_name_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let mut named = 0;
    for paper in [README, ARCHITECTURE, CONTRIBUTING] {
        for start in ["`src/", "`tests/", "`deploy/", "`migrations/", "`.ci/"] {
            for word in words(paper, start, |c| is_part(c) || c == '`') {
                let path = word.trim_matches('`').split('`').next().unwrap_or_default();
                assert!(root.join(path).exists(), "{path} is named and does not exist");
                named += 1;
            }
        }
    }
    assert!(named > 20, "only {named} files are named");
}
