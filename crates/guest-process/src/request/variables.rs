//! The request's variables over the clean environment.

use std::collections::BTreeMap;

use browserd_rest::Error;

/// Lays `over` on `env`: same names are replaced, others added.
///
/// # Errors
///
/// 400 for a name that is empty or contains `=` or NUL, and for a value that contains NUL.
pub(super) fn merge(
    env: &mut Vec<(String, String)>,
    over: &BTreeMap<String, String>,
) -> Result<(), Error> {
    for (name, value) in over {
        if name.is_empty() || name.contains(['=', '\0']) {
            let message = format!(
                "{name:?} is not a variable's name: it must not be empty or contain = or NUL"
            );
            return Err(Error::field("env", message));
        }
        if value.contains('\0') {
            return Err(Error::field(format!("env.{name}"), "must not contain a NUL character"));
        }
        match env.iter_mut().find(|(known, _)| known == name) {
            Some(known) => known.1.clone_from(value),
            None => env.push((name.clone(), value.clone())),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_must_be_names() {
        for (name, value) in [("", "x"), ("a=b", "x"), ("a\0", "x"), ("a", "\0")] {
            let over = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            assert!(merge(&mut Vec::new(), &over).is_err(), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn the_request_wins_and_no_name_is_there_twice(
            base in proptest::collection::btree_map("[A-D]", "[a-z]*", 0..4),
            over in proptest::collection::btree_map("[A-F]", "[ -~]*", 0..6),
        ) {
            let mut env: Vec<(String, String)> = base.clone().into_iter().collect();
            merge(&mut env, &over).unwrap();
            let merged: BTreeMap<String, String> = env.iter().cloned().collect();
            prop_assert_eq!(merged.len(), env.len());
            let mut expected = base;
            expected.extend(over);
            prop_assert_eq!(merged, expected);
        }
    }
}
