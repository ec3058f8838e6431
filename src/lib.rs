//! Tidings registers scheduled reports at Microsoft's Partner Insights API, hears when they are ready, archives them and
//! tells everyone who asked.
//!
//! The modules in reading order. First the kernel, which knows nothing of the product:
pub mod clock;
pub mod id;
pub mod outbound;
pub mod retry;
pub mod secret;
