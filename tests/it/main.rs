#![allow(clippy::unwrap_used, reason = "what can't go on in a test should end it, in its helpers too")]

mod account;
mod callback;
mod channel;
mod embedded;
mod execution;
mod mail;
mod report;
mod sandbox;
mod story;
mod support;
