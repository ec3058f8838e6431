//! How many sends are under way in each lane.
//!
//! A lane is one endpoint, known by its print and shared by all subscriptions of that address; or all mails, since one slow
//! mail server holds up every one of them. A lane that has its share is left out of claims until one of its sends ends, so
//! that a slow one leaves places for the others. The count is this process's own: after a kill there is nothing to repair.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// At most about so many sends in one lane at a time: a few more when several are claimed at once.
const SHARE: usize = 16;

/// The sends under way. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Flight(Arc<Mutex<HashMap<Vec<u8>, usize>>>);

/// One send; it has ended when this is dropped.
pub(super) struct Send {
    flight: Flight,
    lane: Vec<u8>,
}

impl Flight {
    /// A send begins.
    pub(super) fn begin(&self, lane: &[u8]) -> Send {
        *self.lock().entry(lane.to_vec()).or_default() += 1;
        Send { flight: self.clone(), lane: lane.to_vec() }
    }

    /// The lanes that have their share.
    pub(super) fn full(&self) -> Vec<Vec<u8>> {
        self.lock().iter().filter(|(_, count)| **count >= SHARE).map(|(lane, _)| lane.clone()).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Vec<u8>, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Send {
    fn drop(&mut self) {
        let mut flight = self.flight.lock();
        if let Some(count) = flight.get_mut(&self.lane) {
            *count -= 1;
            if *count == 0 {
                flight.remove(&self.lane);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_full_while_it_has_its_share_and_is_forgotten_when_all_have_ended() {
        let flight = Flight::default();
        let mut sends: Vec<Send> = (0..SHARE).map(|_| flight.begin(b"slow")).collect();
        let other = flight.begin(b"other");

        assert_eq!(flight.full(), [b"slow".to_vec()]);
        sends.pop();
        assert!(flight.full().is_empty());
        drop((sends, other));
        assert!(flight.lock().is_empty());
    }
}
