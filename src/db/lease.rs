//! Claims that run out. A short transaction takes the lease, the world is talked to with no transaction open, and a short
//! transaction records the outcome if the claim number is still ours. Long work renews its lease meanwhile.

use std::future::Future;
use std::time::Duration;

use super::{StoreError, Stored};

/// A third of the lease, so that one failed renewal loses nothing.
const RENEW_EVERY: Duration = Duration::from_secs(10);

/// Ends what should have ended long ago: where the network swallowed the answer to a query, nothing else ever would. The
/// connection is not used again.
pub async fn in_time<T>(most: Duration, work: impl Future<Output = Stored<T>>) -> Stored<T> {
    tokio::time::timeout(most, work).await.unwrap_or(Err(StoreError::Silent))
}

/// Does long work while `renew` keeps its lease. Work whose lease was lost is dropped where it stands.
pub async fn while_renewing<T, F>(work: impl Future<Output = T>, renew: impl Fn() -> F) -> Stored<T>
where
    F: Future<Output = Stored<()>>,
{
    let lost = async {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            match in_time(RENEW_EVERY, renew()).await {
                Err(StoreError::Lost) => return,
                // The database may be back before the lease has run out.
                Err(error) => tracing::debug!(%error, "failed to renew a lease"),
                Ok(()) => {}
            }
        }
    };
    // Side by side: a renewal that hangs does not hold up the work and its deadlines.
    tokio::select! {
        done = work => Ok(done),
        () = lost => Err(StoreError::Lost),
    }
}
