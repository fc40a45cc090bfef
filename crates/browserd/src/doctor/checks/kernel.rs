//! What the kernel offers, and lets us have.

use super::{Check, Facts};

/// The first kernel with all the walls are built of; `cgroup.kill` came last.
const LEAST_KERNEL: (u32, u32) = (5, 14);
/// The first that maps uids of an overlay's layers.
const IDMAPPED_LAYERS: (u32, u32) = (5, 19);

const KERNEL: [&str; 3] = [
    if cfg!(target_arch = "aarch64") { "linux-image-arm64" } else { "linux-image-amd64" },
    "kernel",
    "linux",
];

/// Major and minor of a release like `6.1.0-28-amd64`.
fn numbers(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

pub(super) fn version(facts: &Facts) -> Check {
    const NAME: &str = "kernel";
    let release = &facts.kernel.release;
    match numbers(release) {
        Some(version) if version < LEAST_KERNEL => Check::fail(
            NAME,
            format!("Linux {release} is too old: sessions need 5.14 or newer (cgroup.kill)"),
            facts.install("a newer kernel", KERNEL) + " && reboot",
        ),
        Some(version) if version < IDMAPPED_LAYERS && facts.is_root => Check::warn(
            NAME,
            format!(
                "Linux {release} cannot map uids of an overlay's layers (5.19 can): inside sessions \
                 the system's files belong to nobody instead of root"
            ),
            facts.install("a newer kernel", KERNEL) + " && reboot",
        ),
        _ => Check::ok(NAME, format!("Linux {release}")),
    }
}

pub(super) fn namespaces(facts: &Facts) -> Check {
    const NAME: &str = "user namespaces";
    const NEED: &str = "Chromium's own sandbox and the walls of sessions need them";
    let host = &facts.namespaces;
    let Err(why) = &host.tried else {
        return Check::ok(NAME, "an ordinary user can make all namespaces, also nested");
    };
    if host.most == Some(0) {
        return Check::fail(
            NAME,
            format!("user.max_user_namespaces is 0; {NEED}"),
            facts.set_knob("user.max_user_namespaces=65536"),
        );
    }
    if host.unprivileged_allowed == Some(false) {
        return Check::fail(
            NAME,
            format!("kernel.unprivileged_userns_clone is 0; {NEED}"),
            facts.set_knob("kernel.unprivileged_userns_clone=1"),
        );
    }
    if host.apparmor_restricts == Some(true) {
        return Check::fail(
            NAME,
            format!("AppArmor lets no ordinary user make them ({why}); {NEED}"),
            facts.set_knob("kernel.apparmor_restrict_unprivileged_userns=0"),
        );
    }
    Check::fail(
        NAME,
        format!("an ordinary user cannot make them ({why}); {NEED}"),
        "if this is a container, start it with a runtime that allows them, e.g. docker run \
         --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
         --security-opt systempaths=unconfined --cap-add SYS_ADMIN",
    )
}

pub(super) fn network(facts: &Facts) -> Check {
    const NAME: &str = "network";
    match &facts.namespaces.network {
        Ok(()) => Check::ok(NAME, "every program inside reaches the gateway, and nothing else"),
        // Where there are no namespaces that is said already.
        Err(_) if facts.namespaces.tried.is_err() => Check::ok(NAME, "not without namespaces"),
        Err(why) => Check::warn(
            NAME,
            format!(
                "programs that do not use the proxy have no network inside, and browsers say that they are \
                 offline ({why})"
            ),
            facts.as_root(
                "modprobe -a bridge nf_tables nft_chain_nat nft_redir nft_reject_ipv4 nft_ct",
            ),
        ),
    }
}

pub(super) fn seccomp(facts: &Facts) -> Check {
    const NAME: &str = "seccomp";
    if facts.kernel.seccomp {
        Check::ok(NAME, "the kernel filters system calls")
    } else {
        Check::fail(
            NAME,
            "this kernel cannot filter system calls (CONFIG_SECCOMP_FILTER), one of the walls",
            facts.install("the distribution's kernel", KERNEL) + " && reboot",
        )
    }
}

pub(super) fn overlay(facts: &Facts) -> Check {
    const NAME: &str = "overlay";
    const WITHOUT: &str = "sessions get a private root folder and a read-only /usr instead";
    if !facts.is_root {
        return Check::ok(NAME, format!("not for an ordinary user: {WITHOUT}"));
    }
    if !facts.kernel.overlay {
        return Check::warn(
            NAME,
            format!("this kernel has no overlay filesystem: {WITHOUT}"),
            "modprobe overlay",
        );
    }
    if facts.disk.is_overlay {
        return Check::warn(
            NAME,
            format!(
                "{} is itself on an overlay, as in a container, and cannot hold another: {WITHOUT}",
                facts.disk.state_dir.display()
            ),
            format!(
                "put a volume or disk there, e.g. docker run -v browserd:{}",
                facts.disk.state_dir.display()
            ),
        );
    }
    Check::ok(NAME, "sessions get an overlay of /usr they may write to")
}

pub(super) fn shared_memory(facts: &Facts) -> Check {
    const NAME: &str = "shared memory";
    if facts.kernel.shared_memory {
        Check::ok(NAME, "/dev/shm is a tmpfs; every session gets one of its own")
    } else {
        Check::warn(
            NAME,
            "/dev/shm is no tmpfs here; every session gets one of its own, if the kernel has tmpfs",
            facts.as_root("mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs /dev/shm"),
        )
    }
}

pub(super) fn ptrace(facts: &Facts) -> Check {
    const NAME: &str = "ptrace";
    match facts.kernel.ptrace_scope {
        Some(3) => Check::warn(
            NAME,
            "kernel.yama.ptrace_scope is 3: strace and gdb do not work inside sessions",
            facts.as_root(
                "sh -c 'echo kernel.yama.ptrace_scope=1 > /etc/sysctl.d/99-ptrace.conf' && reboot",
            ),
        ),
        Some(scope) => Check::ok(NAME, format!("kernel.yama.ptrace_scope is {scope}")),
        None => Check::ok(NAME, "this kernel has no Yama; sessions cannot see each other anyway"),
    }
}
