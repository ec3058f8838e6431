//! The dashboard.

use axum::Router;

use crate::app::App;

/// The dashboard's pages.
pub fn router() -> Router<App> {
    Router::new()
}
