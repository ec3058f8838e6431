//! Secrets that are named instead of given: `env:NAME` and `file:PATH`. Neither the command line, which everyone on the
//! machine can read, nor a file that is shared with others has to hold one.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::secret::Secret;

const LARGEST_FILE: usize = 64 * 1024;
const NO_PLACE: &str = "must say where the secret is: env:NAME or file:PATH";
/// Fields that are never given as they are.
pub(super) const SECRETS: [&str; 4] = ["client_secret", "client_certificate", "refresh_token", "password"];

/// Where a secret is: `env:NAME` or `file:PATH`. Shows nothing of itself, for what should be a reference may be the secret.
#[derive(Clone, serde::Serialize, ToSchema)]
#[serde(transparent)]
#[schema(pattern = "^(env|file):.+")]
pub(super) struct Reference(pub(super) String);

/// Whatever else is given may be the secret itself: it is not told.
impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            _ => Err(D::Error::custom(NO_PLACE)),
        }
    }
}

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
            _ => return Err(NO_PLACE.into()),
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
    File::open(path)?.take(LARGEST_FILE as u64 + 1).read_to_string(&mut text)?;
    if text.len() > LARGEST_FILE {
        return Err(std::io::Error::other(format!("is larger than {LARGEST_FILE} bytes")));
    }
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
        std::fs::write(folder.path().join("large"), "x".repeat(LARGEST_FILE + 1)).unwrap();

        assert_eq!(read("file:token", folder.path()), Ok("s3cret".to_owned()));
        assert!(read("env:PATH", folder.path()).is_ok());
        assert_eq!(read("file:empty", folder.path()), Err("file:empty is empty".to_owned()));
        assert_eq!(read("file:large", folder.path()), Err("large: is larger than 65536 bytes".to_owned()));
        assert!(read("env:TIDINGS_NO_SUCH_THING", folder.path()).unwrap_err().contains("is not set"));
        assert!(read("file:missing", folder.path()).unwrap_err().starts_with("missing: "));
        assert!(!read("hunter2", folder.path()).unwrap_err().contains("hunter2"));
    }

    #[test]
    fn what_is_no_text_is_refused_without_being_told() {
        for given in ["8675309", "true", "[8675309]", "{\"a\": 8675309}", "86.75309"] {
            let Err(error) = serde_json::from_str::<Reference>(given) else { panic!("{given} was taken") };

            assert!(error.to_string().starts_with(NO_PLACE), "{error}");
            assert!(!error.to_string().contains(given) && !error.to_string().contains("8675309"), "{error}");
        }
    }
}
