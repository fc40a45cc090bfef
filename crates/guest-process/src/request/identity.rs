//! Whom a process runs as.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use browserd_api::{ApiError, ErrorCode};
use browserd_guest_session::Session;
use browserd_guest_session::environment::User;
use browserd_rest::Error;
use browserd_sandbox::child::Ids;

/// Most bytes read of the session's /etc/passwd and /etc/group, which belong to the session.
const FILE_LIMIT: u64 = 1 << 20;
/// Most supplementary groups.
const GROUPS_LIMIT: usize = 256;

/// A user to run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Runner {
    /// `None`: the guest's own ids, where no others are mapped.
    pub(super) ids: Option<Ids>,
    pub(super) user: User,
    /// Keeps root's harmless capabilities.
    pub(super) root: bool,
}

/// Resolves `as_user` and `as_root`.
///
/// # Errors
///
/// 400 when both are given, the user is unknown, or other users do not exist in this session.
pub(super) fn resolve(
    session: &Session,
    as_user: Option<&str>,
    as_root: bool,
) -> Result<Runner, Error> {
    match (as_user, as_root) {
        (Some(_), true) => Err(Error(
            ApiError::new(
                ErrorCode::InvalidInput,
                "as_user and as_root exclude each other; send one of them",
            )
            .detail("as_user", "excludes as_root")
            .detail("as_root", "excludes as_user"),
        )),
        (None, false) => {
            Ok(Runner { ids: session.browser_ids(), user: User::browser(session), root: false })
        }
        (None, true) if !session.spec.many_uids => Err(Error::field("as_root", ONE_UID)),
        (None, true) => Ok(named(Account::root(), Path::new(GROUP))),
        (Some(name), false) => {
            let account = find(name, Path::new(PASSWD))?;
            if session.spec.many_uids {
                return Ok(named(account, Path::new(GROUP)));
            }
            let own = rustix::process::geteuid().as_raw();
            if account.uid == own {
                return Ok(Runner { ids: None, user: account.user(), root: false });
            }
            Err(Error::field("as_user", ONE_UID))
        }
    }
}

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";
const ONE_UID: &str = "this session has one user only: the server runs without root rights and without subordinate uids, so no other user exists inside";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) home: String,
    pub(super) shell: String,
    /// Whether the gid was asked for (`uid:gid`), which means no other groups.
    pub(super) exact: bool,
}

impl Account {
    fn root() -> Self {
        Self {
            name: "root".into(),
            uid: 0,
            gid: 0,
            home: "/root".into(),
            shell: "/bin/bash".into(),
            exact: false,
        }
    }

    fn user(&self) -> User {
        User { name: self.name.clone(), home: self.home.clone(), shell: self.shell.clone() }
    }
}

fn named(account: Account, group: &Path) -> Runner {
    let groups = if account.exact { vec![account.gid] } else { groups_of(&account, &read(group)) };
    let root = account.uid == 0;
    let user = account.user();
    Runner { ids: Some(Ids { uid: account.uid, gid: account.gid, groups }), user, root }
}

/// The account `text` names: a user's name, a uid, or `uid:gid`.
fn find(text: &str, passwd: &Path) -> Result<Account, Error> {
    let unknown = || {
        let message = format!(
            "{text:?} is not a user of this session; give a name of its /etc/passwd, a uid, or uid:gid"
        );
        Error::field("as_user", message)
    };
    pick(text, &read(passwd)).ok_or_else(unknown)
}

/// The account `text` names in a passwd file.
pub(super) fn pick(text: &str, passwd: &str) -> Option<Account> {
    let mut accounts = passwd.lines().filter_map(account);
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // The highest number means "leave unchanged" to the kernel.
        digits.then(|| text.parse().ok()).flatten().filter(|n: &u32| *n != u32::MAX)
    };
    if let Some((uid, gid)) = text.split_once(':') {
        let (uid, gid) = (number(uid)?, number(gid)?);
        let known = accounts.find(|a| a.uid == uid);
        let known = known.unwrap_or_else(|| nameless(uid, gid));
        return Some(Account { gid, exact: true, ..known });
    }
    if let Some(uid) = number(text) {
        return Some(accounts.find(|a| a.uid == uid).unwrap_or_else(|| nameless(uid, uid)));
    }
    accounts.find(|a| !text.is_empty() && a.name == text)
}

fn nameless(uid: u32, gid: u32) -> Account {
    let (home, shell) = ("/".into(), "/bin/sh".into());
    Account { name: uid.to_string(), uid, gid, home, shell, exact: true }
}

