//! Query strings, where the raw text matters.

use percent_encoding::percent_decode_str;

/// Takes the token out of a raw query: the first `jwt` value, decoded, and the query without any
/// `jwt` pair. The other pairs keep their bytes and order, because they are not ours to interpret.
pub(crate) fn take_jwt(query: &str) -> (Option<String>, String) {
    let mut token = None;
    let mut rest = String::with_capacity(query.len());
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if percent_decode_str(key).eq(*b"jwt") {
            if token.is_none() {
                token = percent_decode_str(value).decode_utf8().ok().map(String::from);
            }
        } else {
            if !rest.is_empty() {
                rest.push('&');
            }
            rest.push_str(pair);
        }
    }
    (token.filter(|token| !token.is_empty()), rest)
}

/// `path?query`, or the path alone when there is no query.
pub(crate) fn join(path: &str, query: &str) -> String {
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn takes_the_token_and_leaves_the_rest() {
        let cases = [
            ("", None, ""),
            ("jwt=a", Some("a"), ""),
            ("jwt=", None, ""),
            ("a=1&jwt=x.y.z&b=%20", Some("x.y.z"), "a=1&b=%20"),
            ("jwt=1&jwt=2", Some("1"), ""),
            ("%6Awt=1&b", Some("1"), "b"),
            ("ajwt=1&jwtb=2", None, "ajwt=1&jwtb=2"),
            ("https://a.example/?x=1&jwt=t", Some("t"), "https://a.example/?x=1"),
        ];
        for (query, token, rest) in cases {
            assert_eq!(take_jwt(query), (token.map(str::to_owned), rest.to_owned()), "{query}");
        }
    }

    proptest! {
        #[test]
        fn no_token_is_left_behind(query in "([a-z%=&J6wt.]|jwt=){0,40}") {
            let (_, rest) = take_jwt(&query);
            prop_assert_eq!(take_jwt(&rest), (None, rest.clone()));
        }

        #[test]
        fn other_pairs_keep_their_bytes(before in "[a-i=%0-9]{1,20}", after in "[a-i=%0-9]{1,20}") {
            let (token, rest) = take_jwt(&format!("{before}&jwt=T&{after}"));
            prop_assert_eq!(token.as_deref(), Some("T"));
            prop_assert_eq!(rest, format!("{before}&{after}"));
        }
    }
}
