//! How checks are told.

use std::fmt::Write;

use anyhow::Result;
use serde::Serialize;

use super::{Check, Level};

/// Width of the column with the names.
const NAME_WIDTH: usize = 17;

/// One check: a line, and below it how to mend it.
pub(super) fn lines(check: &Check) -> String {
    let level = match check.level {
        Level::Ok => "ok  ",
        Level::Warn => "warn",
        Level::Fail => "FAIL",
    };
    let mut text = format!("{level}  {:NAME_WIDTH$}{}", check.name, check.message);
    for line in check.fix.iter().flat_map(|fix| fix.lines()) {
        let _ = write!(text, "\n      {:NAME_WIDTH$}fix: {line}", "");
    }
    text
}

/// All of them, and what they come to.
pub(super) fn text(checks: &[Check]) -> String {
    let mut text: String = checks.iter().map(|check| lines(check) + "\n").collect();
    let count = |level| checks.iter().filter(|check| check.level == level).count();
    let (failed, warned) = (count(Level::Fail), count(Level::Warn));
    let verdict = match (failed, warned) {
        (0, 0) => "This host is ready for browserd.".to_owned(),
        (0, _) => format!("This host can run browserd; {warned} thing(s) could be better."),
        _ => format!("This host cannot run browserd yet: mend the {failed} failed line(s) above."),
    };
    let _ = writeln!(text, "\n{verdict}");
    text
}

/// All of them for programs.
pub(super) fn json(checks: &[Check]) -> Result<String> {
    #[derive(Serialize)]
    struct Report<'a> {
        ready: bool,
        checks: &'a [Check],
    }
    let ready = checks.iter().all(|check| check.level != Level::Fail);
    Ok(serde_json::to_string_pretty(&Report { ready, checks })? + "\n")
}
