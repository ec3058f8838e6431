//! The server binaries that this machine already has.
//!
//! The newest usable major wins for a new cluster; a cluster that exists can be opened by its own major only. Each candidate is
//! asked for its version as the database user, so that one which that user can't run is passed over.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::place::Place;
use super::process;

/// The oldest major that our SQL runs on.
pub(super) const OLDEST_MAJOR: u32 = 15;
const ASK_LIMIT: Duration = Duration::from_secs(20);
/// More directories than any machine has Postgres installed in, `PATH` included.
const CANDIDATES_MAX: usize = 64;

/// Where packages put the binaries that they keep out of `PATH`; one `*` stands for the version.
const USUAL: [&str; 8] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
];

/// A directory with `postgres` and `initdb` in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    /// The directory.
    pub dir: PathBuf,
    /// What `postgres --version` says, without the name.
    pub version: String,
    /// The major version.
    pub major: u32,
}

/// The directories to look in: `only`, where it is set, else all usual places; and those that were fetched into this place.
pub(super) fn candidates(only: Option<&Path>, place: &Place) -> Vec<PathBuf> {
    let mut found = match only {
        Some(dir) => vec![dir.to_owned()],
        None => installed(),
    };
    found.extend(super::fetch::fetched(&place.base));
    found.retain(|dir| dir.join("postgres").exists() && dir.join("initdb").exists());
    found.truncate(CANDIDATES_MAX);
    found
}

/// The best of the candidates: of major `needed`, where a cluster exists, else the newest. When none will do, why not.
pub(super) async fn best(candidates: &[PathBuf], place: &Place, needed: Option<u32>) -> Result<Binaries, String> {
    let mut best: Option<Binaries> = None;
    let mut passed_over = Vec::new();
    for dir in candidates {
        match ask(dir, place).await {
            Ok(found) if !usable(found.major, needed) => {
                passed_over.push(format!("{} in {}", found.version, dir.display()));
            }
            Ok(found) if best.as_ref().is_none_or(|best| found.major > best.major) => best = Some(found),
            Ok(_) => {}
            Err(why) => passed_over.push(format!("{}: {why}", dir.display())),
        }
    }
    best.ok_or_else(|| {
        if passed_over.is_empty() { "none found".into() } else { format!("passed over {}", passed_over.join(", ")) }
    })
}

fn usable(major: u32, needed: Option<u32>) -> bool {
    needed.map_or(major >= OLDEST_MAJOR, |needed| major == needed)
}

async fn ask(dir: &Path, place: &Place) -> Result<Binaries, String> {
    let said = process::run(place.command(&dir.join("postgres")).arg("--version"), ASK_LIMIT).await?;
    let (version, major) = parse_version(&said).ok_or("says no version")?;
    Ok(Binaries { dir: dir.to_owned(), version, major })
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian …)`, also `19beta1`.
fn parse_version(said: &str) -> Option<(String, u32)> {
    let version = said.split_once("(PostgreSQL)")?.1.split_whitespace().next()?;
    let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    Some((version.to_owned(), version[..digits].parse().ok()?))
}

fn installed() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let absolute = std::env::split_paths(&path).filter(|dir| dir.is_absolute());
    absolute.chain(USUAL.iter().flat_map(|pattern| expand(pattern))).collect()
}

/// The directories that a pattern with at most one `*` stands for.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else { return vec![pattern.into()] };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let Ok(entries) = std::fs::read_dir(parent) else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix))
        .map(|name| PathBuf::from(format!("{parent}/{name}{after}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_in_every_form_that_servers_print() {
        for (said, version, major) in [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", "15.18", 15),
            ("postgres (PostgreSQL) 18.4", "18.4", 18),
            ("postgres (PostgreSQL) 19beta1\n", "19beta1", 19),
        ] {
            assert_eq!(parse_version(said), Some((version.to_owned(), major)));
        }
        assert_eq!(parse_version("postgres 9"), None);
    }

    #[test]
    fn a_cluster_is_opened_by_its_own_major_and_a_new_one_by_any_from_15_on() {
        assert!(usable(15, None) && usable(18, None) && !usable(14, None));
        assert!(usable(16, Some(16)) && !usable(17, Some(16)));
    }

    #[test]
    fn a_pattern_stands_for_the_directories_that_match() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["postgresql@16", "postgresql@17", "python@3"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }

        let mut found = expand(&format!("{}/postgresql@*/bin", dir.path().display()));
        found.sort();

        assert_eq!(found, [dir.path().join("postgresql@16/bin"), dir.path().join("postgresql@17/bin")]);
        assert!(expand("/nowhere/at-all-*/bin").is_empty());
    }

    #[tokio::test]
    async fn the_newest_major_wins_and_what_is_passed_over_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place { base: dir.path().to_owned(), user: None, barrier: None };
        let fakes = ["14.2", "15.1", "17.3"].map(|version| fake(dir.path(), version));

        assert_eq!(best(&fakes, &place, None).await.unwrap().version, "17.3");
        assert_eq!(best(&fakes, &place, Some(15)).await.unwrap().version, "15.1");
        let why = best(&fakes, &place, Some(16)).await.unwrap_err();
        assert!(why.contains("14.2") && why.contains("17.3"), "{why}");
    }

    fn fake(dir: &Path, version: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let bin = dir.join(version);
        std::fs::create_dir(&bin).unwrap();
        let postgres = bin.join("postgres");
        std::fs::write(&postgres, format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")).unwrap();
        std::fs::set_permissions(&postgres, std::fs::Permissions::from_mode(0o755)).unwrap();
        bin
    }
}
