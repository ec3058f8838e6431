//! The data directory and the keys in it.
//!
//! The secret key is made once and never overwritten: what it sealed can be opened by nothing else. Both keys are written
//! aside, so that nobody ever reads half of one, and only their owner can read them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::secret::{Keyring, Secret, hex, random_bytes, random_token};

/// The file of the secret key.
pub(super) const SECRET_KEY: &str = "secret.key";
const ADMIN_KEY: &str = "admin.key";

/// Makes the data directory, if need be, and tells its whole path. Others may pass through it but not look: the database's
/// user is another one when we are root.
pub(super) fn make(data_dir: &Path) -> anyhow::Result<PathBuf> {
    let made = DirBuilder::new().recursive(true).mode(0o711).create(data_dir).and_then(|()| data_dir.canonicalize());
    made.with_context(|| {
        format!(
            "failed to make the data directory {}; set TIDINGS_DATA_DIR to one that can be written",
            data_dir.display()
        )
    })
}

/// Whether there is a secret key in the data directory.
pub(super) fn has_secret_key(data_dir: &Path) -> bool {
    data_dir.join(SECRET_KEY).exists()
}

/// The keys in the data directory, made at the first start.
pub(super) fn keyring(data_dir: &Path) -> anyhow::Result<Keyring> {
    let path = data_dir.join(SECRET_KEY);
    let key =
        read_or_make(&path).with_context(|| format!("failed to read or make the secret key {}", path.display()))?;
    Keyring::parse(&key).with_context(|| {
        format!(
            "{} is damaged: put back the one that the database was used with, or set TIDINGS_SECRET_KEY",
            path.display()
        )
    })
}

/// A fresh admin key for the command line on this machine, and where it was written.
pub(super) fn admin_key(data_dir: &Path) -> anyhow::Result<(Secret, PathBuf)> {
    let (key, path) = (random_token("tdk_"), data_dir.join(ADMIN_KEY));
    let written = write_aside(&path, &key).and_then(|aside| fs::rename(aside, &path));
    written.with_context(|| format!("failed to write the admin key {}", path.display()))?;
    Ok((key, path))
}

/// The admin key that `serve` wrote.
pub(super) fn read_admin_key(data_dir: &Path) -> anyhow::Result<Secret> {
    let path = data_dir.join(ADMIN_KEY);
    let key = fs::read_to_string(&path).with_context(|| {
        format!(
            "no API key: {} can't be read; set TIDINGS_ADMIN_KEY, or TIDINGS_DATA_DIR to the data directory of the service",
            path.display()
        )
    })?;
    Ok(Secret::new(key.trim()))
}

fn read_or_make(path: &Path) -> io::Result<Secret> {
    if !path.try_exists()? {
        let aside = write_aside(path, &Keyring::generate())?;
        // A link, unlike a rename, never replaces the key of somebody who was faster.
        let linked = fs::hard_link(&aside, path);
        fs::remove_file(&aside)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => sync_folder(path)?,
        }
    }
    Ok(Secret::new(fs::read_to_string(path)?.trim()))
}

fn write_aside(path: &Path, key: &Secret) -> io::Result<PathBuf> {
    let aside = path.with_extension(hex(&random_bytes::<8>()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    writeln!(file, "{}", key.expose())?;
    file.sync_all()?;
    Ok(aside)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_secret_key_is_made_once_and_belongs_to_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let home = make(&folder.path().join("data")).unwrap();

        let first = keyring(&home).unwrap();
        let second = keyring(&home).unwrap();

        assert_eq!(first.check_values(), second.check_values());
        assert_eq!((mode(&home), mode(&home.join(SECRET_KEY))), (0o711, 0o600));
        assert_eq!(fs::read_dir(&home).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_secret_key_is_kept_and_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(SECRET_KEY), "half a k").unwrap();

        let error = keyring(folder.path()).unwrap_err();

        assert!(error.to_string().contains("is damaged"), "{error}");
        assert_eq!(fs::read_to_string(folder.path().join(SECRET_KEY)).unwrap(), "half a k");
    }

    #[test]
    fn each_start_has_an_admin_key_of_its_own() {
        let folder = tempfile::tempdir().unwrap();

        let (first, _) = admin_key(folder.path()).unwrap();
        let (second, path) = admin_key(folder.path()).unwrap();

        assert!(!first.matches(&second));
        assert_eq!(fs::read_to_string(&path).unwrap().trim(), second.expose());
        assert_eq!(mode(&path), 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
