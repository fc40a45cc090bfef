//! The targets of this module.

use browserd_api::process::ExecRequest;

use super::identity::{Account, account, groups_of, pick};
use super::{command, variables};
use crate::fuzzing::headers::first_line;

/// Most supplementary groups.
const GROUPS: usize = 257;

/// A request to run something: the program's arguments are those given, a shell sees a script only
/// where there are none, and no variable is there twice.
pub(crate) fn exec_request(data: &[u8]) {
    let Ok(request) = serde_json::from_slice::<ExecRequest>(data) else { return };
    let mut env = vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())];
    if variables::merge(&mut env, &request.env).is_ok() {
        for (name, value) in &env {
            assert!(!name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0'));
            assert_eq!(env.iter().filter(|(other, _)| other == name).count(), 1);
        }
    }
    let path = env.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value);
    let Ok(found) = command::resolve(&request.command, &request.args, path) else { return };
    assert!((1..=128).contains(&found.programs.len()));
    let given: Vec<&str> = found.argv.iter().map(|argument| argument.to_str().unwrap()).collect();
    match given[..] {
        ["/bin/sh", "-c", script] if request.args.is_empty() => {
            assert_eq!(script, request.command);
            assert_eq!(found.programs, [c"/bin/sh".to_owned()]);
        }
        [name, ref args @ ..] => assert!(name == request.command && args == request.args),
        [] => panic!("a program has a name"),
    }
}

/// A user asked for, then lines that are at once those of /etc/passwd and /etc/group, which are the
/// session's own: nobody is root who is not called so or asked for as 0, and groups are few.
pub(crate) fn session_accounts(data: &[u8]) {
    let (asked, rest) = first_line(data);
    let file = String::from_utf8_lossy(rest);
    for known in file.lines().filter_map(account) {
        assert!(!known.name.is_empty() && known.uid != u32::MAX && known.gid != u32::MAX);
        assert!(known.home.starts_with('/') && known.shell.starts_with('/'));
    }
    let Some(found) = pick(asked, &file) else { return };
    let listed = file.lines().filter_map(account).find(|known| known.name == found.name);
    assert!(listed.is_some() || found.name == found.uid.to_string());
    let groups = groups_of(&found, &file);
    assert!(groups.len() <= GROUPS && groups.contains(&found.gid));
    assert!(!groups.contains(&u32::MAX));
    let Account { uid, exact, .. } = found;
    let number = asked.split(':').next().unwrap_or_default();
    assert!(uid != 0 || !exact || number.trim_matches('0').is_empty(), "{asked:?} is root");
}
