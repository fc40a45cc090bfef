//! What a PID 1 owes: it reaps everything, whoever started it, and its end is the session's end.
//!
//! Owns the table of children, the signals of the guest, and the line to the shim. Knows nothing
//! of the programs it starts.

mod children;
mod shim;
mod signals;

pub use children::{Child, Children, ExitStatus, TreeRoot};
pub use shim::{Orders, ShimLine};
pub use signals::{raise_descriptor_limit, termination};
