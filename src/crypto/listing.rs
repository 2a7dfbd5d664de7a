//! The listing of a project: every entry that is not deleted, by scope and name. The MAC of the
//! project's row covers it, so that an entry whose row was removed, renamed or moved by hand is
//! missed.

use crate::domain::{EntryId, MilestoneId};
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The first byte of an encoded listing. A new format gets a new number.
const FORMAT: u8 = 1;

/// What a listing says of one entry. The entry's own row and the event of its newest change bind
/// its revision to everything else about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// The entry's id.
    pub entry: EntryId,
    /// Number of its changes.
    pub revision: i32,
}

/// The entries of one scope, by name.
pub type ListedEntries = BTreeMap<String, Listed>;

/// The entries of a milestone, and which of the milestone's states they belong to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct ListedMilestone {
    /// The milestone's revision, so that an older phase that is put back shows.
    revision: i64,
    entries: ListedEntries,
}

/// The entries of a project that are not deleted. At most 1,000, the bound of a project, so it
/// takes about 40 KB.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    project: ListedEntries,
    milestones: BTreeMap<MilestoneId, ListedMilestone>,
}

impl Listing {
    /// The entries of the project's own scope, or of a milestone.
    #[must_use]
    pub fn entries(&self, milestone: Option<&MilestoneId>) -> Option<&ListedEntries> {
        match milestone {
            None => Some(&self.project),
            Some(milestone) => self.milestones.get(milestone).map(|listed| &listed.entries),
        }
    }

    /// Every entry with its scope and name.
    pub fn iter(&self) -> impl Iterator<Item = (Option<&MilestoneId>, &str, Listed)> {
        let of_project = self.project.iter().map(|(name, listed)| (None, name.as_str(), *listed));
        let of_milestones = self.milestones.iter().flat_map(|(milestone, listed)| {
            listed.entries.iter().map(move |(name, listed)| (Some(milestone), name.as_str(), *listed))
        });
        of_project.chain(of_milestones)
    }

    /// The revision of a milestone of the project.
    #[must_use]
    pub fn milestone_revision(&self, milestone: &MilestoneId) -> Option<i64> {
        self.milestones.get(milestone).map(|listed| listed.revision)
    }

    /// The milestones of the project.
    pub fn milestones(&self) -> impl Iterator<Item = &MilestoneId> {
        self.milestones.keys()
    }

    /// Notes the state of a milestone, when it is added and with each of its changes.
    pub fn set_milestone_revision(&mut self, milestone: &MilestoneId, revision: i64) {
        self.milestones.entry(milestone.clone()).or_default().revision = revision;
    }

    /// Removes a milestone with its entries.
    pub fn remove_milestone(&mut self, milestone: &MilestoneId) {
        self.milestones.remove(milestone);
    }

    /// Adds an entry; false if the name is taken, or nothing is known of its milestone's state.
    #[must_use]
    pub fn insert(&mut self, milestone: Option<&MilestoneId>, name: &str, listed: Listed) -> bool {
        let Some(entries) = self.entries_mut(milestone) else { return false };
        if entries.contains_key(name) {
            return false;
        }
        entries.insert(name.to_owned(), listed);
        true
    }

    /// Removes an entry; false if it is not listed exactly so.
    #[must_use]
    pub fn remove(&mut self, milestone: Option<&MilestoneId>, name: &str, listed: Listed) -> bool {
        let Some(entries) = self.entries_mut(milestone) else { return false };
        if entries.get(name) != Some(&listed) {
            return false;
        }
        entries.remove(name).is_some()
    }

    fn entries_mut(&mut self, milestone: Option<&MilestoneId>) -> Option<&mut ListedEntries> {
        match milestone {
            None => Some(&mut self.project),
            Some(milestone) => self.milestones.get_mut(milestone).map(|listed| &mut listed.entries),
        }
    }

    /// The stored form. A milestone without entries is in it too: an older phase that is put back
    /// shows before the first entry is added.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        encode_entries(&mut out, &self.project);
        for (milestone, listed) in &self.milestones {
            encode_text(&mut out, milestone.as_str());
            out.extend(listed.revision.to_be_bytes());
            encode_entries(&mut out, &listed.entries);
        }
        out
    }

    /// Reads the stored form; `None` for bytes that are none.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        if rest.take::<1>()? != [FORMAT] {
            return None;
        }
        let mut listing = Self { project: rest.entries()?, milestones: BTreeMap::new() };
        while !rest.0.is_empty() {
            let milestone = MilestoneId::parse(rest.text()?).ok()?;
            let revision = i64::from_be_bytes(rest.take()?);
            let listed = ListedMilestone { revision, entries: rest.entries()? };
            listing.milestones.insert(milestone, listed);
        }
        Some(listing)
    }

    /// The digest of a stored listing that the MAC of the project's row covers: its SHA-256, in
    /// hex.
    #[must_use]
    pub fn digest(encoded: &[u8]) -> String {
        HEXLOWER.encode(&Sha256::digest(encoded))
    }
}

