//! Which program a command means, and whether a shell reads it.

use std::ffi::CString;
use std::path::Path;

use browserd_rest::Error;

use super::c_string;

/// Longest command, bytes.
const COMMAND_LIMIT: usize = 128 * 1024;
/// Most arguments.
const ARGS_LIMIT: usize = 65_536;
/// Most folders of a `PATH` that are looked into.
const PATH_LIMIT: usize = 128;

/// Characters that mean something to a shell. One of them in a command without arguments makes the
/// command a script for `/bin/sh`; whitespace counts too.
const SHELL_SYNTAX: &[char] = &[
    '\'', '"', '\\', '`', '$', '|', '&', ';', '<', '>', '(', ')', '{', '}', '[', ']', '*', '?',
    '!', '#', '~', '=', '%',
];

/// What to execute.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    /// Paths to try in order.
    pub(super) programs: Vec<CString>,
    /// Arguments with the name in front.
    pub(super) argv: Vec<CString>,
}

/// Whether `command`, given without arguments, is for the shell. It is not when the whole string is
/// the path of a file that exists, so that a path with spaces needs no quoting.
pub(super) fn is_shell_script(command: &str, file_exists: impl FnOnce(&str) -> bool) -> bool {
    let syntax = command.chars().any(|c| c.is_whitespace() || SHELL_SYNTAX.contains(&c));
    syntax && !(command.starts_with('/') && file_exists(command))
}

/// Resolves command and arguments; `path` is the `PATH` the program will have.
///
/// # Errors
///
/// 400 naming the field.
pub(super) fn resolve(command: &str, args: &[String], path: &str) -> Result<Command, Error> {
    if command.trim().is_empty() {
        return Err(Error::field("command", "must not be empty"));
    }
    if command.len() > COMMAND_LIMIT {
        return Err(Error::field("command", format!("is longer than {COMMAND_LIMIT} bytes")));
    }
    if args.len() > ARGS_LIMIT {
        return Err(Error::field("args", format!("are more than {ARGS_LIMIT}")));
    }
    let name = c_string("command", command)?;
    if args.is_empty() && is_shell_script(command, |path| Path::new(path).is_file()) {
        let argv = vec![c"/bin/sh".to_owned(), c"-c".to_owned(), name];
        return Ok(Command { programs: vec![c"/bin/sh".to_owned()], argv });
    }
    let programs =
        if command.contains('/') { vec![name.clone()] } else { candidates(command, path) };
    let mut argv = Vec::with_capacity(args.len() + 1);
    argv.push(name);
    for (i, arg) in args.iter().enumerate() {
        argv.push(
            CString::new(arg.as_str()).map_err(|_| {
                Error::field(format!("args[{i}]"), "must not contain a NUL character")
            })?,
        );
    }
    Ok(Command { programs, argv })
}

/// `name` in each folder of `path`. Relative folders are left out: they would mean the working
/// directory, which a client can name itself.
fn candidates(name: &str, path: &str) -> Vec<CString> {
    let found: Vec<CString> = path
        .split(':')
        .filter(|dir| dir.starts_with('/'))
        .take(PATH_LIMIT)
        .filter_map(|dir| CString::new(format!("{}/{name}", dir.trim_end_matches('/'))).ok())
        .collect();
    // The start needs something to try; this one says "no such file" by itself.
    if found.is_empty() { vec![c"/nonexistent/in-an-empty-PATH".to_owned()] } else { found }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn resolved(command: &str, args: &[&str]) -> (Vec<String>, Vec<String>) {
        let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
        let command = resolve(command, &args, "/usr/bin:bin::/bin/").unwrap();
        let text =
            |list: Vec<CString>| list.into_iter().map(|s| s.into_string().unwrap()).collect();
        (text(command.programs), text(command.argv))
    }

    #[test]
    fn plain_names_are_looked_up_and_see_no_shell() {
        let (programs, argv) = resolved("ls", &["-l", "a b; $HOME"]);
        assert_eq!(programs, ["/usr/bin/ls", "/bin/ls"]);
        assert_eq!(argv, ["ls", "-l", "a b; $HOME"]);
        assert_eq!(resolved("/bin/ls", &[]).0, ["/bin/ls"]);
        assert_eq!(resolved("./x", &[]).0, ["./x"]);
        assert_eq!(resolved("a.out-1_2+3@4,5:6^7", &[]).1, ["a.out-1_2+3@4,5:6^7"]);
    }

    #[test]
    fn shell_syntax_without_arguments_goes_to_sh() {
        for script in [
            "echo hi", "a|b", "a&", "x=1", "~/bin/x", "echo\thi", "ls *.c", "$SHELL", "(a)", "a\nb",
        ] {
            let (programs, argv) = resolved(script, &[]);
            assert_eq!(programs, ["/bin/sh"], "{script}");
            assert_eq!(argv, ["/bin/sh", "-c", script]);
        }
        // With arguments it is a name, however odd.
        assert_eq!(resolved("echo hi", &["x"]).1, ["echo hi", "x"]);
    }

    #[test]
    fn an_existing_file_is_run_even_if_its_path_has_spaces() {
        assert!(!is_shell_script("/opt/my app/run", |path| path == "/opt/my app/run"));
        assert!(is_shell_script("/opt/my app/run --flag", |_| false));
        assert!(is_shell_script("my app", |_| true));
    }

    #[test]
    fn refusals_name_the_field() {
        let blamed = |command: &str, args: &[String]| {
            let error = resolve(command, args, "/bin").unwrap_err();
            error.0.body().details[0].code.clone()
        };
        assert_eq!(blamed("", &[]), "command");
        assert_eq!(blamed(" \n", &[]), "command");
        assert_eq!(blamed("a\0b", &[]), "command");
        assert_eq!(blamed("a", &["b".into(), "\0".into()]), "args[1]");
        assert_eq!(blamed(&"x".repeat(COMMAND_LIMIT + 1), &[]), "command");
    }

    proptest! {
        #[test]
        fn any_command_is_resolved_or_refused(command in ".*", args in proptest::collection::vec(".*", 0..4), path in ".*") {
            if let Ok(command) = resolve(&command, &args, &path) {
                prop_assert!(!command.programs.is_empty());
                prop_assert!(!command.argv.is_empty());
            }
        }
    }
}
