//! Sessions as a whole: creation, lookup, activity, end; the seam to where they run.
//!
//! Owns the life of every session: one task each, which alone changes its state. Knows no HTTP:
//! the server reads through [`Fleet`] and [`LiveSession`] and asks, it never mutates.
//!
//! ```text
//!  Fleet::create ─▶ admission ─▶ owner task ─▶ row in the store ─▶ from the pool, or Runtime::start ─▶ LiveSession
//!                                          │  ▲
//!       delete, idle, shutdown ── inbox ───┘  └── RuntimeEvent (lost, back, ended)
//! ```

mod admission;
mod error;
mod fleet;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod life;
mod live;
pub mod local;
mod metrics;
mod owner;
mod pool;
mod runtime;
mod saver;
mod session;

pub use admission::{Budgets, Limit};
pub use error::FleetError;
pub use fleet::{Fleet, FleetOptions, ProjectFleet, Standby};
pub use live::{Activity, BrowserSocket, LiveSession, StayAwake};
pub use metrics::Metrics;
pub use pool::{CHROMIUM_SETTLES, Class, PoolSize};
pub use runtime::{Headroom, Instance, Runtime, RuntimeEvent, StartError, Urgency};
pub use saver::ProfileSaver;
pub use session::{NewSession, Page, Stages};

pub use browserd_store::{Filter as ListSessions, SessionPatch, SessionRow as SessionView};
