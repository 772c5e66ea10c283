//! What a box signs about an aggregate that it deleted.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::digest::Parts;
use crate::keys::Signature;
use crate::{SigningKey, VerifyingKey};

/// That an aggregate was deleted by the box, signed. A redacted event without it was redacted by someone else who can write to
/// the database.
///
/// It is about the log's name and the aggregate, whatever the epoch: a deleted aggregate is so for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedDeletion {
    /// The name of the log.
    pub log: String,
    /// The aggregate.
    pub originator_id: Uuid,
    signed_by: VerifyingKey,
    signature: Signature,
}

impl SignedDeletion {
    /// Signs that the aggregate was deleted.
    #[must_use]
    pub fn new(log: &str, originator_id: Uuid, key: &SigningKey) -> Self {
        Self {
            log: log.to_owned(),
            originator_id,
            signed_by: key.verifying_key(),
            signature: key.sign(&signed(log, originator_id)),
        }
    }

    /// The aggregate that is deleted, if that is about this log, and signed with one of these keys.
    #[must_use]
    pub fn accepted(bytes: &[u8], log: &str, trusted: &[VerifyingKey]) -> Option<Uuid> {
        let statement: Self = serde_json::from_slice(bytes).ok()?;
        let text = signed(log, statement.originator_id);
        let is_accepted = statement.log == log
            && trusted.contains(&statement.signed_by)
            && statement.signed_by.accepts(&text, &statement.signature);
        is_accepted.then_some(statement.originator_id)
    }

    /// As it is stored: JSON.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Texts alone can always be written.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

fn signed(log: &str, originator_id: Uuid) -> Vec<u8> {
    Parts::collected("boxes.deletion.1")
        .bytes(log.as_bytes())
        .fixed(originator_id.as_bytes())
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{OTHER_KEY, SIGNING_KEY};

    #[test]
    fn a_statement_counts_for_its_log_and_aggregate_under_a_trusted_key() {
        let key = SigningKey::from_pem(SIGNING_KEY).unwrap();
        let other = SigningKey::from_pem(OTHER_KEY).unwrap().verifying_key();
        let id = Uuid::from_u128(7);
        let bytes = SignedDeletion::new("orders", id, &key).to_bytes();
        let trusted = [other, key.verifying_key()];
        assert_eq!(
            SignedDeletion::accepted(&bytes, "orders", &trusted),
            Some(id)
        );
        assert_eq!(SignedDeletion::accepted(&bytes, "payments", &trusted), None);
        assert_eq!(SignedDeletion::accepted(&bytes, "orders", &[other]), None);
        let text = String::from_utf8(bytes).unwrap();
        let of_another = text.replace(&id.to_string(), &Uuid::from_u128(8).to_string());
        assert_eq!(
            SignedDeletion::accepted(of_another.as_bytes(), "orders", &trusted),
            None
        );
    }
}
