//! What goes wrong on purpose, by name.
//!
//! A fault happens a counted number of times, at the next occasions, and in the order of those occasions: the same calls
//! meet the same faults in every run. What is not counted never happens.

use std::collections::BTreeMap;

/// Something that goes wrong at its next occasion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// An execution completes and nobody is called.
    CallbackLost,
    /// The same callback is sent two times.
    CallbackTwice,
    /// The callback comes when the execution starts, before it shows as completed.
    CallbackEarly,
    /// The next secure link is past its end when it is handed out.
    LinkExpired,
    /// The connection closes after half of the bytes that were announced.
    DownloadCut,
    /// The API answers 429 with a `Retry-After`.
    Throttled,
    /// The API answers 500.
    ServerError,
    /// The API answers 401 to a token that is good.
    TokenRefused,
    /// The sign-in demands a person with a second factor.
    SignInRequired,
    /// An execution ends as failed, and nobody is called.
    ExecutionFailed,
}

impl Fault {
    /// Every fault there is.
    pub const ALL: [Self; 10] = [
        Self::CallbackLost,
        Self::CallbackTwice,
        Self::CallbackEarly,
        Self::LinkExpired,
        Self::DownloadCut,
        Self::Throttled,
        Self::ServerError,
        Self::TokenRefused,
        Self::SignInRequired,
        Self::ExecutionFailed,
    ];

    /// Its name on the command line and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CallbackLost => "callback-lost",
            Self::CallbackTwice => "callback-twice",
            Self::CallbackEarly => "callback-early",
            Self::LinkExpired => "link-expired",
            Self::DownloadCut => "download-cut",
            Self::Throttled => "throttled",
            Self::ServerError => "server-error",
            Self::TokenRefused => "token-refused",
            Self::SignInRequired => "sign-in-required",
            Self::ExecutionFailed => "execution-failed",
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The name is none of the faults'.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no such fault; there are {}", Fault::ALL.map(Fault::name).join(", "))]
pub struct UnknownFault;

impl std::str::FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|fault| fault.name() == text).ok_or(UnknownFault)
    }
}

/// How often each fault is still to happen.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct Faults {
    remaining: BTreeMap<Fault, u32>,
}

impl Faults {
    /// Each of these once; a fault that is listed twice happens twice.
    pub fn once_each(faults: &[Fault]) -> Self {
        let mut all = Self::default();
        for fault in faults {
            all.times(*fault, 1);
        }
        all
    }

    /// Makes a fault happen so many times more.
    pub fn times(&mut self, fault: Fault, times: u32) {
        let remaining = self.remaining.entry(fault).or_default();
        *remaining = remaining.saturating_add(times);
    }

    /// Nothing goes wrong any more.
    pub fn clear(&mut self) {
        self.remaining.clear();
    }

    /// Whether the fault happens at this occasion, which uses it up.
    pub(super) fn take(&mut self, fault: Fault) -> bool {
        match self.remaining.get_mut(&fault) {
            Some(remaining) if *remaining > 0 => {
                *remaining -= 1;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_found_by_the_name_it_shows() {
        for fault in Fault::ALL {
            assert_eq!(fault.to_string().parse(), Ok(fault));
            assert_eq!(serde_json::to_value(fault).unwrap(), fault.name());
        }
        assert_eq!("flood".parse::<Fault>(), Err(UnknownFault));
    }

    #[test]
    fn a_fault_happens_as_often_as_it_was_asked_for() {
        let mut faults = Faults::once_each(&[Fault::Throttled]);
        faults.times(Fault::Throttled, 1);

        assert_eq!([(); 3].map(|()| faults.take(Fault::Throttled)), [true, true, false]);
        assert!(!faults.take(Fault::ServerError));
    }
}
