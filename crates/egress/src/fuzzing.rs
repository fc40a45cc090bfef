//! Fuzz targets of what a session and its origins say to the gateway. See `docs/fuzzing.md`.

#[path = "../../../fuzz/common/headers.rs"]
pub(crate) mod headers;
#[path = "../../../fuzz/common/runtime.rs"]
mod runtime;
#[cfg(test)]
#[path = "../../../fuzz/common/seeds.rs"]
mod seeds;

mod gateway;
mod proxy;
mod verdicts;

/// A name, and what takes any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("egress_address", verdicts::address),
    ("egress_dns", gateway::dns),
    ("egress_gateway", gateway::gateway),
    ("egress_headers", verdicts::headers),
    ("egress_proxy", proxy::answers),
    ("egress_target", verdicts::target),
];

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_hold() {
        super::seeds::hold(super::TARGETS);
    }
}
