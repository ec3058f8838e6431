//! The tokens themselves. An access token is a JWT that carries whose it is and until when; a refresh token is a signed
//! text that carries its chain. None of them is kept, so they outlive a restart as the real ones outlive ours.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::grant::Granted;
use super::{RESOURCE, Version};
use crate::sandbox::handle::Handle;

const LIFETIME_SECONDS: i64 = 3600;
const ACCESS: &str = "sandbox access token";
const REFRESH: &str = "sandbox refresh token";

/// Whom an access token speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) struct Bearer {
    pub(in crate::sandbox) account: usize,
    /// Whether a user stands behind it, or an application alone.
    pub(in crate::sandbox) user: bool,
    pub(in crate::sandbox) mfa: bool,
}

/// What a refresh token is, beside unguessable.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Refresh {
    pub(super) account: usize,
    /// The sign-in that it descends from.
    pub(super) chain: String,
    /// How many renewals lie between.
    pub(super) number: u64,
    /// Whether that sign-in was made with a second factor.
    pub(super) mfa: bool,
    pub(super) generation: u64,
    /// How many demands for a second factor came before that sign-in.
    pub(super) demands: u64,
    pub(super) given_at: i64,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    aud: String,
    iss: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    appid: String,
    tid: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upn: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scp: Option<String>,
    #[serde(default)]
    amr: Vec<String>,
    uti: String,
    sandbox_account: usize,
    sandbox_generation: u64,
}

/// The answer of the token endpoint to a grant that is good.
pub(super) fn answer(handle: &Handle, version: Version, granted: &Granted) -> Value {
    let now = handle.now().timestamp();
    let claims = claims(handle, granted, now);
    let mut answer = json!({"token_type": "Bearer", "access_token": jwt(handle, &claims)});
    add_lifetime(&mut answer, version, now);
    if let Granted::User { refresh, scope } = granted {
        let asks_for = |wanted| scope.split_whitespace().any(|scope| scope == wanted);
        answer["scope"] = json!(match version {
            Version::One => "user_impersonation".to_owned(),
            Version::Two => format!("{RESOURCE}/user_impersonation"),
        });
        if version == Version::One || asks_for("offline_access") {
            answer["refresh_token"] = json!(handle.keys().sign(REFRESH, json!(refresh).to_string().as_bytes()));
        }
        if asks_for("openid") {
            let identity = Claims { aud: claims.appid.clone(), scp: None, ..claims };
            answer["id_token"] = json!(jwt(handle, &identity));
        }
    }
    answer
}

/// Reads an access token; none if it is not ours, not for the API, past its end or revoked.
pub(in crate::sandbox) fn read_access(handle: &Handle, token: &str) -> Option<Bearer> {
    let mut validation = Validation::new(Algorithm::HS256);
    // The library knows the machine's clock, not the sandbox's.
    validation.validate_exp = false;
    validation.set_audience(&[RESOURCE]);
    let claims = decode::<Claims>(token, &DecodingKey::from_secret(&key(handle)), &validation).ok()?.claims;
    let revoked = handle.with(|world| claims.sandbox_generation < world.sign_ins.generation);
    let is_good = !revoked && handle.now().timestamp() < claims.exp && claims.sandbox_account < handle.accounts().len();
    is_good.then(|| Bearer {
        account: claims.sandbox_account,
        user: claims.upn.is_some(),
        mfa: claims.amr.iter().any(|method| method == "mfa"),
    })
}

/// Reads a refresh token; none if it is not ours.
pub(super) fn read_refresh(handle: &Handle, token: &str) -> Option<Refresh> {
    serde_json::from_slice(&handle.keys().verify(REFRESH, token)?).ok()
}

fn claims(handle: &Handle, granted: &Granted, now: i64) -> Claims {
    let account = handle.account(granted.account());
    let (user, mfa) = match granted {
        Granted::Application(_) => (false, false),
        Granted::User { refresh, .. } => (true, refresh.mfa),
    };
    let (uti, generation) = handle.with(|world| (world.ids.next(), world.sign_ins.generation));
    Claims {
        aud: RESOURCE.to_owned(),
        iss: format!("https://sts.windows.net/{}/", account.tenant),
        iat: now,
        nbf: now,
        exp: now + LIFETIME_SECONDS,
        appid: account.client_id.clone(),
        tid: account.tenant.clone(),
        upn: user.then(|| account.username.clone()),
        scp: user.then(|| "user_impersonation".to_owned()),
        amr: [("pwd", user), ("mfa", mfa)].into_iter().filter(|(_, used)| *used).map(|(name, _)| name.into()).collect(),
        uti,
        sandbox_account: granted.account(),
        sandbox_generation: generation,
    }
}

fn jwt(handle: &Handle, claims: &Claims) -> String {
    let key = EncodingKey::from_secret(&key(handle));
    encode(&Header::new(Algorithm::HS256), claims, &key).expect("claims are plain JSON, and the key takes any bytes")
}

fn key(handle: &Handle) -> Vec<u8> {
    handle.keys().sign(ACCESS, b"").into_bytes()
}

fn add_lifetime(answer: &mut Value, version: Version, now: i64) {
    let lifetime = LIFETIME_SECONDS - 1;
    match version {
        Version::One => {
            answer["expires_in"] = json!(lifetime.to_string());
            answer["ext_expires_in"] = json!(lifetime.to_string());
            answer["expires_on"] = json!((now + LIFETIME_SECONDS).to_string());
            answer["not_before"] = json!(now.to_string());
            answer["resource"] = json!(RESOURCE);
        }
        Version::Two => {
            answer["expires_in"] = json!(lifetime);
            answer["ext_expires_in"] = json!(lifetime);
        }
    }
}
