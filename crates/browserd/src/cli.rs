//! The command line.

use clap::{Args, Parser, Subcommand};

use crate::settings::Flags;

/// Isolated Chromium sessions behind one HTTP API, on your own machine
#[derive(Debug, Parser)]
#[command(name = "browserd", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server
    #[command(after_long_help = AFTER_HELP, after_help = AFTER_HELP)]
    Serve(Flags),
    /// Check whether this host can run sessions, and say how to mend what is missing
    Doctor(DoctorArgs),
    /// Hold one session; started by `serve`
    #[command(hide = true)]
    Shim,
    /// Be PID 1 of one session; started by the shim
    #[command(hide = true)]
    Guest,
}

/// What `doctor` takes.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Print one JSON document instead of lines
    #[arg(long)]
    pub(crate) json: bool,
    /// Only try to make the namespaces of a session and say how far it got; `doctor` starts itself
    /// with this
    #[arg(long, hide = true)]
    pub(crate) probe_userns: bool,
    /// Tries to set up a session's network and says how it went; `doctor` starts itself with this.
    #[arg(long, hide = true)]
    pub(crate) probe_network: bool,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

/// What has no flag.
const AFTER_HELP: &str = "\
The API key comes from the variable BROWSERD_API_KEY. It has no flag and no place in the file,
because arguments are shown to every user of the machine and files are copied around. Without it, the
key is what is in <state-dir>/api-key (mode 0600): one is made at the first start and printed once.

A flag wins over its variable, a variable over the file, the file over the default.";
