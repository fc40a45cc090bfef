//! What an archive says the cookies are.

use super::cookies::Cookies;

/// What is taken is small enough for Chromium, piece by piece; what is refused is not quoted.
pub(crate) fn profile_cookies(data: &[u8]) {
    match Cookies::parse(data) {
        Ok(cookies) => cookies.hold(),
        Err(error) => {
            let said = error.to_string();
            assert!(said.len() < 200 && said.is_ascii(), "{said}");
        }
    }
}
