//! Every operation of the public API, read off the official Python SDK 0.131.
//!
//! The server routes all of them from the first day: those no crate implements answer 501 with
//! the operation's name, so that a client learns what is missing and not that a path is wrong.

/// One operation: method, path template and the SDK call that makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// HTTP method, upper case.
    pub method: &'static str,
    /// Path with `{parameters}`.
    pub path: &'static str,
    /// SDK call, e.g. `browsers.process.status`.
    pub sdk: &'static str,
}

/// All operations, in path order.
pub fn all() -> impl Iterator<Item = Operation> {
    include_str!("operations.tsv").lines().filter(|line| !line.starts_with('#')).filter_map(
        |line| {
            let mut fields = line.split('\t');
            let (method, path, sdk) = (fields.next()?, fields.next()?, fields.next()?);
            Some(Operation { method, path, sdk: dedup_sdk(sdk) })
        },
    )
}

/// `browsers.browsers.create` is written `browsers.create` by people: the first part repeats
/// where the SDK keeps a resource and its children in one package.
fn dedup_sdk(sdk: &'static str) -> &'static str {
    match sdk.split_once('.') {
        Some((head, rest)) if rest.split('.').next() == Some(head) && rest.contains('.') => rest,
        _ => sdk,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole() {
        assert_eq!(all().count(), 175);
        assert!(all().any(|op| op.sdk == "browsers.create" && op.path == "/browsers"));
        assert!(all().all(|op| op.path.starts_with('/')));
    }
}
