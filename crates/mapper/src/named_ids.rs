//! Ids of aggregates that belong to names which can be guessed.

use aes_gcm_siv::aead::KeyInit;
use boxes_domain::{Aggregate, Event, Id};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use uuid::Builder;
use zeroize::Zeroizing;

use crate::Key;

/// Makes the ids of aggregates from names that can be guessed, such as e-mail addresses, with a key.
///
/// An id [of a kind and a name](Id::of_kind) is a hash: who sees it in a page or a log, and guesses the name, knows that
/// the guess is right, and it stays when the person is forgotten. With a key only those can tell who have it. The same key, kind and
/// name give the same id, so the key stays the same for as long as the ids are used; when it is destroyed, nobody can tell whose ids
/// they were.
///
/// Where no name has to lead to the aggregate, a random id is better still.
///
/// ```
/// # use boxes_domain::{Aggregate, Event, Id};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Event, Clone, Serialize, Deserialize)]
/// # #[event(topic = "crm.customer", crate = "boxes_domain")]
/// # enum CustomerEvent { Registered }
/// # #[derive(Default, Clone)] struct Customer;
/// # impl Aggregate for Customer { type Event = CustomerEvent; fn apply(&mut self, _: &CustomerEvent) {} }
/// use boxes_mapper::{Key, NamedIds};
///
/// let ids = NamedIds::new(Key::new(&[7; 32])); // from a secret store
/// let ann: Id<Customer> = ids.of_kind("ann@example.org");
/// assert_eq!(ann, ids.of_kind("ann@example.org"));
/// assert_ne!(ann, Id::of_kind("ann@example.org"));
/// ```
#[derive(Debug, Clone)]
pub struct NamedIds {
    key: Key,
}

impl NamedIds {
    /// Ids that are made with this key. Take one that encrypts nothing.
    #[must_use]
    pub const fn new(key: Key) -> Self {
        Self { key }
    }

    /// The id that belongs to a name among the aggregates of this kind: a UUID of version 8, of the first bits of an HMAC-SHA-256.
    #[must_use]
    pub fn of_kind<A: Aggregate>(&self, name: &str) -> Id<A> {
        let kind = A::Event::KIND;
        let length = u64::try_from(kind.len()).unwrap_or(u64::MAX);
        // A key that is shorter than a block is followed by zeros, as HMAC has it.
        let mut block = Zeroizing::new([0; 64]);
        let padded = block.iter_mut().zip(self.key.expose());
        padded.for_each(|(to, from)| *to = *from);
        let mac = <Hmac<Sha256> as KeyInit>::new((&*block).into())
            .chain_update(b"boxes.named-id.1\0")
            .chain_update(length.to_be_bytes())
            .chain_update(kind)
            .chain_update(name);
        let mut bytes = [0; 16];
        for (byte, of_mac) in bytes.iter_mut().zip(mac.finalize().into_bytes()) {
            *byte = of_mac;
        }
        Id::new(Builder::from_custom_bytes(bytes).into_uuid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};

    macro_rules! aggregate {
        ($name:ident, $event:ident, $topic:literal) => {
            #[derive(Event, Clone, Serialize, Deserialize)]
            #[event(topic = $topic, crate = "boxes_domain")]
            enum $event {
                Happened,
            }

            #[derive(Default, Clone)]
            struct $name;

            impl Aggregate for $name {
                type Event = $event;

                fn apply(&mut self, _: &$event) {}
            }
        };
    }

    aggregate!(Customer, CustomerEvent, "crm.customer");
    aggregate!(Letter, LetterEvent, "crm.letter");

    #[test]
    fn key_kind_and_name_make_the_id_for_ever() {
        let ids = NamedIds::new(Key::new(&[1; 32]));
        let others = NamedIds::new(Key::new(&[2; 32]));
        let ann = ids.of_kind::<Customer>("ann@example.org").uuid();
        let different = [
            others.of_kind::<Customer>("ann@example.org").uuid(),
            ids.of_kind::<Letter>("ann@example.org").uuid(),
            ids.of_kind::<Customer>("bob@example.org").uuid(),
        ];
        assert!(!different.contains(&ann));
        assert_eq!(ann.get_version_num(), 8);
        // What is stored depends on it.
        assert_eq!(ann.to_string(), "4d54b546-ccf4-8df9-959e-101d58b0d42c");
    }
}
