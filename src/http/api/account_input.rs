//! An account as it is given: which fields there are, what must be there, and what stays when it is not given.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::account::{Account, Checked, Credentials, Draft, Grant, ProgramName, TokenVersion};
use crate::field::FieldErrors;
use crate::outbound::Guard;
use crate::secret::Secret;

/// An account to be made or changed; when changing, what is not given stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountInput {
    /// Unique, at most 100 characters.
    name: Option<String>,
    /// `mpn` (Partner Insights) or `cmp` (commercial marketplace analytics).
    program: Option<ProgramName>,
    /// The directory: a GUID or a domain.
    tenant_id: Option<String>,
    /// The application.
    client_id: Option<String>,
    /// `refresh_token`, `client_credentials` or `password` (legacy).
    grant: Option<Grant>,
    /// Which token endpoint: 1 (`oauth2/token`, the default) or 2 (`oauth2/v2.0/token`).
    #[schema(value_type = Option<u8>)]
    token_version: Option<TokenVersion>,
    /// Needed for `client_credentials`, and for the others where the application has one.
    #[schema(value_type = Option<String>, write_only)]
    client_secret: Option<Secret>,
    /// In the place of a secret: a certificate and its RSA private key, as one PEM. Of the two the one given last counts.
    #[schema(value_type = Option<String>, write_only)]
    client_certificate: Option<Secret>,
    /// When the secret, or the certificate, runs out: told 14 and 3 days before. To be given again with each new one.
    client_secret_expires_at: Option<DateTime<Utc>>,
    /// For `refresh_token`, where there is one; else a person signs in later. The same value again never replaces one that
    /// was rotated since.
    #[schema(value_type = Option<String>, write_only)]
    refresh_token: Option<Secret>,
    /// Needed for `password`.
    username: Option<String>,
    /// Needed for `password`.
    #[schema(value_type = Option<String>, write_only)]
    password: Option<Secret>,
    /// Microsoft's own when not given; the tenant and the rest of the path are appended.
    login_url: Option<String>,
    /// The whole base of the API; Microsoft's own for the program when not given.
    api_url: Option<String>,
}

impl AccountInput {
    /// A checked new account, or everything that is wrong with it.
    pub(super) fn into_new(self, guard: &Guard) -> Result<Checked, FieldErrors> {
        let mut errors = FieldErrors::default();
        errors.expect(self.program.is_some(), "program", "is needed: mpn or cmp");
        errors.expect(self.grant.is_some(), "grant", "is needed: refresh_token, client_credentials or password");
        let draft = Draft {
            name: self.name.unwrap_or_default(),
            program: self.program.unwrap_or(ProgramName::Mpn),
            tenant_id: self.tenant_id.unwrap_or_default(),
            client_id: self.client_id.unwrap_or_default(),
            // Where it is not given, no secret is said to be missing.
            grant: self.grant.unwrap_or(Grant::RefreshToken),
            token_version: self.token_version.unwrap_or_default(),
            client_secret_expires_at: self.client_secret_expires_at,
            login_url: self.login_url,
            api_url: self.api_url,
            username: self.username,
            credentials: Credentials {
                client_secret: self.client_secret,
                client_certificate: self.client_certificate,
                refresh_token: self.refresh_token,
                password: self.password,
            },
        };
        match draft.check(guard, None) {
            Ok(checked) => errors.result(checked),
            Err(more) => {
                errors.0.extend(more.0);
                Err(errors)
            }
        }
    }

    /// What an account would be with this; the program cannot be changed.
    pub(super) fn into_change(self, account: &Account, guard: &Guard) -> Result<Checked, FieldErrors> {
        let draft = Draft {
            name: self.name.unwrap_or_else(|| account.name.clone()),
            program: self.program.unwrap_or(account.program),
            tenant_id: self.tenant_id.unwrap_or_else(|| account.tenant_id.clone()),
            client_id: self.client_id.unwrap_or_else(|| account.client_id.clone()),
            grant: self.grant.unwrap_or(account.grant),
            token_version: self.token_version.unwrap_or(account.token_version),
            login_url: Some(self.login_url.unwrap_or_else(|| account.login_url.clone().into())),
            api_url: Some(self.api_url.unwrap_or_else(|| account.api_url.clone().into())),
            username: self.username.or_else(|| account.username.clone()),
            client_secret_expires_at: self.client_secret_expires_at.or(account.client_secret_expires_at),
            credentials: Credentials {
                client_secret: self.client_secret,
                client_certificate: self.client_certificate,
                refresh_token: self.refresh_token,
                password: self.password,
            },
        };
        draft.check(guard, Some(account))
    }
}
