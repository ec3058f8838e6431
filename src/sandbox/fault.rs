//! What goes wrong on purpose, by name.
//!
//! A fault happens a counted number of times at its next occasions, or at a rate that is drawn from the sandbox's seed: the
//! same calls meet the same faults in every run. What is neither counted nor rated never happens.

use std::collections::BTreeMap;

use super::ids::mixed;

macro_rules! faults {
    ($($fault:ident $name:literal $about:literal)+) => {
        /// Something that goes wrong at its next occasion.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum Fault {
            $(#[doc = $about] #[serde(rename = $name)] $fault,)+
        }

        impl Fault {
            /// Every fault there is.
            pub const ALL: &[Self] = &[$(Self::$fault),+];

            /// Its name on the command line and in JSON.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$fault => $name,)+ }
            }

            /// What it does, in a sentence.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$fault => $about,)+ }
            }
        }
    };
}

faults! {
    CallbackLost "callback-lost" "An execution completes and nobody is called."
    CallbackTwice "callback-twice" "The same callback is sent two times."
    CallbackEarly "callback-early" "The callback comes when the execution starts, before it shows as completed."
    LinkExpired "link-expired" "The next secure link is past its end when it is handed out."
    DownloadCut "download-cut" "The connection closes after half of the bytes that were announced."
    Throttled "throttled" "The API answers 429 with a `Retry-After`."
    ServerError "server-error" "The API answers 500."
    TokenRefused "token-refused" "The API answers 401 to a token that is good."
    MfaRequired "mfa-required" "The API answers `401 Unauthorized - MFA required` with `WWW-Authenticate` and no body, as it did to users without a second factor."
    Mfa900421 "mfa-900421" "The API answers 401 with the code 900421, as it does since 2026 to users without a second factor."
    Forbidden "forbidden" "The API answers 403 to a token that is good."
    FrontDoorError "front-door-error" "The front door answers 400 in its own shape: `code`, `description`, `data`, `source`."
    HtmlError "html-error" "Something before the API answers 503 with a page of HTML."
    EmptyError "empty-error" "The API answers 502 without a body."
    RequestTimeout "request-timeout" "The API answers 408."
    ErrorInOk "error-in-ok" "The next refusal of the API comes under HTTP 200, with its status in the envelope alone."
    DataRedacted "data-redacted" "The next success says that data were left out."
    CreationUnanswered "creation-unanswered" "A report or query is created, and the answer is 500 all the same."
    SlowTest "slow-test" "The test of a query takes longer than the service waits, and answers 500."
    StatusUnknown "status-unknown" "The next open execution that is shown has the status `Queued`, which nobody documents."
    CallbackDelayed "callback-delayed" "The callback comes later, by a minute unless set otherwise."
    CallbackConcatenated "callback-concatenated" "The report's id is appended to the callback address without a look at its query."
    DownloadRefused "download-refused" "The blob store answers 403 to a link that is good."
    BlobMissing "blob-missing" "The blob store answers 404."
    BlobBusy "blob-busy" "The blob store answers 503."
    ExecutionFailed "execution-failed" "An execution ends as failed, and nobody is called."
    SignInRequired "sign-in-required" "The sign-in demands a second factor (50076)."
    MfaRegistration "mfa-registration" "The sign-in demands that the user registers for a second factor (50079)."
    SignInBlocked "sign-in-blocked" "A policy blocks the sign-in (53003)."
    ConsentMissing "consent-missing" "The sign-in finds that nobody consented to the application (65001)."
    ResourceMissing "resource-missing" "The sign-in finds the resource missing among the application's permissions (650057)."
    GrantExpired "grant-expired" "The sign-in finds the grant expired (70008)."
    RefreshTokenIdle "refresh-token-idle" "The sign-in finds the refresh token unused for more than 90 days (700082)."
    SecretExpired "secret-expired" "The sign-in finds the application's secret expired (7000222)."
    ClientRefused "client-refused" "The sign-in refuses the application in the older words for a missing secret (70002)."
    SignInBusy "sign-in-busy" "The sign-in answers 503 and asks to come back later (90033)."
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A fault as the command line names it: `NAME`, `NAME=3` (so many times) or `NAME:0.1` (at this part of its occasions).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Planned {
    pub fault: Fault,
    pub how_often: HowOften,
}

/// How often a fault happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HowOften {
    Times(u32),
    Rate(f64),
}

impl std::str::FromStr for Planned {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let times = |times: &str| times.parse().ok().filter(|times| *times > 0).map(HowOften::Times);
        let rate = |rate: &str| rate.parse().ok().filter(|rate| (0.0..=1.0).contains(rate)).map(HowOften::Rate);
        let (name, how_often) = if let Some((name, number)) = text.split_once('=') {
            (name, times(number))
        } else if let Some((name, number)) = text.split_once(':') {
            (name, rate(number))
        } else {
            (text, Some(HowOften::Times(1)))
        };
        Ok(Self { fault: name.parse()?, how_often: how_often.ok_or(UnknownFault)? })
    }
}

