//! Tidings registers scheduled reports at Microsoft's Partner Insights API, hears when they are ready, archives them and
//! tells everyone who asked.
//!
//! The modules in reading order. First the kernel, which knows nothing of the product:
pub mod clock;
pub mod db;
pub mod field;
pub mod id;
pub mod outbound;
pub mod retry;
pub mod secret;
pub mod wake;

// The outside world, and what all stages write.
pub mod access;
pub mod channel;
pub mod event;
pub mod insights;

// The story, in its order: a stage knows what is above and the stages before it.
pub mod account;

pub mod report;

pub mod callback;

pub mod execution;

pub mod download;

pub mod notification;

// What goes through all of them: a change of the secret key.
pub mod rotation;

// An imitation of the API, which knows the kernel only.
pub mod sandbox;

// Drivers and edges.
pub mod app;
pub mod http;
pub mod retention;
pub mod worker;

// The way in: settings, the log, and the commands.
pub mod cli;
pub mod config;
pub mod telemetry;
