//! What a token is given for: an application's own right, a user's password, a refresh token, or a confirmed device code.

use super::refusal::Refusal;
use super::token::{self, Refresh};
use super::{Form, device};
use crate::sandbox::handle::Handle;
use crate::secret::Secret;

const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Who was granted a token.
#[derive(Debug)]
pub(super) enum Granted {
    /// An application alone, in this account.
    Application(usize),
    /// A user, with the refresh token that may be handed out, and what was asked for.
    User { refresh: Refresh, scope: String },
}

impl Granted {
    pub(super) fn account(&self) -> usize {
        match self {
            Self::Application(account) => *account,
            Self::User { refresh, .. } => refresh.account,
        }
    }
}

/// Whether this asks for a token on a device code.
pub(super) fn is_device_code(form: &Form) -> bool {
    form.text("grant_type") == DEVICE_CODE
}

/// Whether what this asks with stands for scopes that were given before.
pub(super) fn knows_its_scope(form: &Form) -> bool {
    is_device_code(form) || form.text("grant_type") == "refresh_token"
}

/// Checks the grant against the accounts that the application may sign in to.
pub(super) fn check(handle: &Handle, accounts: &[usize], form: &Form) -> Result<Granted, Refusal> {
    match form.text("grant_type") {
        "client_credentials" => {
            let account = accounts.first().ok_or_else(|| Refusal::bad_grant("No account is left."))?;
            Ok(Granted::Application(*account))
        }
        "password" => password(handle, accounts, form),
        "refresh_token" => refresh_token(handle, accounts, form),
        DEVICE_CODE => {
            let (account, scope) = device::redeem(handle, accounts, form)?;
            Ok(signed_in(handle, account, true, scope))
        }
        "authorization_code" => {
            let text = "This sandbox has no authorization endpoint: sign a person in by device code instead.";
            Err(Refusal::new("unsupported_grant_type", 70003, text))
        }
        _ => Err(Refusal::new("unsupported_grant_type", 70003, "The app requested an unsupported grant type.")),
    }
}

/// A user who has just signed in begins a chain of refresh tokens.
fn signed_in(handle: &Handle, account: usize, mfa: bool, scope: String) -> Granted {
    let given_at = handle.now().timestamp();
    let refresh = handle.with(|world| Refresh {
        account,
        chain: world.ids.next(),
        number: 0,
        mfa,
        generation: world.sign_ins.generation,
        demands: world.sign_ins.demands,
        given_at,
    });
    Granted::User { refresh, scope }
}

fn password(handle: &Handle, accounts: &[usize], form: &Form) -> Result<Granted, Refusal> {
    let (username, password) = (form.text("username"), Secret::new(form.text("password")));
    let is_it = |number: &&usize| {
        let account = handle.account(**number);
        account.username.eq_ignore_ascii_case(username) && account.password.matches(&password)
    };
    let account = accounts.iter().find(is_it).ok_or_else(|| {
        Refusal::new("invalid_grant", 50126, "Error validating credentials due to invalid username or password.")
    })?;
    if handle.with(|world| world.sign_ins.mfa_demanded) {
        return Err(Refusal::mfa());
    }
    Ok(signed_in(handle, *account, false, form.text("scope").to_owned()))
}

fn refresh_token(handle: &Handle, accounts: &[usize], form: &Form) -> Result<Granted, Refusal> {
    let text = form.text("refresh_token");
    let refresh = first_token(handle, text)
        .or_else(|| token::read_refresh(handle, text))
        .filter(|refresh| accounts.contains(&refresh.account))
        .ok_or_else(|| Refusal::bad_grant("The provided grant is invalid or malformed."))?;
    let now = handle.now();
    let (strict, idle_limit) = (handle.settings().strict_refresh, handle.settings().refresh_idle.as_secs());
    handle.with(|world| {
        let state = &mut world.sign_ins;
        if refresh.generation < state.generation {
            let text = "The provided grant has expired due to it being revoked, a fresh auth token is needed.";
            return Err(Refusal::new("invalid_grant", 50173, text));
        }
        if strict && state.is_outdated(&refresh.chain, refresh.number) {
            return Err(Refusal::bad_grant("The provided grant was revoked when a newer one of its chain was used."));
        }
        if u64::try_from(now.timestamp() - refresh.given_at).is_ok_and(|idle| idle > idle_limit) {
            return Err(Refusal::idle_refresh_token());
        }
        if state.mfa_demanded && !(refresh.mfa && refresh.demands == state.demands) {
            return Err(Refusal::mfa());
        }
        state.used(&refresh.chain, refresh.number);
        let refresh = Refresh { number: refresh.number + 1, given_at: now.timestamp(), ..refresh };
        // Only who was given `offline_access` has a refresh token.
        let scope = Some(form.text("scope")).filter(|scope| !scope.is_empty()).unwrap_or("offline_access");
        Ok(Granted::User { refresh, scope: scope.to_owned() })
    })
}

/// The refresh token that an account was set up with, got with a second factor when the sandbox was started.
fn first_token(handle: &Handle, text: &str) -> Option<Refresh> {
    let given = Secret::new(text);
    let account = handle.accounts().iter().position(|account| account.refresh_token.matches(&given))?;
    Some(Refresh {
        account,
        chain: format!("first of {account}"),
        number: 0,
        mfa: true,
        generation: 0,
        demands: 0,
        given_at: handle.started_at().timestamp(),
    })
}
