//! The keys that events are encrypted with, and where they come from.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;

/// Bytes of a [check value](Key::check_value).
pub const CHECK_VALUE_BYTES: usize = 16;

/// The number that a key is known by. It stands in front of every record, in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u32);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A key of 32 bytes. It is never printed, and its memory is wiped.
#[derive(Clone)]
// Boxed, because a value that moves would leave copies behind that nobody wipes.
pub struct Key(Arc<Zeroizing<[u8; KEY_BYTES]>>);

impl Key {
    /// The key with these bytes. Take them from a source of randomness, not from a password.
    #[must_use]
    pub fn new(bytes: &[u8; KEY_BYTES]) -> Self {
        let mut key = Arc::new(Zeroizing::new([0; KEY_BYTES]));
        if let Some(place) = Arc::get_mut(&mut key) {
            place.copy_from_slice(bytes);
        }
        Self(key)
    }

    /// The key that is written as 64 hexadecimal digits.
    fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 2 * KEY_BYTES {
            return None;
        }
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            for digit in pair {
                let value = char::from(*digit).to_digit(16)?;
                *byte = (*byte << 4) | u8::try_from(value).ok()?;
            }
        }
        Some(Self::new(&bytes))
    }

    /// What tells this key from another one without telling the key: 16 bytes, other ones for each `purpose`.
    #[must_use]
    pub fn check_value(&self, purpose: &str) -> [u8; CHECK_VALUE_BYTES] {
        let mut value = [0; CHECK_VALUE_BYTES];
        if let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(self.expose()) {
            mac.update(b"boxes key check 1 ");
            mac.update(purpose.as_bytes());
            let digest = mac.finalize().into_bytes();
            value
                .iter_mut()
                .zip(digest)
                .for_each(|(to, from)| *to = from);
        }
        value
    }

    /// The bytes.
    pub(crate) fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// Where keys come from, for those that neither the environment nor a file holds.
///
/// It is asked for every event, by several threads, and must not wait: a provider that fetches keys over a
/// network does so before the box starts, and keeps them.
pub trait KeyProvider: fmt::Debug + Send + Sync + 'static {
    /// The key that new events are encrypted with, with its number.
    ///
    /// A number must stand for one key for ever: what was written with it is opened with it.
    fn current(&self) -> (KeyId, Key);

    /// The key of this number, if there is one; also those that are no longer current.
    fn key(&self, id: KeyId) -> Option<Key>;

    /// The numbers of the keys that are known to be there, the current one among them: each of them is compared with what
    /// a log was written with before a box starts.
    fn ids(&self) -> Vec<KeyId> {
        vec![self.current().0]
    }
}

/// Keys that are given at the start: one that is current, and older ones that are read with.
///
/// ```
/// use boxes_mapper::{KeyId, KeyProvider, Keys};
///
/// // What `openssl rand -hex 32` prints, each with a number of its own. The first is the current one.
/// let text = "2:b7c3f3d9f0b41a55b0f36d1e4b5c0c2a9f5a8d4f3b1e7c6d2a9e0f1c3b5d7e9f,\
///             1:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// let keys: Keys = text.parse()?;
/// assert_eq!(keys.current().0, KeyId(2));
/// assert!(keys.key(KeyId(1)).is_some());
/// # Ok::<(), boxes_mapper::KeysError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Keys {
    current: (KeyId, Key),
    by_id: BTreeMap<KeyId, Key>,
}

/// A text holds no keys. The message does not repeat it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeysError {
    /// There is not one key in it.
    #[error(
        "holds no key: write `1:` and 64 hexadecimal digits, as `openssl rand -hex 32` prints them"
    )]
    None,
    /// One of the keys is not written as a key.
    #[error(
        "entry {entry} is no key: write a number from 0 to 4294967295, a colon, and 64 hexadecimal digits, as `openssl rand -hex 32` prints them"
    )]
    Malformed {
        /// Which one, counted from 1.
        entry: usize,
    },
    /// Two of the keys have one number.
    #[error("has key {id} twice: give each key a number that no other ever had")]
    Twice {
        /// The number.
        id: KeyId,
    },
    /// One key has two numbers, so that what is called a rotation is none.
    #[error("has one key under the numbers {id} and {other}: make a new key for a new number")]
    SameKey {
        /// The number of the first of them.
        id: KeyId,
        /// That of the second.
        other: KeyId,
    },
    /// A key of nothing but zeros: a placeholder that was never replaced.
    #[error(
        "has a key {id} of zeros alone, which anyone can guess: take what `openssl rand -hex 32` prints"
    )]
    Zero {
        /// The number.
        id: KeyId,
    },
}

impl Keys {
    /// One key, for writing and reading.
    #[must_use]
    pub fn new(id: KeyId, key: Key) -> Self {
        Self {
            by_id: BTreeMap::from([(id, key.clone())]),
            current: (id, key),
        }
    }

