//! What is told of the program and its process, under the names of Prometheus' own clients.

use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

pub(super) fn register(registry: &mut Registry) {
    registry.register(
        "browserd_build",
        "The version that runs",
        Info::new([("version", env!("CARGO_PKG_VERSION"))]),
    );
    // Of what cannot be read there is no figure.
    if let Some(bytes) = resident() {
        registry.register_with_unit(
            "process_resident_memory",
            "Memory of the server itself, without its sessions",
            Unit::Bytes,
            ConstGauge::new(bytes),
        );
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // The listing itself has one open.
        let open = u64::try_from(open.count()).unwrap_or_default().saturating_sub(1);
        registry.register(
            "process_open_fds",
            "Open descriptors of the server",
            ConstGauge::new(open),
        );
    }
}

/// Bytes of memory this process has.
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * u64::try_from(rustix::param::page_size()).ok()?)
}
