//! Who enforces a session's limits.

use super::{Check, Facts};

const NAME: &str = "cgroups";

pub(super) fn cgroups(facts: &Facts) -> Check {
    let groups = match &facts.cgroups.tried {
        Ok(groups) => groups,
        // `serve` would stop at the same step.
        Err(why) => return Check::fail(NAME, format!("cannot make groups: {why}"), mend(facts)),
    };
    let v1 = |name: &str| groups.v1.iter().any(|known| known == name);
    let mut missing = Vec::new();
    if !groups.v2_controllers && !v1("memory") {
        missing.push("memory is watched by the session's own guest, which can be late");
    }
    if !groups.v2_controllers && !v1("pids") {
        missing.push(if facts.is_root {
            "processes are counted for each user inside (RLIMIT_NPROC), not for the session"
        } else {
            "processes are limited by RLIMIT_NPROC"
        });
    }
    if !groups.cpu {
        missing.push("CPU is not limited, and --cpu-max-pct does nothing");
    }
    if !groups.v2 {
        missing.push("a session is held together by its first process alone");
    }
    if missing.is_empty() {
        return Check::ok(
            NAME,
            if groups.v2_controllers {
                "v2 with memory, pids and cpu: the kernel enforces every session's limits and ends a \
             session as one"
            } else {
                "v1 and v2 together: v1 enforces the limits of memory, processes and CPU, v2 counts CPU \
             time and ends a session as one"
            },
        );
    }
    let found = match (groups.v2, facts.cgroups.v2_mounted) {
        (true, _) if groups.v2_controllers => "v2 without the controller cpu",
        (true, _) => "v2 without the controllers memory and pids",
        (false, true) => "v2 is there, but we may not make groups in it",
        (false, false) => "no v2 tree is mounted",
    };
    Check::warn(NAME, format!("{found}: {}", missing.join("; ")), mend(facts))
}

/// Who keeps the limit of what a session has on the disk.
pub(super) fn session_disk(facts: &Facts) -> Check {
    const NAME: &str = "session disk";
    match facts.disk.session_limit {
        0 => Check::warn(
            NAME,
            "no limit: one session may fill the disk for all others",
            "set --session-disk-mib to what one session may have",
        ),
        limit => Check::ok(
            NAME,
            format!(
                "{} MiB ({:.1} GiB) each, counted by the session's shim every few seconds, not kept by \
                 a quota of the file system: what writes on is killed when it is seen, and may be over \
                 the limit until then",
                limit >> 20,
                limit as f64 / (1u64 << 30) as f64,
            ),
        ),
    }
}

fn mend(facts: &Facts) -> String {
    if !facts.cgroups.v2_mounted {
        return facts.as_root("mount -t cgroup2 cgroup2 /sys/fs/cgroup")
            + "   (or boot with systemd.unified_cgroup_hierarchy=1)";
    }
    if facts.is_root {
        "start it as a service of its own: systemd-run -p Delegate=yes browserd serve   (in a \
         container: docker run --cgroupns=private --security-opt writable-cgroups=true)"
            .to_owned()
    } else {
        "start it in a scope of its own: systemd-run --user --scope -p Delegate=yes browserd serve"
            .to_owned()
    }
}
