//! The read-only part of every session's root besides /usr: a filtered /etc and empty folders.
//!
//! Made once a server start, from the host, by a list of what may be copied. What is not listed
//! stays out, so a secret in /etc cannot slip in by oversight.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::WallError;
use crate::error::Step;

/// What of the host's /etc programs need and which holds no secret.
const ETC: &[&str] = &[
    "alternatives",
    "bash.bashrc",
    "ca-certificates.conf",
    "adduser.conf",
    "debian_version",
    "default/locale",
    "default/useradd",
    "deluser.conf",
    "fonts",
    "gai.conf",
    "inputrc",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "locale.alias",
    "localtime",
    "login.defs",
    "magic",
    "mime.types",
    "os-release",
    "profile",
    "protocols",
    "services",
    "shells",
    "skel",
    "ssl/certs",
    "ssl/openssl.cnf",
    "terminfo",
    "timezone",
    "X11/rgb.txt",
    "xdg/user-dirs.defaults",
];

/// Caches below /var that only save time.
const VAR: &[&str] = &["cache/fontconfig"];

/// Top-level names that are the host's: a symlink into /usr on a merged host, else a folder that
/// is bound read-only.
pub(crate) const HOST_FOLDERS: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// Every other top-level folder.
const FOLDERS: &[(&str, u32)] = &[
    ("usr", 0o755),
    ("dev", 0o755),
    ("proc", 0o755),
    ("sys", 0o755),
    ("run", 0o755),
    ("tmp", 0o1777),
    ("var", 0o755),
    ("home", 0o755),
    ("root", 0o700),
    ("etc", 0o755),
    ("etc/chromium", 0o755),
    ("etc/chromium/policies", 0o755),
    ("etc/chromium/policies/managed", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("srv", 0o755),
    ("sys/devices", 0o755),
    ("sys/devices/system", 0o755),
    ("sys/devices/system/cpu", 0o755),
    ("var/cache", 0o755),
    ("var/lib", 0o755),
    ("var/log", 0o755),
    ("var/spool", 0o755),
    ("var/tmp", 0o1777),
    (".browserd", 0o755),
];

const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
bin:x:2:2:bin:/bin:/usr/sbin/nologin
sys:x:3:3:sys:/dev:/usr/sbin/nologin
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
kernel:x:1000:1000:Browser user:/home/kernel:/bin/bash
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
";

const GROUP: &str = "\
root:x:0:
daemon:x:1:
bin:x:2:
sys:x:3:
tty:x:5:
audio:x:29:kernel
video:x:44:kernel
www-data:x:33:
kernel:x:1000:
nogroup:x:65534:
";

/// No user has a password until root inside gives it one.
const SHADOW: &str = "\
root:*:20000:0:99999:7:::
daemon:*:20000:0:99999:7:::
bin:*:20000:0:99999:7:::
sys:*:20000:0:99999:7:::
www-data:*:20000:0:99999:7:::
kernel:*:20000:0:99999:7:::
nobody:*:20000:0:99999:7:::
";

/// How users show who they are, for programs such as `su` and `chpasswd`: by their passwords, but for root. Not the
/// host's, which may ask servers and cards that are not there. What packages inside bring includes these by name.
const PAM: [(&str, &str); 6] = [
    ("etc/pam.d/common-auth", "auth sufficient pam_rootok.so\nauth required pam_unix.so\n"),
    ("etc/pam.d/common-account", "account required pam_unix.so\n"),
    ("etc/pam.d/common-password", "password required pam_unix.so yescrypt\n"),
    ("etc/pam.d/common-session", "session required pam_unix.so\n"),
    ("etc/pam.d/common-session-noninteractive", "session required pam_unix.so\n"),
    // Of programs that have no file of their own.
    (
        "etc/pam.d/other",
        "@include common-auth\n@include common-account\n@include common-password\n@include common-session\n",
    ),
];

const HOSTS: &str = "\
127.0.0.1\tlocalhost
127.0.1.1\tbrowser
::1\tlocalhost ip6-localhost ip6-loopback
";
const NSSWITCH: &str = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n";

/// Builds a skeleton in `folder`, which must not exist yet. `resolver` answers DNS questions inside.
pub fn build(folder: &Path, resolver: Ipv4Addr) -> Result<(), WallError> {
    build_from(Path::new("/"), folder, resolver)
}

fn build_from(host: &Path, folder: &Path, resolver: Ipv4Addr) -> Result<(), WallError> {
    make_folder(folder, 0o755)?;
    for (name, mode) in FOLDERS {
        make_folder(&folder.join(name), *mode)?;
    }
    for name in HOST_FOLDERS {
        let at = host.join(name);
        match fs::symlink_metadata(&at) {
            Ok(found) if found.is_symlink() => {
                let target = fs::read_link(&at).step(format!("read {}", at.display()))?;
                symlink(&target, folder.join(name)).step(format!("link {name}"))?;
            }
            Ok(_) => make_folder(&folder.join(name), 0o755)?,
            Err(_) => {}
        }
    }
    for (base, names) in [("etc", ETC), ("var", VAR)] {
        for name in names {
            let from = host.join(base).join(name);
            let to = folder.join(base).join(name);
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent).step(format!("create {}", parent.display()))?;
            }
            copy(host, &from, &to).step(format!("copy {}", from.display()))?;
        }
    }
    make_folder(&folder.join("etc/pam.d"), 0o755)?;
    let pam = PAM.map(|(name, text)| (name, text, 0o644));
    for (name, text, mode) in pam.into_iter().chain([
        ("etc/passwd", PASSWD, 0o644),
        ("etc/shadow", SHADOW, 0o640),
        ("etc/group", GROUP, 0o644),
        ("etc/hosts", HOSTS, 0o644),
        ("etc/nsswitch.conf", NSSWITCH, 0o644),
        ("etc/resolv.conf", &format!("nameserver {resolver}\n"), 0o644),
    ]) {
        let path = folder.join(name);
        fs::write(&path, text).step(format!("write {name}"))?;
        set_mode(&path, mode)?;
    }
    symlink("/proc/self/mounts", folder.join("etc/mtab")).step("link etc/mtab")?;
    symlink("/run", folder.join("var/run")).step("link var/run")?;
    Ok(())
}

