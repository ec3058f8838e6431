//! Sign-in by device code: the program shows a code, a person confirms it elsewhere, the program asks until that is done.

use axum::response::{IntoResponse, Json, Response};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::application;
use super::refusal::Refusal;
use super::{Endpoint, Form, check_scopes};
use crate::sandbox::handle::Handle;

const LIFETIME: TimeDelta = TimeDelta::minutes(15);
/// Without vowels, which would make words, and without what looks like something else.
const LETTERS: &[u8] = b"BCDFGHJKLMNPQRSTVWXZ";
const USER_CODE_LETTERS: u32 = 8;

/// What became of a device code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Confirmation {
    Waiting,
    /// By the user of this account.
    Approved(usize),
    Declined,
}

/// A sign-in that waits for a person.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct DeviceCode {
    /// What the program asks with, once the person has confirmed the other.
    secret: String,
    pub(in crate::sandbox) user_code: String,
    /// The accounts whose users may confirm it.
    pub(in crate::sandbox) accounts: Vec<usize>,
    scope: String,
    expires_at: DateTime<Utc>,
    asked_at: Option<DateTime<Utc>>,
    confirmation: Confirmation,
}

impl DeviceCode {
    /// Whether it can still be confirmed or declined.
    pub(in crate::sandbox) fn waits(&self, now: DateTime<Utc>) -> bool {
        self.confirmation == Confirmation::Waiting && now < self.expires_at
    }

    /// Whether a person who typed this means it.
    fn is(&self, typed: &str) -> bool {
        let letters = |text: &str| -> String {
            text.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_uppercase()).collect()
        };
        letters(&self.user_code) == letters(typed)
    }
}

/// Gives out a code.
pub(super) fn begin(handle: &Handle, endpoint: &Endpoint, form: &Form) -> Result<Response, Refusal> {
    let accounts = application::known(handle, &endpoint.tenant, form)?;
    check_scopes(handle, form)?;
    let now = handle.now();
    let device = handle.with(|world| {
        let user_code = user_code(world.ids.number());
        let device = DeviceCode {
            secret: format!("{}{}", world.ids.next(), world.ids.next()).replace('-', ""),
            user_code,
            accounts,
            scope: form.text("scope").to_owned(),
            expires_at: now + LIFETIME,
            asked_at: None,
            confirmation: Confirmation::Waiting,
        };
        world.sign_ins.add_device(device.clone());
        device
    });
    let address = format!("{}sandbox/device", handle.url());
    Ok(Json(json!({
        "device_code": device.secret,
        "user_code": device.user_code,
        "verification_uri": address,
        "expires_in": LIFETIME.num_seconds(),
        "interval": handle.settings().device_interval.as_secs(),
        "message": format!(
            "To sign in, use a web browser to open the page {address} and enter the code {} to authenticate.",
            device.user_code
        ),
    }))
    .into_response())
}

/// The account that a device code was confirmed for, and the scope it was asked for; a code is good for one token.
pub(super) fn redeem(handle: &Handle, accounts: &[usize], form: &Form) -> Result<(usize, String), Refusal> {
    let now = handle.now();
    let interval = TimeDelta::from_std(handle.settings().device_interval).unwrap_or_default();
    handle.with(|world| {
        let devices = &mut world.sign_ins.devices;
        let code = form.text("device_code");
        let at = devices.iter().position(|device| device.secret == code && !code.is_empty());
        let unknown = || Refusal::new("invalid_grant", 70018, "Bad verification code.");
        let (at, device) = at.and_then(|at| Some((at, devices.get_mut(at)?))).ok_or_else(unknown)?;
        if now >= device.expires_at {
            return Err(Refusal::new("expired_token", 70019, "Verification code expired."));
        }
        let too_soon = device.asked_at.is_some_and(|asked_at| now < asked_at + interval);
        device.asked_at = Some(now);
        match device.confirmation {
            Confirmation::Approved(account) if accounts.contains(&account) => {
                let scope = std::mem::take(&mut device.scope);
                devices.remove(at);
                Ok((account, scope))
            }
            Confirmation::Approved(_) => Err(unknown()),
            Confirmation::Declined => {
                Err(Refusal::new("authorization_declined", 70017, "The user declined to sign in."))
            }
            Confirmation::Waiting if too_soon => {
                Err(Refusal::new("slow_down", 70016, "The client asks more often than the interval allows."))
            }
            Confirmation::Waiting => Err(Refusal::new(
                "authorization_pending",
                70016,
                "OAuth 2.0 device flow: the user has not signed in yet.",
            )),
        }
    })
}

/// Confirms (or declines) a code as a person would, for the user of this name or, without one, the first who may. False when
/// no such code waits, or no such user may confirm it.
pub(in crate::sandbox) fn confirm(handle: &Handle, user_code: &str, approve: bool, user: Option<&str>) -> bool {
    let now = handle.now();
    handle.with(|world| {
        let waits = |device: &&mut DeviceCode| device.waits(now) && device.is(user_code);
        let Some(device) = world.sign_ins.devices.iter_mut().find(waits) else { return false };
        let is_user =
            |number: &usize| user.is_none_or(|user| handle.account(*number).username.eq_ignore_ascii_case(user.trim()));
        let Some(account) = device.accounts.iter().copied().find(is_user) else { return false };
        device.confirmation = if approve { Confirmation::Approved(account) } else { Confirmation::Declined };
        true
    })
}

fn user_code(mut number: u64) -> String {
    let mut code = String::new();
    for _ in 0..USER_CODE_LETTERS {
        let letters = LETTERS.len() as u64;
        code.push(char::from(LETTERS[usize::try_from(number % letters).unwrap_or_default()]));
        number /= letters;
    }
    code
}
