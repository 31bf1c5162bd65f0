//! The forms in which languages and formats write a text.

use std::fmt::Write;

/// Returns the text in the quotes of Rust, Python and JSON, and in a URL. Forms may be equal
/// to each other, and to the text.
pub(super) fn of(text: &str) -> Vec<String> {
    let debug = text.escape_debug().to_string();
    let mut forms = vec![debug, in_python(text), in_json(text, false), in_json(text, true)];
    // Some writers of JSON escape the slash, too.
    forms.extend([2, 3].map(|json| forms[json].replace('/', r"\/")));
    for unreserved in ["-._~", "-._~/"] {
        let url = in_url(text, unreserved);
        forms.extend([url.replace("%20", "+"), url]);
    }
    forms
}

/// Returns what `repr` of Python writes between its quotes.
fn in_python(text: &str) -> String {
    let has_both = text.contains('\'') && text.contains('"');
    escaped(text, |escaped, char| match char {
        '\'' if has_both => escaped.push_str(r"\'"),
        '\\' => escaped.push_str(r"\\"),
        '\n' => escaped.push_str(r"\n"),
        '\r' => escaped.push_str(r"\r"),
        '\t' => escaped.push_str(r"\t"),
        _ if is_printable(char) => escaped.push(char),
        _ => {
            let _ = match u32::from(char) {
                code @ ..=0xff => write!(escaped, r"\x{code:02x}"),
                code @ ..=0xffff => write!(escaped, r"\u{code:04x}"),
                code => write!(escaped, r"\U{code:08x}"),
            };
        }
    })
}

/// Returns whether Python, and Rust in its debug form, write a character as it is.
fn is_printable(char: char) -> bool {
    // A mark that combines with the character before it is escaped only at the beginning.
    let after_another: String = [' ', char].iter().collect();
    matches!(char, '"' | '\'' | '\\') || after_another.escape_debug().count() == 2
}

/// Returns what JSON has between the quotes of a text.
fn in_json(text: &str, is_ascii: bool) -> String {
    escaped(text, |escaped, char| match char {
        '"' => escaped.push_str(r#"\""#),
        '\\' => escaped.push_str(r"\\"),
        '\n' => escaped.push_str(r"\n"),
        '\r' => escaped.push_str(r"\r"),
        '\t' => escaped.push_str(r"\t"),
        '\u{8}' => escaped.push_str(r"\b"),
        '\u{c}' => escaped.push_str(r"\f"),
        _ if char < ' ' || is_ascii && char > '~' => {
            for unit in char.encode_utf16(&mut [0; 2]) {
                let _ = write!(escaped, r"\u{unit:04x}");
            }
        }
        _ => escaped.push(char),
    })
}

/// Returns the text in a URL that keeps letters, digits and these.
fn in_url(text: &str, unreserved: &str) -> String {
    escaped(text, |escaped, char| {
        if char.is_ascii_alphanumeric() || unreserved.contains(char) {
            return escaped.push(char);
        }
        for byte in char.encode_utf8(&mut [0; 4]).bytes() {
            let _ = write!(escaped, "%{byte:02X}");
        }
    })
}

fn escaped(text: &str, push: impl Fn(&mut String, char)) -> String {
    let mut escaped = String::with_capacity(text.len());
    text.chars().for_each(|char| push(&mut escaped, char));
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that Python's own functions write of a text.
    const PYTHON: &str = "
import json, sys, urllib.parse as url
texts = json.load(sys.stdin)
def forms(text):
    yield repr(text)[1:-1]
    for is_ascii in (True, False):
        yield json.dumps(text, ensure_ascii=is_ascii)[1:-1]
        yield json.dumps(text, ensure_ascii=is_ascii)[1:-1].replace('/', '\\\\/')
    for safe in ('', '/'):
        yield url.quote(text, safe=safe)
        yield url.quote_plus(text, safe=safe)
json.dump([list(forms(text)) for text in texts], sys.stdout)
";

    #[test]
    fn each_form_is_as_python_writes_it() {
        let texts = [
            r#"both ' and ""#.to_owned(),
            "one ' alone".to_owned(),
            "one \" alone".to_owned(),
            "pass word/with+chars&x=%".to_owned(),
            "p\u{e4}ss-\u{fc}\u{308}n\u{1f511} \u{a0}\u{ad}\u{200b}\u{2028}\u{e000}\u{e0001}"
                .to_owned(),
            "\u{308}begins with a mark".to_owned(),
            ('\0'..='\u{ff}').collect(),
        ];
        let input = serde_json::to_string(&texts).unwrap();
        let python = duct::cmd!("python3", "-c", PYTHON).stdin_bytes(input);
        let told: Vec<Vec<String>> = serde_json::from_str(&python.read().unwrap()).unwrap();
        for (text, told) in texts.iter().zip(told) {
            let forms = of(text);
            for form in told {
                assert!(forms.contains(&form), "{text:?}: {form} is none of {forms:#?}");
            }
        }
    }
}
