//! Secrets that are named instead of given: `env:NAME` and `file:PATH`. Neither the command line, which everyone on the
//! machine can read, nor a file that is shared with others has to hold one.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::secret::Secret;

const LARGEST_FILE: u64 = 64 * 1024;
/// Fields that are never given as they are.
pub(super) const SECRETS: [&str; 4] = ["client_secret", "client_certificate", "refresh_token", "password"];

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
}

/// Puts secrets in the place of what names them in a body for the admin API. Tells the fields that name none, and why.
pub(super) fn resolve(body: &mut Map<String, Value>, folder: &Path) -> Vec<(String, String)> {
    let mut wrong = Vec::new();
    let mut read = |field: &str, value: &mut Value| {
        let Some(text) = value.as_str() else { return };
        match Reference(text.to_owned()).read(folder) {
            Ok(secret) => *value = secret.expose().into(),
            Err(message) => wrong.push((field.to_owned(), message)),
        }
    };
    for field in SECRETS {
        if let Some(value) = body.get_mut(field) {
            read(field, value);
        }
    }
    // An endpoint may be no secret: one can be given as it is, too.
    let url = body.get_mut("endpoint").and_then(|endpoint| endpoint.get_mut("url"));
    let names_a_place =
        |url: &Value| url.as_str().is_some_and(|text| text.starts_with("env:") || text.starts_with("file:"));
    if let Some(url) = url.filter(|url| names_a_place(url)) {
        read("endpoint.url", url);
    }
    wrong
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
