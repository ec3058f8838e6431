#![allow(clippy::unwrap_used, reason = "what can't go on in a test should end it, in its helpers too")]

mod channel;
mod config;
mod demo;
mod embedded;
mod mail;
mod sandbox;
mod support;
