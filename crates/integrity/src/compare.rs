//! Holds a page against its seal.

use boxes_notification_log::{Section, is_withheld};
use uuid::Uuid;

use crate::fingerprint::metadata;
use crate::{Finding, Fingerprint, Seal, Tampering};

/// A notification that has lost its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deleted {
    pub(crate) id: u64,
    pub(crate) originator_id: Uuid,
    /// Whether it had lost it before it was sealed, so that the seal says so.
    pub(crate) is_sealed: bool,
}

/// Those that have lost their content, if all is as it was sealed otherwise. Of a derived log they may be
/// withheld, and nothing else can be told of them.
///
/// # Errors
///
/// The first notification that is not, and what is wrong with it.
pub(crate) fn compare(
    seal: &Seal,
    section: &Section,
    is_derived: bool,
) -> Result<Vec<Deleted>, Finding> {
    let mut deleted = Vec::new();
    let sealed = seal.events();
    for (place, (fingerprint, id)) in sealed.iter().zip(section.id.low()..).enumerate() {
        let Some(item) = section.items.get(place) else {
            let tampering = Tampering::Removed;
            return Err(Finding { id, tampering });
        };
        if item.event.is_redacted() {
            let originator_id = item.event.originator_id;
            let mut lost = |is_sealed| {
                deleted.push(Deleted {
                    id,
                    originator_id,
                    is_sealed,
                });
            };
            if !item.event.state.is_empty() || metadata(&item.event) != b"{}" {
                let tampering = Tampering::Changed { content: true };
                return Err(Finding { id, tampering });
            }
            // Of what a derived log made of it nothing is left, not even its id and topic.
            if is_derived && is_withheld(&section.log, item) {
                lost(false);
                continue;
            }
            if Fingerprint::of(&item.event) == *fingerprint {
                lost(true);
                continue;
            }
            if Fingerprint::with_content(&item.event, fingerprint.content) != *fingerprint {
                let tampering = Tampering::Changed { content: false };
                return Err(Finding { id, tampering });
            }
            lost(false);
            continue;
        }
        let found = Fingerprint::of(&item.event);
        if found.event == fingerprint.event && found.content != fingerprint.content {
            let reason = "what it says of the notification's content does not fit the rest of it";
            let reason = reason.to_owned();
            let tampering = Tampering::SealDamaged { reason };
            return Err(Finding { id, tampering });
        }
        if found != *fingerprint {
            let tampering = what_happened(seal, section, place, &found, fingerprint);
            return Err(Finding { id, tampering });
        }
    }
    Ok(deleted)
}

fn what_happened(
    seal: &Seal,
    section: &Section,
    place: usize,
    found: &Fingerprint,
    sealed: &Fingerprint,
) -> Tampering {
    let is_here = |place: usize, fingerprint: &Fingerprint| {
        let item = section.items.get(place);
        item.is_some_and(|item| Fingerprint::of(&item.event) == *fingerprint)
    };
    let others = seal.events().iter().enumerate();
    let sealed_at = others
        .filter(|(_, other)| *other == found)
        .map(|(place, _)| place)
        .next();
    // Where what was sealed here is now, if it is still in the page.
    let moved_to = (0..section.items.len()).find(|place| is_here(*place, sealed));
    match (sealed_at, moved_to) {
        (Some(from), Some(_)) => Tampering::Reordered {
            sealed_as: id_at(section, from),
        },
        // What stands here came later, and what was here is nowhere.
        (Some(_), None) => Tampering::Removed,
        (None, Some(to)) if to == place + 1 => Tampering::Inserted,
        _ => Tampering::Changed {
            content: found.content != sealed.content,
        },
    }
}

fn id_at(section: &Section, place: usize) -> u64 {
    let place = u64::try_from(place).unwrap_or(u64::MAX);
    section.id.low().saturating_add(place)
}
