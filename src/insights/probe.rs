//! What works for a token: one call that asks the API to check the sign-in too.

use reqwest::Method;

use super::wire::{Dataset, Fields};
use super::{Api, Error, TIMEOUT};

/// What the API showed of itself and of the token.
#[derive(Debug)]
pub struct Probe {
    /// The datasets of the first page.
    pub datasets: Vec<Dataset>,
    /// Whether the sign-in counts as one with MFA, where the API says so.
    pub mfa_compliant: Option<bool>,
    /// Whether revenue and personal data are left out.
    pub data_redacted: bool,
}

impl Api {
    /// Asks for the datasets, and whether the token would stand the check for MFA.
    pub async fn probe(&self) -> Result<Probe, Error> {
        let url = self.url("ScheduledDataset");
        let envelope = match self.send_with(Method::GET, url, None, TIMEOUT, &[("ValidateMfa", "true")]).await {
            // None at all: the token was taken all the same.
            Err(Error::NotFound(_)) => {
                return Ok(Probe { datasets: Vec::new(), mfa_compliant: None, data_redacted: false });
            }
            answer => answer?,
        };
        Ok(Probe {
            mfa_compliant: envelope.mfa_compliant,
            data_redacted: envelope.data_redacted,
            datasets: envelope.value.into_iter().map(|row| Dataset::read(&Fields::of(row))).collect(),
        })
    }
}
