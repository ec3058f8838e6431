//! What the sign-in remembers. Tokens carry what they are; only what was revoked, demanded or used is kept.

use std::collections::{BTreeMap, VecDeque};

use super::device::DeviceCode;

const MAX_CHAINS: usize = 10_000;
const MAX_DEVICES: usize = 100;

/// The state of the sign-in.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct SignIns {
    /// Tokens of an earlier generation are revoked.
    pub(in crate::sandbox) generation: u64,
    pub(in crate::sandbox) mfa_demanded: bool,
    /// How often a second factor was demanded: only a sign-in after the last demand meets it.
    pub(in crate::sandbox) demands: u64,
    pub(in crate::sandbox) devices: VecDeque<DeviceCode>,
    /// The number of the newest refresh token that was used, by chain.
    used: BTreeMap<String, u64>,
    /// Those chains, in the order of their first use.
    chains: VecDeque<String>,
}

impl SignIns {
    /// Demands a second factor of every user from now on, or no longer.
    pub(in crate::sandbox) fn demand_mfa(&mut self, demanded: bool) {
        if demanded && !self.mfa_demanded {
            self.demands += 1;
        }
        self.mfa_demanded = demanded;
    }

    /// Whether a newer token of this chain was used before.
    pub(super) fn is_outdated(&self, chain: &str, number: u64) -> bool {
        self.used.get(chain).is_some_and(|newest| number < *newest)
    }

    /// Notes the use of a token; far beyond any use the oldest chain is forgotten.
    pub(super) fn used(&mut self, chain: &str, number: u64) {
        if !self.used.contains_key(chain) {
            self.chains.push_back(chain.to_owned());
            if self.chains.len() > MAX_CHAINS
                && let Some(oldest) = self.chains.pop_front()
            {
                self.used.remove(&oldest);
            }
        }
        let newest = self.used.entry(chain.to_owned()).or_default();
        *newest = number.max(*newest);
    }

    /// Keeps a device code; far beyond any use the oldest makes room.
    pub(super) fn add_device(&mut self, device: DeviceCode) {
        if self.devices.len() >= MAX_DEVICES {
            self.devices.pop_front();
        }
        self.devices.push_back(device);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_chain_is_watched_however_many_there_were_before() {
        let mut state = SignIns::default();
        for chain in 0..MAX_CHAINS {
            state.used(&chain.to_string(), 0);
        }

        state.used("new", 1);

        assert!(state.is_outdated("new", 0));
        assert_eq!((state.used.len(), state.chains.len()), (MAX_CHAINS, MAX_CHAINS));
    }
}
