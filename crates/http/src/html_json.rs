//! JSON, for people to read in HTML.

use crate::markup_text::MarkupText;

/// Deeper than this nothing is indented further, so that what is shown stays on the screen, and in memory.
const MAX_INDENT: usize = 24;
/// What a token takes besides its own characters: markup around it.
const TOKEN_OVERHEAD: usize = 24;

/// Writes JSON on lines of its own, indented and marked up; at most about `max_bytes` of it. Says whether that was
/// all.
///
/// It adds and removes space between tokens and nothing else: numbers keep their digits, members their order, and
/// what is no JSON is shown as it is.
pub(crate) fn write_json(markup: &mut MarkupText, json: &str, max_bytes: usize) -> bool {
    let mut room = max_bytes;
    let mut depth = 0_usize;
    let mut tokens = Tokens { rest: json }.peekable();
    while let Some(token) = tokens.next() {
        let next = tokens.peek().copied();
        if token.len() >= room {
            markup.text(cut(token, room)).raw("…");
            return false;
        }
        room -= token.len();
        match token {
            "{" | "[" => {
                markup.raw(token);
                depth += 1;
                if !matches!(next, Some("}" | "]")) {
                    room = room.saturating_sub(line(markup, depth));
                }
            }
            "}" | "]" => {
                depth = depth.saturating_sub(1);
                markup.raw(token);
            }
            "," => {
                markup.raw(token);
                room = room.saturating_sub(line(markup, depth));
            }
            ":" => {
                markup.raw(": ");
            }
            value => {
                let class = match (value.as_bytes().first(), next) {
                    (Some(b'"'), Some(":")) => "k",
                    (Some(b'"'), _) => "s",
                    _ => "n",
                };
                markup.raw("<span class=").raw(class).raw(">");
                markup.text(value).raw("</span>");
                room = room.saturating_sub(TOKEN_OVERHEAD);
            }
        }
        let opens = matches!(token, "{" | "[");
        if !opens && matches!(next, Some("}" | "]")) {
            room = room.saturating_sub(line(markup, depth.saturating_sub(1)));
        }
    }
    true
}

/// Begins a line, and says how much of the room that took.
fn line(markup: &mut MarkupText, depth: usize) -> usize {
    let indent = depth.min(MAX_INDENT);
    markup.raw("\n");
    for _ in 0..indent {
        markup.raw("  ");
    }
    1 + 2 * indent
}

/// The beginning of the text, at most so many bytes.
pub(crate) fn cut(text: &str, max_bytes: usize) -> &str {
    let end = (0..=max_bytes.min(text.len())).rev();
    let mut whole = end.filter_map(|end| text.get(..end));
    whole.next().unwrap_or_default()
}

/// The tokens of JSON: punctuation, strings with their quotes, and what is neither, up to the next of them.
struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
        let length = match text.chars().next()? {
            '"' => string_length(text),
            '{' | '}' | '[' | ']' | ',' | ':' => 1,
            _ => text
                .find(['"', '{', '}', '[', ']', ',', ':', ' ', '\t', '\n', '\r'])
                .unwrap_or(text.len()),
        };
        let (token, rest) = text.split_at(length);
        self.rest = rest;
        Some(token)
    }
}

/// How long the string is with which the text begins: to the end if it has none.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (place, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return place + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(json: &str, max_bytes: usize) -> (String, bool) {
        let mut markup = MarkupText::default();
        let whole = write_json(&mut markup, json, max_bytes);
        (String::from_utf8(markup.into_bytes()).unwrap(), whole)
    }

    /// What is left when the markup is taken away.
    fn plain(markup: &str) -> String {
        let mut text = markup.to_owned();
        for class in ["k", "s", "n"] {
            text = text.replace(&format!("<span class={class}>"), "");
        }
        let text = text.replace("</span>", "").replace("&quot;", "\"");
        text.replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&#39;", "'")
            .replace("&amp;", "&")
    }

    #[test]
    fn members_stand_on_lines_of_their_own() {
        let (html, whole) = written(
            r#"{"a":[1, 2.50,{}],"b" : "x,\"{y","c":[ ],"d":null}"#,
            1_000,
        );
        let expected = "{\n  \"a\": [\n    1,\n    2.50,\n    {}\n  ],\n  \"b\": \"x,\\\"{y\",\n  \"c\": [],\n  \"d\": null\n}";
        assert_eq!(plain(&html), expected);
        assert!(whole && html.contains("<span class=k>&quot;a&quot;</span>: ["));
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        let long = format!("[\"{}\"]", "é".repeat(1_000));
        let (html, whole) = written(&long, 101);
        assert!(!whole && html.ends_with("é…") && html.len() < 300, "{html}");
        let deep = "[".repeat(100_000);
        let (html, whole) = written(&deep, 10_000);
        assert!(!whole && html.len() < 20_000);
    }

    proptest! {
        #[test]
        fn only_space_between_tokens_is_changed(json in "[\\[\\]{},:\"a1 \\n\\\\<]*") {
            let (html, whole) = written(&json, 1_000_000);
            prop_assert!(whole);
            let bare = |text: &str| text.replace([' ', '\n'], "");
            prop_assert_eq!(bare(&plain(&html)), bare(&json));
        }

        #[test]
        fn json_stays_the_same_value(numbers: Vec<i64>, text: String) {
            let value = serde_json::json!({ "n": numbers, text.as_str(): { "b": text, "c": [[]] } });
            let (html, whole) = written(&value.to_string(), 10_000_000);
            prop_assert!(whole);
            // Characters that HTML can't hold are escaped in JSON, but for one.
            if !text.contains(['\u{7f}', '\u{fffe}', '\u{ffff}']) {
                prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&plain(&html)).unwrap(), value);
            }
        }
    }
}
