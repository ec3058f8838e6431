//! Claims that run out. A short transaction takes the lease, the world is talked to with no transaction open, and a short
//! transaction records the outcome if the claim number is still ours. Long work renews its lease meanwhile.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use super::{StoreError, Stored};

/// A third of the lease, so that one failed renewal loses nothing.
const RENEW_EVERY: Duration = Duration::from_secs(10);

/// Does long work while `renew` keeps its lease. Work whose lease was lost is dropped where it stands.
pub async fn while_renewing<T, F>(work: impl Future<Output = T>, renew: impl Fn() -> F) -> Stored<T>
where
    F: Future<Output = Stored<()>>,
{
    let mut work = pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Ok(done),
            () = tokio::time::sleep(RENEW_EVERY) => match renew().await {
                Err(StoreError::Lost) => return Err(StoreError::Lost),
                // The database may be back before the lease has run out.
                Err(error) => tracing::debug!(%error, "failed to renew a lease"),
                Ok(()) => {}
            },
        }
    }
}
