//! The trace that a command is part of.

use std::future::Future;

/// The place of a command in a trace, as the header `traceparent` of W3C Trace Context has it.
///
/// It stands in the metadata of the events that the command records, and of those that other boxes record because of
/// them. The kit records no spans itself, so it passes on what it was given.
///
/// ```
/// use boxes_application::TraceParent;
///
/// let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// assert_eq!(TraceParent::new(given).unwrap().as_str(), given);
/// assert_eq!(TraceParent::new("00-0-0-01"), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceParent(String);

tokio::task_local! {
    static CURRENT: TraceParent;
}

/// The digits of version, trace, span and flags.
const DIGITS: [usize; 4] = [2, 32, 16, 2];

impl TraceParent {
    /// The trace that is written so: `00-` and three groups of lower-case hexadecimal digits, with hyphens between. Later
    /// versions may go on behind them, which is left out.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let mut groups = text.splitn(DIGITS.len() + 1, '-');
        let mut kept = Vec::new();
        for n_digits in DIGITS {
            let group = groups.next()?;
            let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            if group.len() != n_digits || !group.bytes().all(is_digit) {
                return None;
            }
            kept.push(group);
        }
        let [version, trace, span, _] = *kept.as_slice() else {
            return None;
        };
        let is_zero = |group: &str| group.bytes().all(|byte| byte == b'0');
        let goes_on = groups.next().is_some();
        if version == "ff" || (version == "00" && goes_on) || is_zero(trace) || is_zero(span) {
            return None;
        }
        Some(Self(kept.join("-")))
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Runs commands that are part of this trace.
    pub async fn scope<F: Future>(self, commands: F) -> F::Output {
        CURRENT.scope(self, commands).await
    }

    /// The trace of the command that runs.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";

    #[test]
    fn a_trace_is_read_as_the_standard_writes_it_and_nothing_else_is() {
        let read = |text: &str| TraceParent::new(text).map(|trace| trace.0);
        assert_eq!(
            read(&format!("00-{TRACE}-01")),
            Some(format!("00-{TRACE}-01"))
        );
        let later = format!("cc-{TRACE}-00-what-will-be");
        assert_eq!(read(&later), Some(format!("cc-{TRACE}-00")));
        let zeros = "0".repeat(32);
        for text in [
            String::new(),
            format!("00-{TRACE}"),
            format!("ff-{TRACE}-01"),
            format!("00-{TRACE}-01-more"),
            format!("00-{TRACE}-1"),
            format!("00-{TRACE}-01 "),
            format!("00-{}-01", TRACE.to_uppercase()),
            format!("00-{zeros}-b7ad6b7169203331-01"),
            format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", &zeros[..16]),
            "x".repeat(100_000),
        ] {
            assert_eq!(read(&text), None, "{text}");
        }
    }
}
