#![allow(clippy::unwrap_used, reason = "what can't go on in a test should end it, in its helpers too")]

mod account;
mod api;
mod apply;
mod architecture;
mod azurite;
mod callback;
mod channel;
mod client;
mod config;
mod dashboard;
mod dataset;
mod demo;
mod door;
mod download;
mod embedded;
mod execution;
mod first_call;
mod kill;
mod mail;
mod notification;
mod query;
mod readme;
mod report;
mod sandbox;
mod story;
mod support;
