//! Which events are encrypted, how, and with which keys.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::{Cipher, KeyProvider};

/// Which events are encrypted, how, and with which keys.
///
/// ```
/// use boxes_mapper::{Cipher, Encryption, Key, KeyId, Keys};
///
/// let keys = Keys::new(KeyId(1), Key::new(&[7; 32]));
/// let everything = Encryption::all(keys.clone());
/// let customers = Encryption::only(keys.clone(), ["orders.order.placed"]);
/// let nothing_but_read = Encryption::none(keys.clone());
/// let for_others = Encryption::all(keys).with_cipher(Cipher::Aes256CbcHmacSha256).required();
/// # let _ = (everything, customers, nothing_but_read, for_others);
/// ```
#[derive(Debug, Clone)]
pub struct Encryption {
    pub(crate) keys: Arc<dyn KeyProvider>,
    pub(crate) cipher: Cipher,
    which: Which,
    required: bool,
}

#[derive(Debug, Clone)]
enum Which {
    All,
    Only(BTreeSet<String>),
    Except(BTreeSet<String>),
}

impl Encryption {
    /// Encrypts every event.
    #[must_use]
    pub fn all(keys: impl KeyProvider) -> Self {
        Self::new(keys, Which::All)
    }

    /// Encrypts events of these topics. A topic stands for those below it too: `orders.order` for
    /// `orders.order.placed`.
    #[must_use]
    pub fn only<T: Into<String>>(
        keys: impl KeyProvider,
        topics: impl IntoIterator<Item = T>,
    ) -> Self {
        Self::new(
            keys,
            Which::Only(topics.into_iter().map(Into::into).collect()),
        )
    }

    /// Encrypts all events but those of these topics and below them.
    #[must_use]
    pub fn all_except<T: Into<String>>(
        keys: impl KeyProvider,
        topics: impl IntoIterator<Item = T>,
    ) -> Self {
        Self::new(
            keys,
            Which::Except(topics.into_iter().map(Into::into).collect()),
        )
    }

    /// Encrypts none, and reads what is encrypted: for a box that follows one that encrypts.
    #[must_use]
    pub fn none(keys: impl KeyProvider) -> Self {
        Self::new(keys, Which::Only(BTreeSet::new()))
    }

    fn new(keys: impl KeyProvider, which: Which) -> Self {
        Self {
            keys: Arc::new(keys),
            cipher: Cipher::default(),
            which,
            required: false,
        }
    }

    /// Encrypts with this cipher. What another one encrypted is read as well.
    #[must_use]
    pub fn with_cipher(mut self, cipher: Cipher) -> Self {
        self.cipher = cipher;
        self
    }

    /// Refuses to read an event in the clear where this would have encrypted it.
    ///
    /// Without it a log may hold both kinds, so that encryption can begin in a log that is there; but one
    /// who can write to the store can then replace an encrypted event by one in the clear.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Whether events of this topic are encrypted.
    #[must_use]
    pub fn encrypts(&self, topic: &str) -> bool {
        match &self.which {
            Which::All => true,
            Which::Only(topics) => names(topics, topic),
            Which::Except(topics) => !names(topics, topic),
        }
    }

    /// The same for what is made of an encrypted event of this topic: where such events are not encrypted any more, what is made of
    /// those that were is encrypted as they are.
    pub(crate) fn beyond(self, source: &str) -> Self {
        if self.encrypts(source) {
            return self;
        }
        Self {
            which: Which::All,
            ..self
        }
    }

    /// The same for events of whatever topic.
    pub(crate) fn encrypting_all(&self) -> Self {
        Self {
            which: Which::All,
            ..self.clone()
        }
    }

    /// Whether any events are encrypted.
    pub(crate) fn encrypts_any(&self) -> bool {
        !matches!(&self.which, Which::Only(topics) if topics.is_empty())
    }

    /// Whether an event of this topic must not be read in the clear.
    pub(crate) fn requires(&self, topic: &str) -> bool {
        self.required && self.encrypts(topic)
    }
}

/// Whether `topic` or one above it is among `topics`.
fn names(topics: &BTreeSet<String>, topic: &str) -> bool {
    topics.contains(topic)
        || topic
            .rmatch_indices('.')
            .any(|(end, _)| topic.get(..end).is_some_and(|above| topics.contains(above)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Key, KeyId, Keys};

    #[test]
    fn topics_are_chosen_with_those_below_them() {
        let keys = Keys::new(KeyId(1), Key::new(&[1; 32]));
        let only = Encryption::only(keys.clone(), ["orders.order", "a.b"]);
        let except = Encryption::all_except(keys.clone(), ["orders.order", "a.b"]);
        for (topic, chosen) in [
            ("orders.order", true),
            ("orders.order.placed", true),
            ("orders.orders", false),
            ("orders", false),
            ("a.b.c.d", true),
            ("", false),
        ] {
            assert_eq!(only.encrypts(topic), chosen, "{topic}");
            assert_eq!(except.encrypts(topic), !chosen, "{topic}");
            assert!(Encryption::all(keys.clone()).encrypts(topic));
            assert!(!Encryption::none(keys.clone()).encrypts(topic));
        }
    }
}
