//! What `…/validate` answers: everything is checked as if it were to be stored, and nothing is. What is wrong is told as it is
//! when storing, so that who plans much can be told of all of it before anything is done.

use serde::Serialize;
use utoipa::ToSchema;

/// It would be taken.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct Valid {
    /// What whoever does it should know, such as a run that will not happen.
    pub(super) warnings: Vec<String>,
}
