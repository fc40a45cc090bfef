//! Pages for agents.

use std::fmt::Write as _;

use super::model::{Api, Field, Operation};

/// What the API is, and a link to every page.
pub(super) fn index(api: &Api) -> String {
    let mut out = format!("# {}\n\n", api.title);
    let mut paragraphs = api.description.split("\n\n");
    let _ = writeln!(out, "> {}\n", paragraphs.next().unwrap_or_default());
    for paragraph in paragraphs {
        let _ = writeln!(out, "{paragraph}\n");
    }
    out.push_str("The whole document: [spec.json](spec.json), [spec.yaml](spec.yaml).\n");
    for group in &api.groups {
        let _ = writeln!(out, "\n## {}\n\n{}\n", group.name, group.description);
        for operation in &group.operations {
            let _ = writeln!(
                out,
                "- [{} {}](docs/{}.md): {}",
                operation.method, operation.path, operation.id, operation.summary
            );
        }
    }
    out
}

/// One operation.
pub(super) fn page(operation: &Operation) -> String {
    let mut out = format!("# {}\n\n`{} {}`\n\n", operation.id, operation.method, operation.path);
    if !operation.summary.is_empty() && operation.summary != operation.id {
        let _ = writeln!(out, "{}.\n", operation.summary);
    }
    if !operation.description.is_empty() {
        let _ = writeln!(out, "{}\n", operation.description.trim());
    }
    out.push_str(match operation.credential {
        Some("key") => "Needs `Authorization: Bearer <API key>`.\n",
        Some(_) => "Needs a session token: `?jwt=…`, as in the session's own URLs.\n",
        None => "Needs no key.\n",
    });
    table(&mut out, "Parameters", &operation.parameters);
    table(&mut out, "Body (JSON)", &operation.body);
    out.push_str("\n## Answers\n");
    for answer in &operation.answers {
        let content =
            answer.content.as_ref().map_or_else(String::new, |content| format!(" ({content})"));
        let _ = writeln!(out, "\n- **{}**{content}: {}", answer.status, answer.description);
        for field in &answer.fields {
            let _ = writeln!(
                out,
                "  - `{}` ({}): {}",
                field.name,
                field.kind,
                one_line(&field.description)
            );
        }
    }
    out
}

fn table(out: &mut String, title: &str, fields: &[Field]) {
    if fields.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n## {title}\n\n|Name|Type|Meaning|\n|-|-|-|");
    for field in fields {
        let place =
            if field.place.is_empty() { String::new() } else { format!(" in {}", field.place) };
        let required = if field.required { ", required" } else { "" };
        let _ = writeln!(
            out,
            "|`{}`{place}{required}|{}|{}|",
            field.name,
            cell(&field.kind),
            cell(&field.description)
        );
    }
}

fn cell(text: &str) -> String {
    one_line(text).replace('|', "\\|")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
