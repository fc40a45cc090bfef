//! Sessions as a whole: creation, lookup, activity, end; the seam to where they run.
//!
//! Owns the life of every session: one task each, which alone changes its state. Knows no HTTP:
//! the server reads through [`Fleet`] and [`LiveSession`] and sends commands, it never mutates.
//!
//! ```text
//!  Fleet::create ─▶ admission ─▶ session actor ─▶ row in the store ─▶ from the pool, or Runtime::start ─▶ LiveSession
//!                                            │  ▲
//! change, delete, idle, shutdown ── inbox ───┘  └── RuntimeEvent (lost, back, ended)
//! ```

mod actor;
mod admission;
mod change;
pub mod conformance;
mod directory;
mod error;
mod fleet;
mod forget;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod life;
mod live;
pub mod local;
mod metrics;
mod pool;
mod profile_exporter;
mod runtime;
mod session;
mod stream;

pub use admission::{Budgets, Limit};
pub use change::{Change, ChangeServices, ProfileChoice, ProxyChoice, Resize, StepError};
pub use error::FleetError;
pub use fleet::{Fleet, FleetOptions, PING_EVERY, ProjectFleet, Standby};
pub use live::{Activity, Ended, LiveSession, WakeLock};
pub use metrics::Metrics;
pub use pool::{CHROMIUM_SETTLES, Class, PoolSize};
pub use profile_exporter::{ProfileExporter, SaveOutcome, may_save_profile};
pub use runtime::{CommandError, Headroom, Instance, Runtime, RuntimeEvent, StartError, Urgency};
pub use session::{NewSession, Page, Stages};
pub use stream::{BrowserStream, ByteStream};

pub use browserd_store::{Filter as ListSessions, SessionRow as SessionView};
