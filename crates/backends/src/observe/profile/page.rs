//! The page: a template with its style, its script and the data in it.

use serde_json::Value;

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Returns the page with this data.
pub(super) fn html(data: &Value) -> String {
    let title = data["pipeline"].as_str().unwrap_or_default();
    // Inserted text is not searched again, so it may contain these words itself.
    let parts = [
        ("{{title}}", escaped(title)),
        ("{{style}}", STYLE.to_owned()),
        ("{{data}}", as_script_data(data)),
        ("{{script}}", SCRIPT.to_owned()),
    ];
    let (mut page, mut rest) = (String::new(), TEMPLATE);
    for (mark, text) in parts {
        let (before, after) = rest.split_once(mark).unwrap_or((rest, ""));
        page.push_str(before);
        page.push_str(&text);
        rest = after;
    }
    page + rest
}

/// Returns text as HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Returns JSON that can neither end the element around it nor begin a comment there. These
/// characters stand only in strings.
pub(super) fn as_script_data(data: &Value) -> String {
    data.to_string()
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_text_breaks_out_of_its_element() {
        let evil = "</script><!--<script>alert(1)</script>&\u{2028}{{script}}\"'\\";
        let data = json!({ "pipeline": evil, "error": { "message": evil } });
        let page = html(&data);
        assert_eq!(page.matches("</script").count(), TEMPLATE.matches("</script").count());
        assert_eq!(page.matches("<script").count(), TEMPLATE.matches("<script").count());
        assert!(!page.contains("<!--<"));
        let begin = page.find("id=\"data\">").unwrap() + "id=\"data\">".len();
        let end = begin + page[begin..].find("</script").unwrap();
        let read: Value = serde_json::from_str(&page[begin..end]).unwrap();
        assert_eq!(read, data);
    }

    #[test]
    fn everything_is_in_its_place() {
        let page = html(&json!({ "pipeline": "a & b" }));
        assert!(page.contains("<title>a &amp; b"));
        for part in [STYLE, SCRIPT, "{\"pipeline\":\"a \\u0026 b\"}"] {
            assert!(page.contains(part));
        }
        for mark in ["{{title}}", "{{style}}", "{{data}}", "{{script}}"] {
            assert_eq!(TEMPLATE.matches(mark).count(), 1, "{mark}");
            assert!(!page.contains(mark));
        }
        // The page fetches no other file.
        assert!(!page.contains("://"));
    }
}
