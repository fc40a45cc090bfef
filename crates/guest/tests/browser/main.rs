//! The session's browser: real Chromium without walls.
#![allow(clippy::print_stderr, reason = "figures for whoever looks at a run")]

mod support;

mod crash_loop;
mod headful;
mod headless;
mod kiosk;
mod missing;
mod profile;
mod shortage;
mod zygote;

/// Tests that look at all children of their process, or change its limits.
macro_rules! alone {
    ($($file:ident::$name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            support::alone(stringify!($name), $file::$name);
        })*
    };
}

alone!(
    crash_loop::a_crash_loop_is_fatal,
    headful::the_window_fills_the_screen,
    headless::a_headless_browser_from_start_to_end,
    kiosk::the_page_fills_the_screen,
    missing::a_missing_program_is_fatal_at_once,
    profile::a_profile_from_one_browser_to_the_next,
    shortage::a_shortage_at_a_restart_passes,
    zygote::a_chromium_without_its_zygote_is_started_again,
);
