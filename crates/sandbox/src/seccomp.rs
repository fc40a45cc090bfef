//! The system calls a session may not make.
//!
//! A list of refusals rather than of permissions: Chromium, its nested sandbox and whatever people
//! run in a session need most of the kernel's ordinary surface, and the namespaces, the foreign uid
//! and the empty capability set carry the weight. Refused is what has no use inside and a history of
//! holes, or what reaches beyond namespaces (`AF_VSOCK`, keyrings, mounts). Calls newer than this list
//! answer ENOSYS, so that a kernel upgrade opens nothing.
//!
//! Not refused, because Chromium's own sandbox needs them: `clone`/`unshare` with `CLONE_NEWUSER`,
//! `CLONE_NEWPID` and `CLONE_NEWNET`, `chroot`, `seccomp`, `prctl`.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, sock_filter,
};

/// The highest call the list was written against: `mseal`, Linux 6.10. Numbers from 424 on are the
/// same on every architecture.
const NEWEST_KNOWN: u32 = 462;

/// Calls that always answer EPERM.
const REFUSED: &[libc::c_long] = &[
    // mounts and namespaces: the root is built before the filter stands
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_setns,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    // kernel code, kernel memory, the machine
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    // large surfaces without use inside
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // the host has so many requests of this kind for all (fs.aio-max-nr), and one call may take all
    libc::SYS_io_setup,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    libc::SYS_nfsservctl,
    libc::SYS_lookup_dcookie,
];

#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[libc::c_long] = &[
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_uselib,
    libc::SYS_ustat,
    libc::SYS_sysfs,
    libc::SYS__sysctl,
    libc::SYS_modify_ldt,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[libc::c_long] = &[];

/// Namespaces that nothing inside may make; user, pid and net stay for Chromium's sandbox.
const REFUSED_NAMESPACES: [libc::c_int; 5] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWTIME,
];

/// Terminal requests that type into another's terminal.
const REFUSED_IOCTLS: [u32; 2] = [libc::TIOCSTI as u32, libc::TIOCLINUX as u32];

/// `personality` values that only change what a program sees of itself.
const PERSONALITIES: [u64; 5] = [0, 0x0008, 0x0002_0000, 0x0002_0008, 0xffff_ffff];

/// The program for this architecture.
pub(crate) fn program() -> io::Result<BpfProgram> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in REFUSED.iter().chain(REFUSED_HERE) {
        rules.insert(*call, Vec::new());
    }
    rules.insert(libc::SYS_socket, socket_rules()?);
    rules.insert(libc::SYS_socketpair, socket_rules()?);
    for call in [libc::SYS_clone, libc::SYS_unshare] {
        let each = REFUSED_NAMESPACES.iter().map(|flag| {
            let flag = u64::from(flag.cast_unsigned());
            rule(vec![condition(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(flag), flag)?])
        });
        rules.insert(call, each.collect::<io::Result<_>>()?);
    }
    let each = REFUSED_IOCTLS.iter().map(|request| {
        let request = u64::from(*request);
        rule(vec![condition(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, request)?])
    });
    rules.insert(libc::SYS_ioctl, each.collect::<io::Result<_>>()?);
    // Limits of another process: who is of PID 1's user could leave it without descriptors, by the number
    // of any of its threads. One's own are set by 0.
    let another = condition(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, 0)?;
    let set = condition(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0)?;
    rules.insert(libc::SYS_prlimit64, vec![rule(vec![another, set])?]);
    let none_of = PERSONALITIES
        .iter()
        .map(|value| condition(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, *value))
        .collect::<io::Result<_>>()?;
    rules.insert(libc::SYS_personality, vec![rule(none_of)?]);

    let arch = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM.cast_unsigned()),
        arch,
    )
    .map_err(io::Error::other)?;
    let list: BpfProgram = filter.try_into().map_err(io::Error::other)?;
    Ok(unknown_calls().into_iter().chain(other_netlink_sockets()).chain(list).collect())
}

/// Local, internet and netlink sockets only: everything else is a driver's surface, and `AF_VSOCK` would
/// reach the hypervisor past every network namespace. Of netlink only routes are left
/// ([`other_netlink_sockets`]).
fn socket_rules() -> io::Result<Vec<SeccompRule>> {
    let families = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
    let other_family = families
        .iter()
        .map(|family| {
            let family = u64::from(family.cast_unsigned());
            condition(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, family)
        })
        .collect::<io::Result<_>>()?;
    Ok(vec![rule(other_family)?])
}

fn condition(
    argument: u8,
    width: SeccompCmpArgLen,
    operator: SeccompCmpOp,
    value: u64,
) -> io::Result<SeccompCondition> {
    SeccompCondition::new(argument, width, operator, value).map_err(io::Error::other)
}

