//! Which page is in front. Remote debugging lists pages in no order, and has neither a word nor an
//! event for it, so the pages are asked.

use std::cmp::Reverse;
use std::time::Duration;

use browserd_chromium::cdp::{Cdp, CdpError};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::OpenOrder;

/// Pages asked at most, the newest.
const ASKED: usize = 64;

/// Nothing when the page is behind others, one when it shows, two when it has the keyboard as well.
const QUESTION: &str = "document.visibilityState === 'visible' ? 1 + document.hasFocus() : 0";

/// How much a page is in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Front {
    /// Behind others, or gone.
    Behind,
    /// Says nothing: it shows a dialog, or its script does not end.
    Silent,
    Shows,
    HasKeyboard,
}

/// The pages there are, as far as known, in the order they were first seen.
#[derive(Debug)]
pub struct PageOrder {
    /// Ids of targets, the oldest first.
    known: Vec<String>,
    patience: Duration,
    open_order: Option<OpenOrder>,
}

impl PageOrder {
    /// Knows none yet. A page may take `patience` to answer whether it is in front.
    #[must_use]
    pub fn new(patience: Duration) -> Self {
        Self { known: Vec::new(), patience, open_order: None }
    }

    /// Takes the newest page for the one in front, where the order of opening is kept.
    #[must_use]
    pub fn by_open_order(self, open_order: Option<OpenOrder>) -> Self {
        Self { open_order, ..self }
    }

    /// A page has opened: it is the newest.
    pub fn opened(&mut self, page: String) {
        self.known.retain(|known| *known != page);
        self.known.push(page);
    }

    /// A target has closed; answers whether it was a page that was known.
    pub fn closed(&mut self, target: &str) -> bool {
        let count = self.known.len();
        self.known.retain(|known| known != target);
        self.known.len() < count
    }

    /// Ids of the pages that are known, the oldest first.
    #[must_use]
    pub fn known(&self) -> &[String] {
        &self.known
    }

    /// The page in front; none when there is no page. Of several that say the same it is `looked_at`,
    /// unless that is behind others, and else the newest.
    ///
    /// # Errors
    ///
    /// When Chromium does not tell which pages there are.
    pub async fn in_front(
        &mut self,
        cdp: &Cdp,
        looked_at: Option<&str>,
    ) -> Result<Option<String>, CdpError> {
        let pages: Vec<String> =
            cdp.pages().await?.into_iter().map(|page| page.target_id).collect();
        self.known.retain(|known| pages.contains(known));
        for page in pages {
            if !self.known.contains(&page) {
                self.known.push(page);
            }
        }
        if let [] | [_] = &self.known[..] {
            return Ok(self.known.first().cloned());
        }
        if let Some(open_order) = &self.open_order {
            return Ok(open_order.newest(&self.known).cloned());
        }
        let (newest, patience) = (self.known.iter().rev().take(ASKED), self.patience);
        let asked = newest.map(|page| async move { (page, ask(cdp, page, patience).await) });
        let best =
            join_all(asked).await.into_iter().enumerate().max_by_key(|(age, (page, front))| {
                let stays = *front > Front::Behind && looked_at == Some(page.as_str());
                (*front, stays, Reverse(*age))
            });
        Ok(best.map(|(_, (page, _))| page.clone()))
    }
}

async fn ask(cdp: &Cdp, page: &str, patience: Duration) -> Front {
    let Ok(session) = cdp.attach(page).await else { return Front::Behind };
    let params = json!({ "expression": QUESTION, "returnByValue": true, "silent": true });
    let answer = cdp.call::<_, Value>(Some(&session), "Runtime.evaluate", params);
    let answer = tokio::time::timeout(patience, answer).await;
    let _ = cdp.detach(&session).await;
    match answer {
        Ok(Ok(answer)) => match answer["result"]["value"].as_u64() {
            Some(1) => Front::Shows,
            Some(2) => Front::HasKeyboard,
            _ => Front::Behind,
        },
        _ => Front::Silent,
    }
}