    /// And one that is only read with.
    ///
    /// # Errors
    ///
    /// - [`KeysError::Twice`] if another key has the number.
    /// - [`KeysError::SameKey`] if the key has another number already.
    pub fn and(mut self, id: KeyId, key: Key) -> Result<Self, KeysError> {
        if self.by_id.contains_key(&id) {
            return Err(KeysError::Twice { id });
        }
        let mut others = self.by_id.iter();
        if let Some((other, _)) = others.find(|(_, other)| other.expose() == key.expose()) {
            return Err(KeysError::SameKey {
                id: *other,
                other: id,
            });
        }
        self.by_id.insert(id, key);
        Ok(self)
    }
}

impl std::str::FromStr for Keys {
    type Err = KeysError;

    /// Keys written as `number:64 hexadecimal digits`, separated by commas or ends of lines, the current one
    /// first. Empty entries, and lines that begin with `#`, are passed over.
    fn from_str(text: &str) -> Result<Self, KeysError> {
        let mut keys: Option<Self> = None;
        let entries = text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .flat_map(|line| line.split(','))
            .map(str::trim)
            .filter(|entry| !entry.is_empty());
        for (index, text) in entries.enumerate() {
            let (id, key) = text
                .split_once(':')
                .and_then(|(id, key)| Some((number(id)?, Key::from_hex(key)?)))
                .ok_or(KeysError::Malformed { entry: index + 1 })?;
            if key.expose() == &[0; KEY_BYTES] {
                return Err(KeysError::Zero { id });
            }
            keys = Some(match keys {
                None => Self::new(id, key),
                Some(keys) => keys.and(id, key)?,
            });
        }
        keys.ok_or(KeysError::None)
    }
}

/// Digits alone: `+1` would be another way to write `1`.
fn number(text: &str) -> Option<KeyId> {
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits.then(|| text.parse().ok().map(KeyId))?
}

impl KeyProvider for Keys {
    fn current(&self) -> (KeyId, Key) {
        self.current.clone()
    }

    fn key(&self, id: KeyId) -> Option<Key> {
        self.by_id.get(&id).cloned()
    }

    fn ids(&self) -> Vec<KeyId> {
        self.by_id.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff";

    #[test]
    fn the_first_key_is_current_and_all_are_read_with() {
        let other = HEX.replace('0', "1");
        let keys: Keys = format!("# newest first\n7:{HEX}\n\n 3:{other}, ")
            .parse()
            .unwrap();
        assert_eq!(keys.current().0, KeyId(7));
        assert_eq!(keys.current().1.expose()[..3], [0x00, 0x11, 0x22]);
        assert_eq!(keys.key(KeyId(7)).unwrap().expose()[10], 0xaa);
        assert_eq!(keys.key(KeyId(3)).unwrap().expose()[0], 0x11);
        assert!(keys.key(KeyId(4)).is_none());
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_repeated() {
        let read = |text: &str| text.parse::<Keys>().map(|_| ()).unwrap_err();
        assert_eq!(read(" \n# none\n"), KeysError::None);
        assert_eq!(read(HEX), KeysError::Malformed { entry: 1 });
        for wrong in [
            format!("x:{HEX}"),
            format!("4294967296:{HEX}"),
            format!("+2:{HEX}"),
            format!(":{HEX}"),
            format!("2:{}", &HEX[1..]),
            format!("2:{HEX}0"),
            format!("2:{}", HEX.replace('A', "g")),
            format!("2:{}", HEX.replacen("AA", "ü", 1)),
        ] {
            let error = read(&format!("1:{HEX},{wrong}"));
            assert_eq!(error, KeysError::Malformed { entry: 2 }, "{wrong}");
            assert!(!error.to_string().contains("2233"), "{error}");
        }
        assert_eq!(
            read(&format!("1:{HEX},1:{HEX}")),
            KeysError::Twice { id: KeyId(1) }
        );
        assert_eq!(
            read(&format!("1:{HEX},2:{}", HEX.to_lowercase())),
            KeysError::SameKey {
                id: KeyId(1),
                other: KeyId(2)
            }
        );
        assert_eq!(
            read(&format!("1:{HEX},2:{}", "0".repeat(64))),
            KeysError::Zero { id: KeyId(2) }
        );
    }

    #[test]
    fn a_key_is_not_printed() {
        let keys: Keys = format!("1:{HEX}").parse().unwrap();
        let printed = format!("{keys:?} {keys:#?}").to_lowercase();
        assert!(printed.contains("key(…)"), "{printed}");
        assert!(
            !printed.contains("2233") && !printed.contains("34, 51"),
            "{printed}"
        );
    }
}
