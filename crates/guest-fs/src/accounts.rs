//! Names of users and groups, as the session's /etc/passwd and /etc/group have them.

use std::fs::File;
use std::io::Read;

use crate::{Given, file};

/// Most bytes read of either file; both belong to the session.
const LIMIT: u64 = 1 << 20;

/// The uid of a user given by name or number.
pub(crate) fn uid(name: &str) -> Option<u32> {
    id(name, "/etc/passwd")
}

/// The gid of a group given by name or number.
pub(crate) fn gid(name: &str) -> Option<u32> {
    id(name, "/etc/group")
}

/// Both files have the name first and the number third.
fn id(name: &str, list: &str) -> Option<u32> {
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        return name.parse().ok().filter(|id| *id != u32::MAX);
    }
    let mut text = Vec::new();
    let (found, _) = file(&Given::new("path", list.to_owned()).ok()?).ok()?;
    File::from(found).take(LIMIT).read_to_end(&mut text).ok()?;
    String::from_utf8_lossy(&text).lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next()? == name;
        found.then(|| fields.nth(1)?.parse().ok().filter(|id| *id != u32::MAX)).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, b"root:x:0:0::/:/bin/sh\nkernel:x:1000:\nbad:x:\n\xff:x:5:\n")
            .unwrap();
        let id = |name| id(name, file.path().to_str().unwrap());
        assert_eq!((id("root"), id("kernel"), id("4242")), (Some(0), Some(1000), Some(4242)));
        for name in ["", "bad", "nobody", "4294967295", "99999999999", "-1", "root:x"] {
            assert_eq!(id(name), None, "{name}");
        }
    }
}
