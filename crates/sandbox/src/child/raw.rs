//! System calls without libc: libc's wrappers write `errno`, which lives in memory the child
//! shares with its parent, and some take locks or signal other threads.

use std::arch::asm;
use std::ffi::c_void;

/// The argument of `clone3`, as far as this crate uses it.
#[repr(C, align(8))]
#[derive(Debug, Default)]
pub(super) struct CloneArgs {
    pub(super) flags: u64,
    pub(super) pidfd: u64,
    pub(super) child_tid: u64,
    pub(super) parent_tid: u64,
    pub(super) exit_signal: u64,
    pub(super) stack: u64,
    pub(super) stack_size: u64,
    pub(super) tls: u64,
    pub(super) set_tid: u64,
    pub(super) set_tid_size: u64,
    pub(super) cgroup: u64,
}

pub(super) const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
pub(super) const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;

/// What the child runs; never returns.
pub(super) type Entry = unsafe extern "C" fn(*mut c_void) -> !;

/// One system call; returns its value or the negated errno.
///
/// # Safety
///
/// The arguments are what the call `number` expects; pointers among them are valid for what the
/// kernel does with them.
#[cfg(target_arch = "x86_64")]
pub(super) unsafe fn syscall(number: i64, args: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the caller vouches for number and arguments; the instruction clobbers rcx and r11.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") args[0],
            in("rsi") args[1],
            in("rdx") args[2],
            in("r10") args[3],
            in("r8") args[4],
            in("r9") args[5],
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// One system call; returns its value or the negated errno.
///
/// # Safety
///
/// The arguments are what the call `number` expects; pointers among them are valid for what the
/// kernel does with them.
#[cfg(target_arch = "aarch64")]
pub(super) unsafe fn syscall(number: i64, args: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the caller vouches for number and arguments.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") args[0] => result,
            in("x1") args[1],
            in("x2") args[2],
            in("x3") args[3],
            in("x4") args[4],
            in("x5") args[5],
        );
    }
    result
}

/// `clone3`, whose child calls `entry(context)` at once and never comes back here. Without a stack
/// of its own in `args` the child goes on below the caller's stack pointer, which is sound only
/// while the caller is suspended (`CLONE_VFORK`). Returns the child's pid or the negated errno.
///
/// # Safety
///
/// `args` asks for `CLONE_VM` with `CLONE_VFORK`, or with a stack that outlives the child; `entry`
/// is sound with `context` in such a process.
#[cfg(target_arch = "x86_64")]
pub(super) unsafe fn clone3(args: &CloneArgs, entry: Entry, context: *mut c_void) -> isize {
    let result: isize;
    // SAFETY: the parent leaves the block with only rax, rcx and r11 changed. The child never
    // leaves it: it aligns its stack and calls. The block may push (no `nostack`), so nothing live
    // lies below the stack pointer it starts from.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r13",
            "and rsp, -16",
            "call r12",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 as isize => result,
            in("rdi") args,
            in("rsi") size_of::<CloneArgs>(),
            in("r12") entry,
            in("r13") context,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// `clone3`, whose child calls `entry(context)` at once and never comes back here. Without a stack
/// of its own in `args` the child goes on below the caller's stack pointer, which is sound only
/// while the caller is suspended (`CLONE_VFORK`). Returns the child's pid or the negated errno.
///
/// # Safety
///
/// `args` asks for `CLONE_VM` with `CLONE_VFORK`, or with a stack that outlives the child; `entry`
/// is sound with `context` in such a process.
#[cfg(target_arch = "aarch64")]
pub(super) unsafe fn clone3(args: &CloneArgs, entry: Entry, context: *mut c_void) -> isize {
    let result: isize;
    // SAFETY: the parent leaves the block with only x0 changed. The child never leaves it. The
    // block may push (no `nostack`), so nothing live lies below the stack pointer.
    unsafe {
        asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, x21",
            "blr x20",
            "brk #1",
            "2:",
            in("x8") libc::SYS_clone3,
            inlateout("x0") args as *const CloneArgs as usize => result,
            in("x1") size_of::<CloneArgs>(),
            in("x20") entry,
            in("x21") context,
        );
    }
    result
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("browserd starts processes on x86_64 and aarch64 only");

macro_rules! call {
    ($number:expr $(, $arg:expr)* $(,)?) => {{
        let given = [$($arg as usize),*];
        let mut args = [0usize; 6];
        let mut i = 0;
        while i < given.len() && i < 6 {
            args[i] = given[i];
            i += 1;
        }
        $crate::child::raw::syscall($number, args)
    }};
}
pub(super) use call;

/// Ends the calling process.
pub(super) fn exit(code: i32) -> ! {
    loop {
        // SAFETY: takes no pointer and does not return.
        unsafe { call!(libc::SYS_exit_group, code) };
    }
}
