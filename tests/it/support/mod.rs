//! What several areas of tests share.

pub(crate) mod app;
pub(crate) mod command;
pub(crate) mod database;
pub(crate) mod message;
pub(crate) mod peers;
pub(crate) mod scene;
pub(crate) mod server;
