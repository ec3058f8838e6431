//! What must be survived: kills at every commit, replicas that come and go, a database that has a bad day, clocks that jump.
//!
//! The program of it is [`kills`] and [`replicas`]: about a minute each in CI, and as long as `TIDINGS_FAULT_SECONDS` says by
//! hand: `TIDINGS_FAULT_SECONDS=3600 cargo test --test it faults::kills -- --nocapture`. Each prints its seed, what it does
//! and a summary; `TIDINGS_FAULT_SEED` repeats a run's choices.

mod admin;
mod clock;
mod cluster;
mod kills;
mod postgres;
mod proxy;
mod random;
mod replicas;
mod service;
mod stop;
mod toll;
mod wire;
mod world;
