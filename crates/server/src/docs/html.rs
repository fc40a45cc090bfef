//! The page for people: one file, no script, nothing loaded from elsewhere.

use std::fmt::Write as _;

use super::model::{Answer, Api, Field, Operation};

/// The whole page.
pub(super) fn page(api: &Api) -> String {
    let mut out = String::with_capacity(256 << 10);
    let _ = write!(
        out,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{0} API</title><style>{1}</style></head>\
         <body><nav><a class=\"brand\" href=\"#top\">{0}</a>",
        escape(&api.title),
        include_str!("style.css")
    );
    for group in &api.groups {
        let open = if group.name == "not built yet" { "" } else { " open" };
        let _ = write!(out, "<details{open}><summary>{}</summary><ul>", escape(&group.name));
        for operation in &group.operations {
            let _ = write!(
                out,
                "<li><a href=\"#{id}\"><b class=\"m {method}\">{method}</b>{id}</a>",
                id = escape(&operation.id),
                method = operation.method,
            );
        }
        out.push_str("</ul></details>");
    }
    let _ = write!(
        out,
        "</nav><main id=\"top\"><h1>{} <small>{}</small></h1>{}<p class=\"links\"><a href=\"spec.json\">spec.json</a> \
         <a href=\"spec.yaml\">spec.yaml</a> <a href=\"llms.txt\">llms.txt</a></p>",
        escape(&api.title),
        escape(&api.version),
        prose(&api.description)
    );
    for group in &api.groups {
        let _ =
            write!(out, "<section><h2>{}</h2>{}", escape(&group.name), prose(&group.description));
        for operation in &group.operations {
            article(&mut out, operation);
        }
        out.push_str("</section>");
    }
    out.push_str("</main></body></html>");
    out
}

fn article(out: &mut String, operation: &Operation) {
    let _ = write!(
        out,
        "<article id=\"{id}\"><h3>{summary}</h3><p class=\"route\"><b class=\"m {method}\">{method}</b><code>{path}</code>\
         <a class=\"md\" href=\"docs/{id}.md\" title=\"as Markdown\">{id}</a></p>",
        id = escape(&operation.id),
        summary = inline(&operation.summary),
        method = operation.method,
        path = escape(&operation.path),
    );
    out.push_str(&prose(&operation.description));
    out.push_str(match operation.credential {
        Some("key") => "<p class=\"cred\">API key: <code>Authorization: Bearer …</code></p>",
        Some(_) => "<p class=\"cred\">Session token: <code>?jwt=…</code></p>",
        None => "<p class=\"cred\">No key.</p>",
    });
    table(out, "Parameters", &operation.parameters);
    table(out, "Body", &operation.body);
    out.push_str("<h4>Answers</h4><dl>");
    for answer in &operation.answers {
        describe(out, answer);
    }
    out.push_str("</dl></article>");
}

fn describe(out: &mut String, answer: &Answer) {
    let class = answer.status.chars().next().unwrap_or('x');
    let _ = write!(
        out,
        "<dt class=\"s{class}\">{}</dt><dd>{}",
        escape(&answer.status),
        inline(&answer.description)
    );
    if !answer.fields.is_empty() {
        out.push_str("<details><summary>fields</summary>");
        table(out, "", &answer.fields);
        out.push_str("</details>");
    }
    out.push_str("</dd>");
}

fn table(out: &mut String, title: &str, fields: &[Field]) {
    if fields.is_empty() {
        return;
    }
    if !title.is_empty() {
        let _ = write!(out, "<h4>{title}</h4>");
    }
    out.push_str("<div class=\"scroll\"><table>");
    for field in fields {
        let required = if field.required { "<em>required</em>" } else { "" };
        let place = if field.place.is_empty() {
            String::new()
        } else {
            format!("<i>{}</i>", escape(&field.place))
        };
        let _ = write!(
            out,
            "<tr><td><code>{}</code>{place}{required}<td class=\"k\">{}<td>{}",
            escape(&field.name),
            escape(&field.kind),
            inline(&field.description)
        );
    }
    out.push_str("</table></div>");
}

/// Paragraphs of Markdown with code and strong text, which is all our descriptions use.
fn prose(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty());
    paragraphs.map(|paragraph| format!("<p>{}</p>", inline(paragraph))).collect()
}

fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, part) in text.split('`').enumerate() {
        if at % 2 == 1 {
            let _ = write!(out, "<code>{}</code>", escape(part));
            continue;
        }
        for (at, part) in part.split("**").enumerate() {
            if at % 2 == 1 {
                let _ = write!(out, "<strong>{}</strong>", escape(part));
            } else {
                out.push_str(&escape(part));
            }
        }
    }
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(
            inline("a <b> `<i>` **x&y**"),
            "a &lt;b&gt; <code>&lt;i&gt;</code> <strong>x&amp;y</strong>"
        );
        assert_eq!(prose("a\n\nb"), "<p>a</p><p>b</p>");
    }
}
