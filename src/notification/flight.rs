//! How many sends are under way to each endpoint.
//!
//! An endpoint that has its share is left out of claims until one ends, so that a slow one leaves places for the others.
//! Subscriptions of one address share one endpoint; it is known by its print. The count is this process's own: after a
//! kill there is nothing to repair.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// At most about so many sends to one endpoint at a time: a few more when several are claimed at once.
const SHARE: usize = 16;

/// The sends under way. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Flight(Arc<Mutex<HashMap<Vec<u8>, usize>>>);

/// One send; it has ended when this is dropped.
pub(super) struct Send {
    flight: Flight,
    print: Vec<u8>,
}

impl Flight {
    /// A send to an endpoint begins.
    pub(super) fn begin(&self, print: &[u8]) -> Send {
        *self.lock().entry(print.to_vec()).or_default() += 1;
        Send { flight: self.clone(), print: print.to_vec() }
    }

    /// The prints of the endpoints that have their share.
    pub(super) fn full(&self) -> Vec<Vec<u8>> {
        self.lock().iter().filter(|(_, count)| **count >= SHARE).map(|(print, _)| print.clone()).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Vec<u8>, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Send {
    fn drop(&mut self) {
        let mut flight = self.flight.lock();
        if let Some(count) = flight.get_mut(&self.print) {
            *count -= 1;
            if *count == 0 {
                flight.remove(&self.print);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_full_while_it_has_its_share_and_is_forgotten_when_all_have_ended() {
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