fn rule(conditions: Vec<SeccompCondition>) -> io::Result<SeccompRule> {
    SeccompRule::new(conditions).map_err(io::Error::other)
}

const LOAD_WORD_ABSOLUTE: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_GREATER: u16 = 0x25;
const RETURN: u16 = 0x06;

fn load(offset: u32) -> sock_filter {
    sock_filter { code: LOAD_WORD_ABSOLUTE, jt: 0, jf: 0, k: offset }
}

fn answer(errno: libc::c_int) -> sock_filter {
    const SECCOMP_RET_ERRNO: u32 = 0x0005_0000;
    let k = SECCOMP_RET_ERRNO | errno.cast_unsigned();
    sock_filter { code: RETURN, jt: 0, jf: 0, k }
}

/// Instructions before the list: a call above the newest known, which on x86-64 includes the whole
/// x32 table, answers ENOSYS. The list that follows begins with its own check of the architecture.
fn unknown_calls() -> [sock_filter; 3] {
    [
        load(NUMBER),
        sock_filter { code: JUMP_IF_GREATER, jt: 0, jf: 1, k: NEWEST_KNOWN },
        answer(libc::ENOSYS),
    ]
}

/// Instructions before the list, behind [`unknown_calls`]: a netlink socket of another protocol than routes
/// answers what a kernel without that protocol does. To EPERM programs would say that they cannot go on:
/// `useradd`, `chpasswd` and `su` do when they may not report to the audit subsystem, and do without it
/// when there is none.
fn other_netlink_sockets() -> [sock_filter; 7] {
    let equal = |k: u32, jt, jf| sock_filter { code: JUMP_IF_EQUAL, jt, jf, k };
    // The jumps lead behind the last instruction, but for the protocol that is refused.
    [
        load(NUMBER),
        equal(u32::try_from(libc::SYS_socket).unwrap_or(u32::MAX), 0, 5),
        load(argument(0)),
        equal(libc::AF_NETLINK.cast_unsigned(), 0, 3),
        load(argument(2)),
        equal(libc::NETLINK_ROUTE.cast_unsigned(), 1, 0),
        answer(libc::EPROTONOSUPPORT),
    ]
}

/// Where `struct seccomp_data` has the number of the call.
const NUMBER: u32 = 0;

/// Where `struct seccomp_data` has the lower half of an argument.
const fn argument(index: u32) -> u32 {
    const ARGUMENTS: u32 = 16;
    let half = if cfg!(target_endian = "big") { 4 } else { 0 };
    ARGUMENTS + 8 * index + half
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_compiles_and_fits_the_kernel() {
        let program = program().unwrap();
        // BPF_MAXINSNS
        assert!(program.len() > REFUSED.len() && program.len() < 4096);
    }

    /// What the instructions of [`other_netlink_sockets`] answer to a call; none: the list decides.
    fn answered(call: libc::c_long, first: libc::c_int, third: libc::c_int) -> Option<u32> {
        let (mut at, mut word) = (0, 0);
        let program = other_netlink_sockets();
        while let Some(step) = program.get(at) {
            at += 1;
            match step.code {
                LOAD_WORD_ABSOLUTE if step.k == NUMBER => word = u32::try_from(call).unwrap(),
                LOAD_WORD_ABSOLUTE if step.k == argument(0) => word = first.cast_unsigned(),
                LOAD_WORD_ABSOLUTE if step.k == argument(2) => word = third.cast_unsigned(),
                JUMP_IF_EQUAL => at += usize::from(if word == step.k { step.jt } else { step.jf }),
                RETURN => return Some(step.k & 0xffff),
                other => panic!("{other:#x} at {}", step.k),
            }
        }
        assert_eq!(at, program.len(), "no jump leads further than to the list");
        None
    }

    #[test]
    fn netlink_is_there_for_routes_only() {
        let absent = Some(libc::EPROTONOSUPPORT.cast_unsigned());
        let socket = |family, protocol| answered(libc::SYS_socket, family, protocol);
        for protocol in
            [libc::NETLINK_AUDIT, libc::NETLINK_NETFILTER, libc::NETLINK_KOBJECT_UEVENT, -1]
        {
            assert_eq!(socket(libc::AF_NETLINK, protocol), absent, "{protocol}");
        }
        assert_eq!(socket(libc::AF_NETLINK, libc::NETLINK_ROUTE), None);
        assert_eq!(socket(libc::AF_INET, libc::NETLINK_AUDIT), None);
        assert_eq!(answered(libc::SYS_connect, libc::AF_NETLINK, libc::NETLINK_AUDIT), None);
    }
}
