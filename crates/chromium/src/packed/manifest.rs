//! `update.xml`, in which an update server says which version of an extension there is, and where.
//!
//! ```xml
//! <gupdate xmlns="http://www.google.com/update2/response" protocol="2.0">
//!   <app appid="…32 letters…"><updatecheck codebase="http://…/x.crx" version="1.0"/></app>
//! </gupdate>
//! ```

use roxmltree::{Document, Node, ParsingOptions};

/// Largest file looked at, bytes.
pub const SIZE: u64 = 64 << 10;
/// Most nodes in it.
const NODES: u32 = 4096;
/// Most words of a client's quoted, letters.
const QUOTED: usize = 64;

/// One version of an extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// What `version` says.
    pub version: String,
    /// Last part of the path in `codebase`; empty when there is none.
    pub file: String,
}

/// Why there is no offer, in words that go on after the file's name.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// No XML, or XML with a DTD, or more of it than is looked at.
    #[error("cannot be read: {0}")]
    Xml(#[from] roxmltree::Error),
    /// Another kind of file.
    #[error("is no update manifest: it begins with {0:?} instead of gupdate")]
    Root(String),
    /// It is of other extensions.
    #[error("has no app with the appid of the .crx, {wanted}; it has {found}")]
    Foreign {
        /// The id looked for.
        wanted: String,
        /// Those that are there, in words.
        found: String,
    },
    /// The app has no version.
    #[error("has no updatecheck with a version for {0}")]
    NoVersion(String),
}

/// What it offers for the extension `id`, in its order. Where the elements' namespace is another or
/// none is not looked at.
///
/// # Errors
///
/// [`ManifestError`], when that is nothing.
pub fn offers(text: &str, id: &str) -> Result<Vec<Offer>, ManifestError> {
    let options = ParsingOptions { nodes_limit: NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options)?;
    let root = document.root_element();
    if root.tag_name().name() != "gupdate" {
        return Err(ManifestError::Root(quoted(root.tag_name().name())));
    }
    let mut of_others = Vec::new();
    let mut offers = Vec::new();
    let mut met = false;
    for app in elements(root, "app") {
        let appid = app.attribute("appid").unwrap_or_default().trim();
        if appid == id {
            met = true;
            offers.extend(elements(app, "updatecheck").filter_map(offer));
        } else {
            of_others.push(quoted(appid));
        }
    }
    if !met {
        of_others.truncate(4);
        let found = if of_others.is_empty() { "none".to_owned() } else { of_others.join(", ") };
        return Err(ManifestError::Foreign { wanted: id.to_owned(), found });
    }
    if offers.is_empty() {
        return Err(ManifestError::NoVersion(id.to_owned()));
    }
    Ok(offers)
}

fn elements<'a>(of: Node<'a, 'a>, name: &'static str) -> impl Iterator<Item = Node<'a, 'a>> {
    of.children().filter(move |node| node.is_element() && node.tag_name().name() == name)
}

fn offer(check: Node<'_, '_>) -> Option<Offer> {
    let version = check.attribute("version")?.trim().to_owned();
    let path = check.attribute("codebase").unwrap_or_default().trim();
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let file = path.rsplit('/').next().unwrap_or_default().to_owned();
    Some(Offer { version, file })
}

fn quoted(words: &str) -> String {
    words.chars().take(QUOTED).collect()
}

/// The manifest Chromium is given: one version of one extension, at `codebase`. None of them may have
/// letters that mean something in XML.
#[must_use]
pub fn offering(id: &str, version: &str, codebase: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <gupdate xmlns=\"http://www.google.com/update2/response\" protocol=\"2.0\">\n\
         <app appid=\"{id}\"><updatecheck codebase=\"{codebase}\" version=\"{version}\"/></app>\n\
         </gupdate>\n"
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "abcdefghijklmnopabcdefghijklmnop";

    fn words(text: &str) -> String {
        offers(text, ID).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_read() {
        let text = offering(ID, "1.2.3", "http://127.0.0.1:10001/extensions/x/y.crx");
        let offer = Offer { version: "1.2.3".into(), file: "y.crx".into() };
        assert_eq!(offers(&text, ID).unwrap(), [offer]);
    }

    #[test]
    fn many_apps_versions_and_no_namespace() {
        let text = format!(
            "<gupdate><app appid='x'><updatecheck version='9'/></app><app appid=' {ID} '>\
             <updatecheck codebase='https://a/b/c.crx?d=/e' version='1'/><other/>\
             <updatecheck version=' 2 '/><updatecheck codebase='f.crx'/></app></gupdate>"
        );
        let offer =
            |version: &str, file: &str| Offer { version: version.into(), file: file.into() };
        assert_eq!(offers(&text, ID).unwrap(), [offer("1", "c.crx"), offer("2", "")]);
    }

    #[test]
    fn what_is_refused_and_why() {
        assert!(words("").contains("cannot be read"));
        assert!(words("<gupdate>").contains("cannot be read"));
        assert!(words("<!DOCTYPE x [<!ENTITY a 'b'>]><gupdate/>").contains("cannot be read"));
        assert!(words(&"<a>".repeat(20_000)).contains("cannot be read"));
        assert!(words("<html/>").contains("\"html\""));
        assert!(words("<gupdate/>").contains("it has none"));
        assert!(words("<gupdate><app appid='x'/><app/></gupdate>").contains("it has x, "));
        assert!(
            words(&format!("<gupdate><app appid='{ID}'/></gupdate>")).contains("no updatecheck")
        );
    }

    proptest! {
        #[test]
        fn any_text_is_harmless(text in "(<(gupdate|app|updatecheck|/app|!--|/gupdate)? ?(appid|version)?=?['\"]?[a-z<>&;\"']{0,3}/?>?){0,12}") {
            let _ = offers(&text, ID);
        }
    }
}