/// The page in front, asked once, or the newest, where the order of opening is kept; none when there is no
/// page.
///
/// # Errors
///
/// When Chromium does not tell which pages there are.
pub(crate) async fn page_in_front(
    cdp: &Cdp,
    open_order: Option<OpenOrder>,
) -> Result<Option<String>, CdpError> {
    PageOrder::new(Duration::from_secs(1)).by_open_order(open_order).in_front(cdp, None).await
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{self, BufRead, BufReader, Write};
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    /// What a page answers.
    #[derive(Clone, Copy)]
    enum Says {
        Is(u64),
        Nothing,
        /// It is listed and gone when somebody wants to talk to it.
        Gone,
    }

    use Says::{Gone, Is, Nothing};

    /// Chromium with pages that answer what a test says.
    #[derive(Clone)]
    struct Chromium {
        pages: Arc<Mutex<Vec<(&'static str, Says)>>>,
        /// How often each was asked.
        asked: Arc<Mutex<BTreeMap<String, usize>>>,
    }

    impl Chromium {
        fn with(pages: &[(&'static str, Says)]) -> (Self, Cdp) {
            let (commands, ours_out) = io::pipe().unwrap();
            let (ours_in, answers) = io::pipe().unwrap();
            let cdp = Cdp::over(ours_out.into(), ours_in.into()).unwrap();
            let new = Self { pages: Arc::new(Mutex::new(pages.to_vec())), asked: Arc::default() };
            let chromium = new.clone();
            std::thread::spawn(move || chromium.answer(commands, answers));
            (new, cdp)
        }

        fn set(&self, pages: &[(&'static str, Says)]) {
            *self.pages.lock() = pages.to_vec();
        }

        /// Until the other end is closed.
        fn answer(&self, commands: io::PipeReader, mut answers: io::PipeWriter) {
            for command in BufReader::new(commands).split(0) {
                let command: Value = serde_json::from_slice(&command.unwrap()).unwrap();
                let says = |page: &Value| {
                    let pages = self.pages.lock();
                    pages.iter().find(|(id, _)| page == id).map_or(Gone, |(_, says)| *says)
                };
                let result = match command["method"].as_str().unwrap() {
                    "Target.getTargets" => {
                        let info = |(id, _): &(&str, Says)| json!({ "targetId": id, "type": "page", "url": "" });
                        json!({ "targetInfos": self.pages.lock().iter().map(info).collect::<Vec<_>>() })
                    }
                    "Target.attachToTarget" => match says(&command["params"]["targetId"]) {
                        Gone => Value::Null,
                        _ => json!({ "sessionId": command["params"]["targetId"] }),
                    },
                    "Target.detachFromTarget" => json!({}),
                    "Runtime.evaluate" => {
                        let page = &command["sessionId"];
                        *self.asked.lock().entry(page.as_str().unwrap().to_owned()).or_default() +=
                            1;
                        match says(page) {
                            Is(value) => json!({ "result": { "value": value } }),
                            _ => continue,
                        }
                    }
                    other => panic!("{other}"),
                };
                let answer = match result {
                    Value::Null => {
                        json!({ "id": command["id"], "error": { "code": -1, "message": "gone" } })
                    }
                    result => json!({ "id": command["id"], "result": result }),
                };
                if answers.write_all(format!("{answer}\0").as_bytes()).is_err() {
                    return;
                }
            }
        }
    }

    fn order() -> PageOrder {
        // More than those who answer need on a slow machine.
        PageOrder::new(Duration::from_secs(3))
    }

    async fn in_front(pages: &[(&'static str, Says)], looked_at: Option<&str>) -> Option<String> {
        let (_chromium, cdp) = Chromium::with(pages);
        order().in_front(&cdp, looked_at).await.unwrap()
    }

    #[tokio::test]
    async fn the_one_that_is_most_in_front() {
        let pages = [("a", Is(0)), ("b", Is(2)), ("c", Is(1)), ("d", Gone)];
        assert_eq!(in_front(&pages, None).await.as_deref(), Some("b"));
        assert_eq!(in_front(&pages, Some("c")).await.as_deref(), Some("b"));
        assert_eq!(in_front(&pages[2..], Some("d")).await.as_deref(), Some("c"));
        assert_eq!(in_front(&[], None).await, None);
    }

    #[tokio::test]
    async fn the_newest_where_all_show() {
        let pages = [("c", Is(1)), ("a", Is(2)), ("b", Is(2)), ("d", Gone)];
        let (chromium, cdp) = Chromium::with(&pages);
        let open_order = OpenOrder::of(&["a", "gone", "b", "c"]);
        let mut order = order().by_open_order(Some(open_order));
        assert_eq!(order.in_front(&cdp, None).await.unwrap().as_deref(), Some("d"), "unheard of");
        let pages = &pages[..3];
        chromium.set(pages);
        assert_eq!(order.in_front(&cdp, Some("b")).await.unwrap().as_deref(), Some("c"));
        chromium.set(&pages[1..]);
        assert_eq!(order.in_front(&cdp, Some("a")).await.unwrap().as_deref(), Some("b"));
        assert!(chromium.asked.lock().is_empty(), "nobody is asked whether it shows");
    }

    #[tokio::test]
    async fn one_that_says_nothing_is_before_those_behind() {
        let behind = [("a", Is(0)), ("b", Nothing), ("c", Is(0))];
        let shows = [("a", Is(1)), ("b", Nothing)];
        let (behind, shows) =
            tokio::join!(in_front(&behind, Some("c")), in_front(&shows, Some("b")));
        assert_eq!((behind.as_deref(), shows.as_deref()), (Some("b"), Some("a")));
    }

    #[tokio::test]
    async fn of_several_the_one_looked_at_or_the_newest() {
        let pages = [("a", Is(1)), ("b", Is(1)), ("c", Is(0))];
        assert_eq!(in_front(&pages, None).await.as_deref(), Some("b"));
        assert_eq!(in_front(&pages, Some("a")).await.as_deref(), Some("a"));
        let behind = [("a", Is(0)), ("b", Is(0)), ("c", Is(0))];
        assert_eq!(in_front(&behind, Some("a")).await.as_deref(), Some("c"));
    }

    #[tokio::test]
    async fn one_page_is_not_asked() {
        let (chromium, cdp) = Chromium::with(&[("a", Nothing)]);
        assert_eq!(order().in_front(&cdp, None).await.unwrap().as_deref(), Some("a"));
        assert_eq!(*chromium.asked.lock(), BTreeMap::new());
    }

    #[tokio::test]
    async fn the_order_is_that_of_their_opening_and_not_that_of_the_list() {
        let (chromium, cdp) = Chromium::with(&[("a", Is(1))]);
        let mut order = order();
        order.in_front(&cdp, None).await.unwrap();
        chromium.set(&[("b", Is(1)), ("a", Is(1))]);
        assert_eq!(order.in_front(&cdp, None).await.unwrap().as_deref(), Some("b"));
        order.opened("a".to_owned());
        assert_eq!(order.in_front(&cdp, None).await.unwrap().as_deref(), Some("a"));
        assert_eq!(order.known.len(), 2);
        assert!(order.closed("a") && !order.closed("a") && !order.closed("frame"));
        chromium.set(&[("b", Is(1))]);
        assert_eq!(order.in_front(&cdp, None).await.unwrap().as_deref(), Some("b"));
        assert_eq!(order.known.len(), 1);
    }
}
