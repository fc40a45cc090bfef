//! Who enforces a session's limits.

use super::{Check, Facts};

pub(super) fn cgroups(facts: &Facts) -> Check {
    const NAME: &str = "cgroups";
    let groups = &facts.cgroups;
    let v1 = |name: &str| groups.v1.iter().any(|known| known == name);
    if groups.v2 && groups.v2_controllers {
        let message = "v2 with memory and pids: the kernel enforces both limits of every session \
                       and ends a session as one";
        return Check::ok(NAME, message);
    }

    let mut missing = Vec::new();
    if !v1("memory") {
        missing.push("memory is watched by the session's own guest, which can be late");
    }
    if !v1("pids") {
        missing.push("the number of processes is not limited");
    }
    if !groups.v2 {
        missing.push("a session is ended process by process");
    }
    if missing.is_empty() {
        let message = "v1 and v2 together: v1 enforces the limits of memory and processes, v2 counts \
                       CPU time and ends a session as one";
        return Check::ok(NAME, message);
    }
    let found = match (groups.v2, groups.v2_mounted) {
        (true, _) => "v2 without the controllers memory and pids",
        (false, true) => "v2 is there, but we may not make groups in it",
        (false, false) => "no v2 tree is mounted",
    };
    let message = format!("{found}: {}", missing.join("; "));
    Check::warn(NAME, message, mend(facts))
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
