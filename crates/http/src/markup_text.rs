//! HTML and XML, written by hand into one buffer.
//!
//! What both need escaped is the same few characters; the documents written here are small and fixed in form, so a
//! library of templates or of XML would be longer than what it replaces.

/// A buffer that markup is written into, piece by piece.
#[derive(Debug, Default)]
pub(crate) struct MarkupText {
    text: String,
}

impl MarkupText {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self {
            text: String::with_capacity(capacity),
        }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.text.into_bytes()
    }

    /// Markup as it is: never what came from elsewhere.
    pub(crate) fn raw(&mut self, markup: &str) -> &mut Self {
        self.text.push_str(markup);
        self
    }

    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        self.raw(itoa::Buffer::new().format(number))
    }

    /// Text, between tags or within quotes.
    ///
    /// Characters that neither HTML nor XML can hold become U+FFFD, as they do where bytes are no UTF-8.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        let mut rest = text;
        while let Some(place) = rest.find(is_special) {
            let (plain, special) = rest.split_at(place);
            self.raw(plain);
            let mut chars = special.chars();
            match chars.next() {
                Some('&') => self.raw("&amp;"),
                Some('<') => self.raw("&lt;"),
                Some('>') => self.raw("&gt;"),
                Some('"') => self.raw("&quot;"),
                Some('\'') => self.raw("&#39;"),
                Some('\r') => self.raw("&#13;"),
                _ => self.raw("\u{fffd}"),
            };
            rest = chars.as_str();
        }
        self.raw(rest)
    }

    /// ` name="value"`, the value escaped.
    pub(crate) fn attribute(&mut self, name: &str, value: &str) -> &mut Self {
        self.raw(" ").raw(name).raw("=\"").text(value).raw("\"")
    }
}

/// What must not stand in text as it is: what markup consists of, a carriage return, which parsers make a line feed,
/// and what is no character of XML 1.0.
fn is_special(c: char) -> bool {
    matches!(
        c,
        '&' | '<' | '>' | '"' | '\'' | '\u{7f}' | '\u{fffe}' | '\u{ffff}'
    ) || (c < ' ' && !matches!(c, '\t' | '\n'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str) -> String {
        let mut markup = MarkupText::default();
        markup.text(text);
        String::from_utf8(markup.into_bytes()).unwrap()
    }

    #[test]
    fn what_markup_consists_of_is_escaped() {
        assert_eq!(
            written("a</details><script>'&\"\r\n\0é\u{ffff}"),
            "a&lt;/details&gt;&lt;script&gt;&#39;&amp;&quot;&#13;\n\u{fffd}é\u{fffd}"
        );
    }

    proptest! {
        #[test]
        fn no_text_becomes_markup(text in "[<>&\"'a-c;#\\x00-\\x1f\u{fffd}-\u{ffff}é]*") {
            let written = written(&text);
            prop_assert!(!written.contains(['<', '>', '"', '\'', '\0', '\r']));
            let back = written.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
            let back = back.replace("&#39;", "'").replace("&#13;", "\r").replace("&amp;", "&");
            let kept = |c: char| if is_special(c) && !"&<>\"'\r".contains(c) { '\u{fffd}' } else { c };
            prop_assert_eq!(back, text.chars().map(kept).collect::<String>());
        }
    }
}
