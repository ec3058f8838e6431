#![allow(clippy::unwrap_used, reason = "what can't go on in a test should end it, in its helpers too")]

mod channel;
mod dashboard;
mod embedded;
mod mail;
mod sandbox;
mod support;
