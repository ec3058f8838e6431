//! Whose Partner Center we speak for: identities, their sealed credentials, and the door to Microsoft.
//!
//! Reads and writes `accounts` and `sign_ins`. [`session`] is the only way to the API: it hands out tokens, renews them one
//! at a time across all replicas, keeps the account's `Retry-After`, and notices when a person must sign in again;
//! [`sign_in`] lets a person do that with a short code, and [`expiring`] tells it ahead of time. Credentials go in and never
//! come out. Nothing here knows what is asked of the API.

mod draft;
pub mod expiring;
mod renew;
pub mod session;
pub mod sign_in;
pub mod store;
pub mod verify;

use chrono::{DateTime, TimeDelta, Utc};
use url::Url;

use crate::id::AccountId;
use crate::insights::{self, Program};

pub use draft::{Checked, Credentials, Draft};

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

/// A refresh token that is not used for so long is not good any more.
const REFRESH_LIFE: TimeDelta = TimeDelta::days(90);

/// How the account signs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// With a refresh token that each sign-in replaces.
    RefreshToken,
    /// As an application, with its secret or certificate.
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

/// Which version of the token endpoint the account signs in at. A plain number outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum TokenVersion {
    /// `oauth2/token`.
    #[default]
    One,
    /// `oauth2/v2.0/token`.
    Two,
}

impl From<TokenVersion> for u8 {
    fn from(version: TokenVersion) -> Self {
        match version {
            TokenVersion::One => 1,
            TokenVersion::Two => 2,
        }
    }
}

impl TryFrom<u8> for TokenVersion {
    type Error = &'static str;

    fn try_from(number: u8) -> Result<Self, Self::Error> {
        match number {
            1 => Ok(Self::One),
            2 => Ok(Self::Two),
            _ => Err("must be 1 or 2"),
        }
    }
}

impl TokenVersion {
    fn endpoint(self) -> insights::TokenVersion {
        match self {
            Self::One => insights::TokenVersion::V1,
            Self::Two => insights::TokenVersion::V2,
        }
    }
}

/// Whether the account can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AccountState)]
pub enum State {
    /// Yes.
    Active,
    /// Not before a person signs in again, or it gets a good credential; its work waits.
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
    /// At which version of the token endpoint.
    pub token_version: TokenVersion,
    /// Where it signs in.
    pub login_url: Url,
    /// The whole base of the API.
    pub api_url: Url,
    /// The user of the `password` grant.
    pub username: Option<String>,
    /// Whether a client secret or a certificate is kept.
    pub has_proof: bool,
    /// Whether a password is kept.
    pub has_password: bool,
    /// Whether it can be used.
    pub state: State,
    /// Since when it cannot sign in.
    pub sign_in_since: Option<DateTime<Utc>>,
    /// What went wrong last, if the last call did.
    pub last_failure: Option<String>,
    /// No call before.
    pub blocked_until: Option<DateTime<Utc>>,
    /// Calls that failed one after another because the service was away.
    pub failures: u32,
    /// Counts changes of identity and credentials.
    pub credentials_version: i64,
    /// When the client secret, or the certificate, runs out, where that was said.
    pub client_secret_expires_at: Option<DateTime<Utc>>,
    /// When the refresh token was last renewed.
    pub refreshed_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl Account {
    /// When the sign-in ends if its refresh token is not used until then.
    pub fn sign_in_expires_at(&self) -> Option<DateTime<Utc>> {
        self.refreshed_at.filter(|_| self.grant == Grant::RefreshToken).map(|at| at + REFRESH_LIFE)
    }

    /// What mends a refused sign-in where no person signs in: another credential, and how it is given.
    pub(crate) fn credential_wanted(&self) -> Option<String> {
        let (what, options) = match self.grant {
            Grant::RefreshToken => return None,
            Grant::ClientCredentials => {
                ("client secret or certificate", "--client-secret env:NAME (or --client-certificate file:PATH)")
            }
            Grant::Password => ("password", "--password env:NAME"),
        };
        Some(format!("give it the right {what}: tidings account change \"{}\" {options}", self.name))
    }

    /// What works now and may not for long, or not for everything; a sentence each.
    pub fn warnings(&self) -> Vec<&'static str> {
        let mut warnings = Vec::new();
        if self.grant == Grant::Password {
            warnings.push(
                "the grant password is legacy: it fails as soon as the user must use multi-factor authentication, which \
                 Partner Center demands since 2026; use refresh_token and sign in once",
            );
        }
        match (self.program, self.grant) {
            (ProgramName::Mpn, Grant::ClientCredentials) => warnings.push(
                "Partner Insights (mpn) wants an application together with a user: with client_credentials there is no \
                 user, and the API may refuse; use refresh_token",
            ),
            (ProgramName::Cmp, Grant::RefreshToken | Grant::Password) => warnings.push(
                "commercial marketplace analytics (cmp) is documented for applications alone; use client_credentials",
            ),
            _ => {}
        }
        warnings
    }
}
