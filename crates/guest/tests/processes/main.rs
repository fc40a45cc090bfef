//! Processes inside, through the guest's HTTP API: a real guest, started again from this binary.

#[macro_use]
mod harness;

mod exec;
mod figures;
mod output;
mod stalled;
mod status;

#[test]
#[ignore = "the guest itself, started by the other tests"]
fn serve_as_guest() {
    harness::guest_main();
}