/// The name is none of the faults', or its number none that makes sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected NAME, NAME=3 or NAME:0.1, and of the names {}", names())]
pub struct UnknownFault;

fn names() -> String {
    Fault::ALL.iter().map(|fault| fault.name()).collect::<Vec<_>>().join(", ")
}

impl std::str::FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|fault| fault.name() == text).ok_or(UnknownFault)
    }
}

/// How often each fault is still to happen.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
#[serde(transparent)]
pub struct Faults {
    remaining: BTreeMap<Fault, u32>,
    #[serde(skip)]
    rates: BTreeMap<Fault, f64>,
    /// How often each rated fault had an occasion, so that one fault's draws don't depend on another's.
    #[serde(skip)]
    occasions: BTreeMap<Fault, u64>,
    #[serde(skip)]
    seed: u64,
}

impl Faults {
    /// Each of these once; a fault that is listed twice happens twice.
    pub fn once_each(faults: &[Fault], seed: u64) -> Self {
        let mut all = Self { seed, ..Self::default() };
        for fault in faults {
            all.times(*fault, 1);
        }
        all
    }

    /// Makes a fault happen as planned.
    pub fn plan(&mut self, planned: Planned) {
        match planned.how_often {
            HowOften::Times(times) => self.times(planned.fault, times),
            HowOften::Rate(rate) => self.rate(planned.fault, rate),
        }
    }

    /// Makes a fault happen so many times more.
    pub fn times(&mut self, fault: Fault, times: u32) {
        let remaining = self.remaining.entry(fault).or_default();
        *remaining = remaining.saturating_add(times);
    }

    /// Makes a fault happen at this part of its occasions, between 0 and 1.
    pub fn rate(&mut self, fault: Fault, rate: f64) {
        self.rates.insert(fault, rate);
        self.rates.retain(|_, rate| *rate > 0.0);
    }

    /// The rates that are not zero.
    pub fn rates(&self) -> &BTreeMap<Fault, f64> {
        &self.rates
    }

    /// Nothing goes wrong any more.
    pub fn clear(&mut self) {
        self.remaining.clear();
        self.rates.clear();
    }

    /// Whether the fault happens at this occasion, which uses it up where it was counted.
    pub(super) fn take(&mut self, fault: Fault) -> bool {
        match self.remaining.get_mut(&fault) {
            Some(remaining) if *remaining > 0 => {
                *remaining -= 1;
                true
            }
            _ => self.rates.get(&fault).copied().is_some_and(|rate| self.draw(fault) < rate),
        }
    }

    /// The first of these that happens at this occasion.
    pub(super) fn first_of(&mut self, faults: &[Fault]) -> Option<Fault> {
        faults.iter().copied().find(|fault| self.take(*fault))
    }

    /// A number from 0 to below 1 that follows from the seed, the fault and the count of its occasions.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are kept, which is what fits")]
    fn draw(&mut self, fault: Fault) -> f64 {
        let occasion = self.occasions.entry(fault).or_default();
        *occasion += 1;
        let number = mixed(self.seed ^ mixed((fault as u64) << 32 | *occasion));
        (number >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_found_by_the_name_it_shows() {
        for fault in Fault::ALL.iter().copied() {
            assert_eq!(fault.to_string().parse(), Ok(fault));
            assert_eq!(serde_json::to_value(fault).unwrap(), fault.name());
        }
        assert_eq!("flood".parse::<Fault>(), Err(UnknownFault));
    }

    #[test]
    fn a_fault_happens_as_often_as_it_was_asked_for() {
        let mut faults = Faults::once_each(&[Fault::Throttled], 1);
        faults.times(Fault::Throttled, 1);

        assert_eq!([(); 3].map(|()| faults.take(Fault::Throttled)), [true, true, false]);
        assert!(!faults.take(Fault::ServerError));
    }

    #[test]
    fn a_plan_is_read_with_its_count_or_its_rate() {
        let read = |text: &str| text.parse::<Planned>().map(|planned| (planned.fault, planned.how_often));

        assert_eq!(read("throttled"), Ok((Fault::Throttled, HowOften::Times(1))));
        assert_eq!(read("throttled=3"), Ok((Fault::Throttled, HowOften::Times(3))));
        assert_eq!(read("throttled:0.1"), Ok((Fault::Throttled, HowOften::Rate(0.1))));
        for wrong in ["flood", "throttled=0", "throttled=x", "throttled:2", "throttled:-1"] {
            assert_eq!(read(wrong), Err(UnknownFault), "{wrong}");
        }
    }

    #[test]
    fn a_rate_is_about_kept_and_the_same_seed_draws_the_same() {
        let drawn = |seed| {
            let mut faults = Faults::once_each(&[], seed);
            faults.rate(Fault::Throttled, 0.1);
            (0..1_000).map(|_| faults.take(Fault::Throttled)).collect::<Vec<_>>()
        };

        let happened = drawn(7).iter().filter(|happens| **happens).count();

        assert!((60..140).contains(&happened), "{happened}");
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
    }
}
