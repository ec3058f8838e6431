#![allow(clippy::unwrap_used, reason = "what can't go on in a test should end it, in its helpers too")]

mod channel;
mod config;
mod dashboard;
mod demo;
mod embedded;
mod kill;
mod mail;
mod readme;
mod sandbox;
mod story;
mod support;