fn encode_entries(out: &mut Vec<u8>, entries: &ListedEntries) {
    // A project has at most 1,000 entries.
    out.extend(u32::try_from(entries.len()).unwrap_or(u32::MAX).to_be_bytes());
    for (name, Listed { entry, revision }) in entries {
        encode_text(out, name);
        out.extend(entry.0.as_bytes());
        out.extend(revision.to_be_bytes());
    }
}

/// A name has at most 128 bytes, an id of a milestone at most 200.
fn encode_text(out: &mut Vec<u8>, text: &str) {
    out.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    out.extend(text.as_bytes());
}

/// The bytes that are still to be read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn text(&mut self) -> Option<String> {
        let [length] = self.take::<1>()?;
        let (taken, rest) = self.0.split_at_checked(usize::from(length))?;
        self.0 = rest;
        String::from_utf8(taken.to_vec()).ok()
    }

    fn entries(&mut self) -> Option<ListedEntries> {
        let count = u32::from_be_bytes(self.take()?);
        let mut entries = ListedEntries::new();
        for _ in 0..count {
            let name = self.text()?;
            let entry = EntryId(Uuid::from_bytes(self.take()?));
            let revision = i32::from_be_bytes(self.take()?);
            entries.insert(name, Listed { entry, revision });
        }
        Some(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(entry: u128, revision: i32) -> Listed {
        Listed { entry: EntryId(Uuid::from_u128(entry)), revision }
    }

    fn milestone(id: &str) -> MilestoneId {
        MilestoneId::parse(id).unwrap()
    }

    fn sample() -> Listing {
        let mut listing = Listing::default();
        assert!(listing.insert(None, "TOKEN", listed(1, 3)));
        assert!(listing.insert(None, "A", listed(2, i32::MAX)));
        listing.set_milestone_revision(&milestone("m"), 7);
        assert!(listing.insert(Some(&milestone("m")), "TOKEN", listed(3, 1)));
        listing
    }

    #[test]
    fn what_is_stored_is_read_again() {
        for listing in [Listing::default(), sample()] {
            assert_eq!(Listing::decode(&listing.encode()), Some(listing));
        }
    }

    #[test]
    fn every_difference_changes_the_stored_form() {
        let whole = sample().encode();
        let m = milestone("m");
        let mut removed = sample();
        assert!(removed.remove(None, "A", listed(2, i32::MAX)));
        let mut moved = removed.clone();
        assert!(moved.insert(Some(&m), "A", listed(2, i32::MAX)));
        let mut renamed = removed.clone();
        assert!(renamed.insert(None, "B", listed(2, i32::MAX)));
        let mut older = removed.clone();
        assert!(older.insert(None, "A", listed(2, 1)));
        let mut other = removed.clone();
        assert!(other.insert(None, "A", listed(9, i32::MAX)));
        let mut reopened = sample();
        reopened.set_milestone_revision(&m, 6);
        for changed in [removed, moved, renamed, older, other, reopened] {
            assert_ne!(changed.encode(), whole, "{changed:?}");
            assert_ne!(Listing::digest(&changed.encode()), Listing::digest(&whole));
        }
    }

    #[test]
    fn a_milestone_is_listed_until_it_is_removed() {
        let m = milestone("m");
        let mut listing = sample();
        assert_eq!(listing.milestone_revision(&m), Some(7));
        assert!(listing.remove(Some(&m), "TOKEN", listed(3, 1)));
        assert_eq!(Listing::decode(&listing.encode()).unwrap().milestone_revision(&m), Some(7), "without entries");
        listing.remove_milestone(&m);
        assert!(!listing.insert(Some(&m), "TOKEN", listed(3, 1)), "nothing is known of its state");
    }

    #[test]
    fn only_what_is_listed_so_is_removed_and_no_name_twice() {
        let mut listing = sample();
        assert!(!listing.insert(None, "TOKEN", listed(9, 1)));
        for wrong in [listed(1, 2), listed(2, 3)] {
            assert!(!listing.remove(None, "TOKEN", wrong));
        }
        assert!(!listing.remove(Some(&milestone("n")), "TOKEN", listed(1, 3)));
        assert!(listing.remove(None, "TOKEN", listed(1, 3)));
        assert_eq!(listing.iter().count(), 2);
    }

    #[test]
    fn bytes_that_are_no_listing_are_refused() {
        let whole = sample().encode();
        for cut in 0..whole.len() {
            let read = Listing::decode(&whole[..cut]);
            assert!(read.is_none_or(|read| read != sample()), "{cut}");
        }
        assert_eq!(Listing::decode(&[&[2], &whole[1..]].concat()), None);
        assert_eq!(Listing::decode(&[&whole[..], &[0]].concat()), None);
    }
}
