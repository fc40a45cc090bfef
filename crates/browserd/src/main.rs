//! The program: reads the command line and hands over.
//!
//! Owns settings, logging, the checks of the host and the first secrets; knows of sessions only
//! whom to ask.

mod cli;
mod doctor;
mod first_key;
#[cfg(test)]
mod layers;
mod logs;
#[cfg(test)]
mod openapi;
mod programs;
mod serve;
mod session;
mod settings;
mod state;
mod stop;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(flags) => serve::run(flags),
        Command::Doctor(args) => doctor::run(args),
        Command::Shim => Ok(session::shim()),
        Command::Guest => session::guest(),
    };
    outcome.unwrap_or_else(|error| {
        // Nothing is left to try if this fails too.
        let _ = writeln!(std::io::stderr(), "browserd: {error:#}");
        ExitCode::FAILURE
    })
}
