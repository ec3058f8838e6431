//! What is asked for when an account is made or changed, and the rules it must keep, so that a wrong one is refused here,
//! by field, before anything is sent.

use chrono::{DateTime, SubsecRound, Utc};
use url::Url;

use super::{Account, DEFAULT_LOGIN_URL, Grant, ProgramName, TokenVersion};
use crate::field::FieldErrors;
use crate::insights::Certificate;
use crate::outbound::Guard;
use crate::secret::Secret;

const LONGEST_SECRET: usize = 16_384;
const LONGEST_CERTIFICATE: usize = 65_536;

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
    /// At which version of the token endpoint.
    pub token_version: TokenVersion,
    /// Microsoft's own when not given.
    pub login_url: Option<String>,
    /// The program's own when not given.
    pub api_url: Option<String>,
    /// The `password` grant's user.
    pub username: Option<String>,
    /// When the client secret, or the certificate, runs out.
    pub client_secret_expires_at: Option<DateTime<Utc>>,
    /// The secrets.
    pub credentials: Credentials,
}

/// Secrets as they were given; none means "as before".
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// The application's secret…
    pub client_secret: Option<Secret>,
    /// …or its certificate and key as PEM.
    pub client_certificate: Option<Secret>,
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
    /// Checks every field. The secrets that the grant needs must be given, or kept of the account `before` the change.
    pub fn check(mut self, guard: &Guard, before: Option<&Account>) -> Result<Checked, FieldErrors> {
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
        self.check_needed(&mut errors, before);
        self.credentials.check(&mut errors);
        self.client_secret_expires_at = self.client_secret_expires_at.map(|at| at.trunc_subsecs(6));
        match (login_url, api_url) {
            (Some(login_url), Some(api_url)) => errors.result(Checked { draft: self, login_url, api_url }),
            _ => Err(errors),
        }
    }

    /// A refresh token may come later, from a sign-in.
    fn check_needed(&self, errors: &mut FieldErrors, before: Option<&Account>) {
        let given = &self.credentials;
        let proves = given.client_secret.is_some()
            || given.client_certificate.is_some()
            || before.is_some_and(|account| account.has_proof);
        errors.expect(
            self.grant != Grant::ClientCredentials || proves,
            "client_secret",
            "is needed for this grant, or a client_certificate in its place",
        );
        let has_password = given.password.is_some() || before.is_some_and(|account| account.has_password);
        errors.expect(self.grant != Grant::Password || has_password, "password", "is needed for this grant");
        let named = self.username.as_deref().is_some_and(|name| !name.trim().is_empty());
        errors.expect(self.grant != Grant::Password || named, "username", "is needed for this grant");
    }
}

impl Credentials {
    fn check(&self, errors: &mut FieldErrors) {
        for (field, secret, most) in [
            ("client_secret", &self.client_secret, LONGEST_SECRET),
            ("client_certificate", &self.client_certificate, LONGEST_CERTIFICATE),
            ("refresh_token", &self.refresh_token, LONGEST_SECRET),
            ("password", &self.password, LONGEST_SECRET),
        ] {
            if secret.as_ref().is_some_and(|secret| !(1..=most).contains(&secret.expose().len())) {
                errors.add(field, format!("must have 1 to {most} bytes"));
            }
        }
        let both = self.client_secret.is_some() && self.client_certificate.is_some();
        errors.expect(!both, "client_certificate", "stands in the place of a client_secret; give one of them");
        if let Some(Err(bad)) = self.client_certificate.as_ref().map(Certificate::read) {
            errors.add("client_certificate", bad.to_string());
        }
    }
}

impl Checked {
    /// The credentials that were given.
    pub fn credentials(&self) -> &Credentials {
        &self.draft.credentials
    }

    /// The fields, secrets aside, in which an account would differ from this.
    pub fn changes(&self, account: &Account) -> Vec<&'static str> {
        let draft = &self.draft;
        [
            ("name", draft.name.trim() != account.name),
            ("program", draft.program != account.program),
            ("tenant_id", draft.tenant_id != account.tenant_id),
            ("client_id", draft.client_id != account.client_id),
            ("grant", draft.grant != account.grant),
            ("token_version", draft.token_version != account.token_version),
            ("login_url", self.login_url != account.login_url),
            ("api_url", self.api_url != account.api_url),
            ("username", draft.username != account.username),
            ("client_secret_expires_at", draft.client_secret_expires_at != account.client_secret_expires_at),
        ]
        .into_iter()
        .filter_map(|(field, differs)| differs.then_some(field))
        .collect()
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
