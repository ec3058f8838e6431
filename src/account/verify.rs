//! What works for an account: the sign-in, the API, and what the API shows of roles.

use super::session::{CallError, Sessions};
use super::{Account, ProgramName, State, store};
use crate::id::AccountId;
use crate::insights::{self, Dataset, Probe};

/// What works.
#[derive(Debug, Default)]
pub struct Verified {
    /// Whether the sign-in gave a token.
    pub token: bool,
    /// Whether the API took it and answered.
    pub api: bool,
    /// The datasets that it shows.
    pub datasets: Vec<Dataset>,
    /// What the answer says of the role, where it says something.
    pub role: Option<&'static str>,
    /// Whether the sign-in counts as one with MFA, where the API says so.
    pub mfa_compliant: Option<bool>,
    /// What went wrong first.
    pub problem: Option<String>,
}

impl Sessions {
    /// Signs in and asks the API for its datasets, also where a person had to sign in first: what works is active again.
    pub async fn verify(&self, id: AccountId) -> Result<Verified, CallError> {
        let account = self.account(id).await?;
        if account.state == State::SignInRequired {
            // A token that was held is not better than what it was refused for.
            self.forget(id);
        }
        let mut verified = Verified::default();
        match self.probe(&account, &mut verified.token).await {
            Ok(probe) => {
                store::signed_in(&mut *self.acquire().await?, id, self.clock.now()).await?;
                verified.api = true;
                verified.role = if probe.data_redacted { Some(redacted(&account)) } else { None };
                verified.mfa_compliant = probe.mfa_compliant;
                verified.datasets = probe.datasets;
            }
            Err(CallError::Store(error)) => return Err(error.into()),
            Err(error) => {
                let refused = matches!(&error, CallError::Api(insights::Error::Refused { status: 403, .. }));
                verified.role = if refused { Some(missing(&account)) } else { None };
                verified.problem = Some(error.to_string());
            }
        }
        Ok(verified)
    }

    async fn probe(&self, account: &Account, has_token: &mut bool) -> Result<Probe, CallError> {
        self.ask_telling(account, has_token, |api| async move { api.probe().await }).await
    }
}

fn redacted(account: &Account) -> &'static str {
    match account.program {
        ProgramName::Mpn => {
            "revenue and personal data are left out: the user who signed in is not an Executive Report Viewer in Partner \
             Center"
        }
        ProgramName::Cmp => "some data is left out: the application has not all the roles in Partner Center",
    }
}

fn missing(account: &Account) -> &'static str {
    match account.program {
        ProgramName::Mpn => {
            "the user who signed in seems to lack the role Executive Report Viewer in Partner Center (Account settings, \
             User management)"
        }
        ProgramName::Cmp => {
            "the application seems to lack the role Manager (Windows) in Partner Center (Account settings, User \
             management, Azure AD applications)"
        }
    }
}
