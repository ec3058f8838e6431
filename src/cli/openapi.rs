//! `tidings openapi`: prints the OpenAPI document.

use super::say;
use crate::http;

/// Prints it.
pub(super) fn run() {
    say::line(&http::openapi());
}
