//! Which application asks, and the proof that it is the one: a secret or an assertion signed for its certificate.

use super::assertion::{self, ASSERTION_TYPE};
use super::refusal::Refusal;
use super::{Endpoint, Form, grant};
use crate::sandbox::handle::Handle;
use crate::sandbox::settings::Account;
use crate::secret::Secret;

/// The accounts that this application may sign in to, by their numbers; at least one.
pub(super) fn proven(handle: &Handle, endpoint: &Endpoint, form: &Form) -> Result<Vec<usize>, Refusal> {
    let known = known(handle, &endpoint.tenant, form)?;
    let (secret, assertion) = (form.text("client_secret"), form.text("client_assertion"));
    if secret.is_empty() && assertion.is_empty() {
        // A public client has nothing to prove itself with; the person who confirms the code answers for it.
        let text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
        let missing = Refusal::new("invalid_client", 7_000_218, text);
        return if grant::is_device_code(form) { Ok(known) } else { Err(missing) };
    }
    let prove = |account: &Account| {
        if assertion.is_empty() {
            check_secret(handle, account, secret)
        } else {
            check_assertion(handle, account, endpoint, form)
        }
    };
    let mut refused = None;
    let mut proven = Vec::new();
    for number in known {
        match prove(handle.account(number)) {
            Ok(()) => proven.push(number),
            Err(refusal) => refused = refused.or(Some(refusal)),
        }
    }
    match refused {
        Some(refusal) if proven.is_empty() => Err(refusal),
        _ => Ok(proven),
    }
}

/// The accounts of this application in this directory; at least one.
pub(super) fn known(handle: &Handle, tenant: &str, form: &Form) -> Result<Vec<usize>, Refusal> {
    let of_tenant: Vec<(usize, &Account)> = handle
        .accounts()
        .iter()
        .enumerate()
        .filter(|(_, account)| account.tenant.eq_ignore_ascii_case(tenant.trim()))
        .collect();
    if of_tenant.is_empty() {
        return Err(Refusal::new("invalid_request", 90002, format!("Tenant '{tenant}' not found.")));
    }
    let client_id = form.text("client_id");
    let of_client = of_tenant.into_iter().filter(|(_, account)| account.client_id.eq_ignore_ascii_case(client_id));
    let known: Vec<usize> = of_client.map(|(number, _)| number).collect();
    if known.is_empty() {
        let text = format!("Application with identifier '{client_id}' was not found in the directory.");
        return Err(Refusal::new("unauthorized_client", 700_016, text));
    }
    Ok(known)
}

fn check_secret(handle: &Handle, account: &Account, secret: &str) -> Result<(), Refusal> {
    if !account.client_secret.matches(&Secret::new(secret)) {
        return Err(Refusal::new("invalid_client", 7_000_215, "Invalid client secret provided."));
    }
    match account.secret_expires_at {
        Some(expires_at) if expires_at <= handle.now() => Err(Refusal::expired_secret()),
        _ => Ok(()),
    }
}

fn check_assertion(handle: &Handle, account: &Account, endpoint: &Endpoint, form: &Form) -> Result<(), Refusal> {
    if form.text("client_assertion_type") != ASSERTION_TYPE {
        let text = "The request body must contain a known 'client_assertion_type'.";
        return Err(Refusal::new("invalid_client", 7_000_218, text));
    }
    assertion::check(account, form.text("client_assertion"), |audience| endpoint.is(handle, audience), handle.now())
}
