//! Walls and limits as a session has them. A test harness of its own: raising walls needs a process
//! with one thread, so each scene is played in a process of its own, which is this binary.
#![cfg(target_os = "linux")]
#![expect(clippy::print_stdout, reason = "a test harness of its own")]

mod limits;
mod support;
mod walls;

fn main() {
    if !walls::play() && !limits::play() {
        let failed = walls::harness() | limits::harness();
        std::process::exit(failed);
    }
}