/// One line of a passwd file; what does not fit is no account.
pub(super) fn account(line: &str) -> Option<Account> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let _password = fields.next()?;
    let uid: u32 = fields.next()?.parse().ok().filter(|n| *n != u32::MAX)?;
    let gid: u32 = fields.next()?.parse().ok().filter(|n| *n != u32::MAX)?;
    let _comment = fields.next()?;
    let home = fields.next().filter(|home| home.starts_with('/')).unwrap_or("/");
    let shell = fields.next().filter(|shell| shell.starts_with('/')).unwrap_or("/bin/sh");
    Some(Account {
        name: name.into(),
        uid,
        gid,
        home: home.into(),
        shell: shell.into(),
        exact: false,
    })
}

/// The account's own group and those of the group file that list its name.
pub(super) fn groups_of(account: &Account, group: &str) -> Vec<u32> {
    let mut groups = vec![account.gid];
    for line in group.lines() {
        let mut fields = line.split(':').skip(2);
        let (Some(gid), Some(members)) = (fields.next(), fields.next()) else { continue };
        let Some(gid) = gid.parse().ok().filter(|n: &u32| *n != u32::MAX) else { continue };
        let member = members.split(',').any(|name| name == account.name);
        if member && !groups.contains(&gid) && groups.len() < GROUPS_LIMIT {
            groups.push(gid);
        }
    }
    groups
}

/// A file of the session as text; what is over the limit, missing or not a file is empty.
fn read(path: &Path) -> String {
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let mut options = File::options();
    std::os::unix::fs::OpenOptionsExt::custom_flags(options.read(true), flags);
    let Ok(file) = options.open(path) else { return String::new() };
    if !file.metadata().is_ok_and(|m| m.is_file()) {
        return String::new();
    }
    let mut bytes = Vec::new();
    let _ = file.take(FILE_LIMIT).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
        kernel:x:1000:1000::/home/kernel:/bin/bash\n\
        bad:x:nine:9::/:\n\
        short:x:5\n\
        odd:x:77:88::relative:relative\n\
        huge:x:4294967295:1::/:/bin/sh\n";
    const GROUP: &str = "root:x:0:\naudio:x:29:kernel,root\nvideo:x:44:kernel\nbad:x:y:kernel\nkernel:x:1000:kernel\n";

    fn files() -> (tempfile::TempDir, std::path::PathBuf, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let (passwd, group) = (dir.path().join("passwd"), dir.path().join("group"));
        std::fs::write(&passwd, PASSWD).unwrap();
        std::fs::write(&group, GROUP).unwrap();
        (dir, passwd, group)
    }

    #[test]
    fn names_uids_and_pairs_are_found() {
        let (_dir, passwd, group) = files();
        let ids = |text: &str| named(find(text, &passwd).unwrap(), &group).ids.unwrap();
        assert_eq!(ids("kernel"), Ids { uid: 1000, gid: 1000, groups: vec![1000, 29, 44] });
        assert_eq!(ids("1000"), ids("kernel"));
        assert_eq!(ids("1000:44"), Ids { uid: 1000, gid: 44, groups: vec![44] });
        assert_eq!(ids("4242"), Ids { uid: 4242, gid: 4242, groups: vec![4242] });
        assert_eq!(ids("0:0"), Ids { uid: 0, gid: 0, groups: vec![0] });
        assert_eq!(find("odd", &passwd).unwrap().home, "/");
        assert!(named(find("root", &passwd).unwrap(), &group).root);
        assert!(named(find("0", &passwd).unwrap(), &group).root);
    }

    #[test]
    fn everything_else_is_unknown() {
        let (dir, passwd, _) = files();
        for text in [
            "",
            "nobody-here",
            "bad",
            "short",
            "huge",
            "4294967295",
            "1:",
            ":1",
            "-1",
            "+1",
            "1:2:3",
            "a:b",
            " 1",
        ] {
            assert!(find(text, &passwd).is_err(), "{text}");
        }
        // A passwd file that is no file, or is missing, knows nobody.
        assert!(find("kernel", dir.path()).is_err());
        assert!(find("kernel", &dir.path().join("missing")).is_err());
    }

    proptest! {
        #[test]
        fn hostile_files_are_harmless(line in ".*", group in ".*", wanted in ".*") {
            let dir = tempfile::tempdir().unwrap();
            let passwd = dir.path().join("passwd");
            std::fs::write(&passwd, &line).unwrap();
            if let Ok(account) = find(&wanted, &passwd) {
                prop_assert!(account.uid != u32::MAX && account.gid != u32::MAX);
                prop_assert!(groups_of(&account, &group).len() <= GROUPS_LIMIT + 1);
            }
        }
    }
}
