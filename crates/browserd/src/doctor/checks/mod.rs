//! Facts in, judgements out. Nothing here looks at the host.

mod host;
mod kernel;
mod limits;
mod software;

use super::Check;
use super::facts::{Distribution, Facts};

/// Every check, in the order of the report.
pub(super) fn check(facts: &Facts) -> Vec<Check> {
    let mut checks = vec![software::chromium(facts)];
    checks.extend(software::headless_shell(facts));
    checks.extend([
        software::languages(facts),
        software::xvfb(facts),
        software::chromedriver(facts),
        software::ffmpeg(facts),
        software::pulseaudio(facts),
        software::node(facts),
        software::runners(facts),
        software::fonts(facts),
        software::time_zones(facts),
        kernel::version(facts),
        kernel::namespaces(facts),
        kernel::network(facts),
        kernel::seccomp(facts),
        kernel::overlay(facts),
        kernel::shared_memory(facts),
        kernel::ptrace(facts),
        limits::cgroups(facts),
        host::identity(facts),
        host::disk(facts),
        host::reserve(facts),
        limits::session_disk(facts),
        host::memory(facts),
    ]);
    checks.extend(host::merging(facts));
    checks
}

impl Facts {
    /// A command as it has to be typed to run as root.
    fn as_root(&self, command: &str) -> String {
        if self.is_root { command.to_owned() } else { format!("sudo {command}") }
    }

    /// Sets a kernel knob now and for every start to come.
    fn set_knob(&self, knob: &str) -> String {
        let (name, _) = knob.split_once('=').unwrap_or((knob, ""));
        let file = format!("/etc/sysctl.d/90-browserd-{}.conf", name.replace('.', "-"));
        let keep = format!("sh -c 'echo {knob} > {file} && sysctl -p {file}'");
        self.as_root(&keep)
    }

    /// Installs a package by its name in each distribution: Debian and Ubuntu, Fedora, Arch.
    fn install(&self, what: &str, [debian, fedora, arch]: [&str; 3]) -> String {
        match self.distribution {
            Distribution::Debian | Distribution::Ubuntu => {
                self.as_root(&format!("apt-get install -y {debian}"))
            }
            Distribution::Fedora => self.as_root(&format!("dnf install -y {fedora}")),
            Distribution::Arch => self.as_root(&format!("pacman -S --noconfirm {arch}")),
            Distribution::Other => format!("install {what} with this system's package manager"),
        }
    }
}
