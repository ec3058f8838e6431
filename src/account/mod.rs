//! Whose Partner Center we speak for: identities, their sealed credentials, and the door to Microsoft.
//!
//! Reads and writes `accounts`. [`session`] is the only way to the API: it hands out tokens, renews them one at a time
//! across all replicas, keeps the account's `Retry-After`, and notices when a person must sign in again. Credentials go in
//! and never come out. Nothing here knows what is asked of the API.

pub mod session;
pub mod store;

use chrono::{DateTime, Utc};
use url::Url;

use crate::field::FieldErrors;
use crate::id::AccountId;
use crate::insights::Program;
use crate::outbound::Guard;
use crate::secret::Secret;

/// Where sign-in is when an account does not say otherwise.
pub const DEFAULT_LOGIN_URL: &str = "https://login.microsoftonline.com";

/// Which API the account is for. The same words as [`Program`], for the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProgramName {
    /// Partner Insights.
    Mpn,
    /// Commercial marketplace analytics.
    Cmp,
}

impl ProgramName {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Mpn => "mpn",
            Self::Cmp => "cmp",
        }
    }

    fn program(self) -> Program {
        match self {
            Self::Mpn => Program::Mpn,
            Self::Cmp => Program::Cmp,
        }
    }
}

/// How the account signs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// With a refresh token that each sign-in replaces.
    RefreshToken,
    /// As an application, with its secret.
    ClientCredentials,
    /// With a user's password: legacy, fails as soon as MFA is asked for.
    Password,
}

impl Grant {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::RefreshToken => "refresh_token",
            Self::ClientCredentials => "client_credentials",
            Self::Password => "password",
        }
    }
}

/// Whether the account can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Yes.
    Active,
    /// Not before a person signs in again; its work waits.
    SignInRequired,
}

/// A Partner Center identity.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// What people call it.
    pub name: String,
    /// Which API it is for.
    pub program: ProgramName,
    /// The directory.
    pub tenant_id: String,
    /// The application.
    pub client_id: String,
    /// How it signs in.
    pub grant: Grant,
    /// Where it signs in.
    pub login_url: Url,
    /// The whole base of the API.
    pub api_url: Url,
    /// The user of the `password` grant.
    pub username: Option<String>,
    /// Whether it can be used.
    pub state: State,
    /// Since when a person must sign in.
    pub sign_in_since: Option<DateTime<Utc>>,
    /// What went wrong last, if the last call did.
    pub last_failure: Option<String>,
    /// No call before.
    pub blocked_until: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// What is asked for when an account is made or changed.
#[derive(Debug, Clone)]
pub struct Draft {
    /// At most 100 characters, unique.
    pub name: String,
    /// Which API.
    pub program: ProgramName,
    /// A GUID or a domain.
    pub tenant_id: String,
    /// The application's id.
    pub client_id: String,
    /// How it signs in.
    pub grant: Grant,
    /// Microsoft's own when not given.
    pub login_url: Option<String>,
    /// The program's own when not given.
    pub api_url: Option<String>,
    /// The `password` grant's user.
    pub username: Option<String>,
    /// The secrets.
    pub credentials: Credentials,
}

/// Secrets as they were given; none means "as before".
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// The application's secret.
    pub client_secret: Option<Secret>,
    /// The refresh token.
    pub refresh_token: Option<Secret>,
    /// The user's password.
    pub password: Option<Secret>,
}

/// A draft whose every field was found right.
#[derive(Debug, Clone)]
pub struct Checked {
    pub(crate) draft: Draft,
    pub(crate) login_url: Url,
    pub(crate) api_url: Url,
}

impl Draft {
    /// Checks every field. With `fresh`, the secrets that the grant needs must be there.
    pub fn check(self, guard: &Guard, fresh: bool) -> Result<Checked, FieldErrors> {
        let mut errors = FieldErrors::default();
        errors.text("name", &self.name, 100);
        for (field, text) in [("tenant_id", &self.tenant_id), ("client_id", &self.client_id)] {
            errors.text(field, text, 200);
            let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
            errors.expect(plain, field, "must hold letters, digits, '-', '.' and '_' only");
        }
        let login = self.login_url.as_deref().unwrap_or(DEFAULT_LOGIN_URL);
        let login_url = callable(&mut errors, "login_url", login, guard);
        let api = self.api_url.as_deref().unwrap_or(self.program.program().default_url());
        let api_url = callable(&mut errors, "api_url", api, guard);
        self.check_credentials(&mut errors, fresh);
        match (login_url, api_url) {
            (Some(login_url), Some(api_url)) => errors.result(Checked { draft: self, login_url, api_url }),
            _ => Err(errors),
        }
    }

    fn check_credentials(&self, errors: &mut FieldErrors, fresh: bool) {
        let given = &self.credentials;
        let needs = |needed: bool, secret: &Option<Secret>| fresh && needed && secret.is_none();
        for (field, needed, secret) in [
            ("client_secret", self.grant == Grant::ClientCredentials, &given.client_secret),
            ("refresh_token", self.grant == Grant::RefreshToken, &given.refresh_token),
            ("password", self.grant == Grant::Password, &given.password),
        ] {
            errors.expect(!needs(needed, secret), field, "is needed for this grant");
            if let Some(secret) = secret {
                let length = secret.expose().len();
                errors.expect((1..=16_384).contains(&length), field, "must have 1 to 16384 bytes");
            }
        }
        let named = self.username.as_deref().is_some_and(|name| !name.trim().is_empty());
        errors.expect(self.grant != Grant::Password || named, "username", "is needed for this grant");
    }
}

fn callable(errors: &mut FieldErrors, field: &str, text: &str, guard: &Guard) -> Option<Url> {
    let url = errors.url(field, text)?;
    match guard.check(&url) {
        Ok(()) => Some(url),
        Err(refused) => {
            errors.add(field, refused.to_string());
            None
        }
    }
}