fn make_folder(path: &Path, mode: u32) -> Result<(), WallError> {
    fs::DirBuilder::new().mode(mode).create(path).step(format!("create {}", path.display()))?;
    // The umask may have taken bits away.
    set_mode(path, mode)
}

fn set_mode(path: &Path, mode: u32) -> Result<(), WallError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .step(format!("chmod {}", path.display()))
}

/// Copies a file, symlink or folder; what is missing or unreadable, and every special file, is left
/// out. A symlink that leads out of what sessions see is replaced by what it points to, once.
fn copy(host: &Path, from: &Path, to: &Path) -> io::Result<()> {
    let Ok(found) = fs::symlink_metadata(from) else { return Ok(()) };
    if found.is_symlink() {
        let target = fs::read_link(from)?;
        let full = from.parent().unwrap_or(Path::new("/")).join(&target);
        if visible_inside(&full) {
            return ignore_exists(symlink(&target, to));
        }
        return match fs::metadata(from) {
            Ok(real) if real.is_file() => copy_file(host, from, to),
            _ => Ok(()),
        };
    }
    if found.is_dir() {
        let Ok(entries) = fs::read_dir(from) else { return Ok(()) };
        fs::create_dir_all(to)?;
        for entry in entries.flatten() {
            copy(host, &entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    if found.is_file() { copy_file(host, from, to) } else { Ok(()) }
}

/// A file other users of the host may read; nothing else can be meant for everyone.
fn copy_file(host: &Path, from: &Path, to: &Path) -> io::Result<()> {
    // As it is reached without links, whose own permissions say nothing.
    let Ok(real) = from.canonicalize() else { return Ok(()) };
    if !everyone_may_read(host, &real) {
        return Ok(());
    }
    match fs::copy(real, to) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other.map(|_| ()),
    }
}

/// Whether the file is readable for everyone and every folder down to it open to everyone; what is
/// above `host` does not count.
fn everyone_may_read(host: &Path, file: &Path) -> bool {
    let has = |path: &Path, bit| {
        fs::metadata(path).is_ok_and(|found| found.permissions().mode() & bit != 0)
    };
    has(file, 0o004)
        && file
            .ancestors()
            .skip(1)
            .take_while(|folder| *folder != host)
            .all(|folder| has(folder, 0o001))
}

fn ignore_exists(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn visible_inside(path: &Path) -> bool {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean.starts_with("/usr")
        || HOST_FOLDERS.iter().any(|name| clean.starts_with(Path::new("/").join(name)))
        || ETC.iter().any(|name| clean.starts_with(Path::new("/etc").join(name)))
}

/// Copies the skeleton's own files to a fresh folder, for hosts where it cannot be an overlay's
/// lower layer.
pub(crate) fn copy_to(skeleton: &Path, to: &Path) -> Result<(), WallError> {
    fn walk(from: &Path, to: &Path) -> io::Result<()> {
        for entry in fs::read_dir(from)?.flatten() {
            let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
            if kind.is_symlink() {
                ignore_exists(symlink(fs::read_link(entry.path())?, &target))?;
            } else if kind.is_dir() {
                ignore_exists(fs::create_dir(&target))?;
                walk(&entry.path(), &target)?;
                fs::set_permissions(&target, entry.metadata()?.permissions())?;
            } else {
                fs::copy(entry.path(), &target)?;
            }
        }
        Ok(())
    }
    walk(skeleton, to).step(format!("copy {}", skeleton.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_and_readable_by_all_comes_in() {
        let host = tempfile::tempdir().unwrap();
        let etc = host.path().join("etc");
        fs::create_dir_all(etc.join("ssl/certs")).unwrap();
        fs::create_dir_all(etc.join("ssl/private")).unwrap();
        fs::write(etc.join("shadow"), "secret").unwrap();
        fs::write(etc.join("ssl/private/key.pem"), "secret").unwrap();
        fs::write(etc.join("ssl/certs/ca.pem"), "public").unwrap();
        fs::write(etc.join("ssl/certs/key.pem"), "secret").unwrap();
        set_mode(&etc.join("ssl/certs/key.pem"), 0o600).unwrap();
        symlink("/etc/shadow", etc.join("ssl/certs/link.pem")).unwrap();
        fs::create_dir_all(etc.join("fonts/closed/below")).unwrap();
        fs::write(etc.join("fonts/closed/below/open"), "secret").unwrap();
        set_mode(&etc.join("fonts/closed"), 0o750).unwrap();
        fs::create_dir_all(host.path().join("closed")).unwrap();
        fs::write(host.path().join("closed/key.pem"), "secret").unwrap();
        symlink(host.path().join("closed/key.pem"), etc.join("ssl/certs/away.pem")).unwrap();
        set_mode(&host.path().join("closed"), 0o710).unwrap();
        fs::write(etc.join("services"), "http 80/tcp").unwrap();
        symlink("usr/bin", host.path().join("bin")).unwrap();

        let built = host.path().join("built");
        build_from(host.path(), &built, Ipv4Addr::LOCALHOST).unwrap();

        assert!(built.join("etc/services").exists());
        assert!(built.join("etc/ssl/certs/ca.pem").exists());
        let shadow = fs::read_to_string(built.join("etc/shadow")).unwrap();
        assert_eq!(shadow, SHADOW, "the host's stays with the host");
        for hidden in [
            "etc/ssl/private",
            "etc/ssl/certs/key.pem",
            "etc/ssl/certs/away.pem",
            "etc/fonts/closed/below/open",
        ] {
            assert!(!built.join(hidden).exists(), "{hidden}");
        }
        let link = built.join("etc/ssl/certs/link.pem");
        assert!(!link.is_symlink(), "a link out of the session's view is not kept");
        assert_eq!(fs::read_link(built.join("bin")).unwrap(), Path::new("usr/bin"));
        assert!(fs::read_to_string(built.join("etc/passwd")).unwrap().contains("kernel:x:1000"));
    }

    #[test]
    fn a_link_is_judged_by_where_it_leads() {
        assert!(visible_inside(Path::new("/etc/alternatives/../../usr/bin/vi")));
        assert!(!visible_inside(Path::new("/usr/../etc/shadow")));
        assert!(!visible_inside(Path::new("/root/key")));
    }
}
