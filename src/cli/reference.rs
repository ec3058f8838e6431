//! Secrets that are named instead of given: `env:NAME` and `file:PATH`. Neither the command line, which everyone on the
//! machine can read, nor a file that is shared with others has to hold one.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use utoipa::ToSchema;

use crate::secret::Secret;

const LARGEST_FILE: u64 = 64 * 1024;

/// Where a secret is: `env:NAME` or `file:PATH`. Shows nothing of itself, for what should be a reference may be the secret.
#[derive(Clone, serde::Deserialize, serde::Serialize, ToSchema)]
#[serde(transparent)]
#[schema(pattern = "^(env|file):.+")]
pub(super) struct Reference(pub(super) String);

impl From<String> for Reference {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Reference {
    /// The secret. Paths begin in `folder`.
    pub(super) fn read(&self, folder: &Path) -> Result<Secret, String> {
        let text = match (self.0.strip_prefix("env:"), self.0.strip_prefix("file:")) {
            (Some(name), _) => {
                std::env::var(name.trim()).map_err(|_| format!("{name} is not set in the environment"))?
            }
            (_, Some(path)) => read(&folder.join(path.trim())).map_err(|error| format!("{path}: {error}"))?,
            _ => return Err("must say where the secret is: env:NAME or file:PATH".into()),
        };
        match text.trim() {
            "" => Err(format!("{} is empty", self.0)),
            secret => Ok(Secret::new(secret)),
        }
    }

    /// Whether it names a place, and is no plain text.
    pub(super) fn is_one(text: &str) -> bool {
        text.starts_with("env:") || text.starts_with("file:")
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LARGEST_FILE).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, folder: &Path) -> Result<String, String> {
        Reference(text.to_owned()).read(folder).map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn a_secret_is_read_where_it_is_and_a_plain_one_is_refused_without_being_told() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "s3cret\n").unwrap();
        std::fs::write(folder.path().join("empty"), " \n").unwrap();

        assert_eq!(read("file:token", folder.path()), Ok("s3cret".to_owned()));
        assert!(read("env:PATH", folder.path()).is_ok());
        assert_eq!(read("file:empty", folder.path()), Err("file:empty is empty".to_owned()));
        assert!(read("env:TIDINGS_NO_SUCH_THING", folder.path()).unwrap_err().contains("is not set"));
        assert!(read("file:missing", folder.path()).unwrap_err().starts_with("missing: "));
        assert!(!read("hunter2", folder.path()).unwrap_err().contains("hunter2"));
    }
}
