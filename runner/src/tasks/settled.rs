//! Which records of a sink with a journal were rejected and have their dead letters. An export's
//! position stays at the first record of its oldest open file, so that a restart reads, and rejects, the
//! same records again: each has one dead letter nevertheless.
//!
//! Each record is remembered by itself. "All rejections up to here" would be shorter, but a record that
//! was taken before and is rejected after a change of the configuration would have no dead letter then.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use penstock_connect::TopicPartition;

/// Bytes of a page: a bit for each offset.
const PAGE_BYTES: usize = 512;

/// Offsets of a page.
const PAGE: i64 = 8 * PAGE_BYTES as i64;

type Pages = BTreeMap<i64, Box<[u8; PAGE_BYTES]>>;

/// The rejected records of a task's partitions, as far as they may come again.
#[derive(Default)]
pub(super) struct Settled(HashMap<TopicPartition, Pages>);

/// Where an offset stands: page, byte, bit.
fn place(offset: i64) -> (i64, usize, u8) {
    let within = usize::try_from(offset.rem_euclid(PAGE)).unwrap_or(0);
    (offset.div_euclid(PAGE), within / 8, 1 << (within % 8))
}

impl Settled {
    /// Takes over a partition as the journal has it.
    pub(super) fn load(&mut self, partition: TopicPartition, pages: BTreeMap<i64, Bytes>) {
        let pages = pages.into_iter().map(|(page, bytes)| {
            let mut bits = Box::new([0; PAGE_BYTES]);
            for (bit, byte) in bits.iter_mut().zip(&bytes) {
                *bit = *byte;
            }
            (page, bits)
        });
        self.0.insert(partition, pages.collect());
    }

    /// Lets go of a partition.
    pub(super) fn forget(&mut self, partition: &TopicPartition) {
        self.0.remove(partition);
    }

    /// Whether a record has its dead letter.
    pub(super) fn contains(&self, partition: &TopicPartition, offset: i64) -> bool {
        let (page, byte, bit) = place(offset);
        let pages = self.0.get(partition);
        let bits = pages.and_then(|pages| pages.get(&page));
        bits.is_some_and(|bits| bits[byte] & bit != 0)
    }

    /// Notes a record. Returns its page.
    pub(super) fn insert(&mut self, partition: &TopicPartition, offset: i64) -> i64 {
        let (page, byte, bit) = place(offset);
        let pages = self.0.entry(partition.clone()).or_default();
        let bits = pages
            .entry(page)
            .or_insert_with(|| Box::new([0; PAGE_BYTES]));
        bits[byte] |= bit;
        page
    }

    /// A page as the journal holds it.
    pub(super) fn page(&self, partition: &TopicPartition, page: i64) -> Option<&[u8]> {
        let bits = self.0.get(partition)?.get(&page)?;
        Some(&bits[..])
    }

    /// Pages of records that lie before the position and do not come again.
    pub(super) fn passed(&self, partition: &TopicPartition, position: i64) -> Vec<i64> {
        let pages = self.0.get(partition).into_iter().flat_map(Pages::keys);
        pages
            .copied()
            .take_while(|page| (page + 1) * PAGE <= position)
            .collect()
    }

    /// Lets go of a page.
    pub(super) fn remove(&mut self, partition: &TopicPartition, page: i64) {
        if let Some(pages) = self.0.get_mut(partition) {
            pages.remove(&page);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(number: i32) -> TopicPartition {
        TopicPartition {
            topic: "t".into(),
            partition: number,
        }
    }

    #[test]
    fn each_record_is_remembered_by_itself_until_the_position_has_passed_its_page() {
        let (mut settled, t) = (Settled::default(), partition(0));
        for offset in [0, 9, 4095, 4096, 70_000] {
            settled.insert(&t, offset);
            assert!(settled.contains(&t, offset));
        }
        for offset in [1, 8, 4094, 4097, 69_999, 5_000_000] {
            assert!(!settled.contains(&t, offset), "{offset}");
        }
        assert!(!settled.contains(&partition(1), 0));
        assert!(settled.passed(&t, 4095).is_empty());
        assert_eq!(settled.passed(&t, 4096), [0]);
        assert_eq!(settled.passed(&t, 80_000), [0, 1, 17]);
        settled.remove(&t, 0);
        assert!(!settled.contains(&t, 9) && settled.contains(&t, 4096));
    }

    #[test]
    fn pages_are_read_as_they_were_written() {
        let (mut settled, t) = (Settled::default(), partition(0));
        let page = settled.insert(&t, 12_345);
        let written = settled.page(&t, page).map(Bytes::copy_from_slice);
        let mut read = Settled::default();
        read.load(
            t.clone(),
            written.map(|bits| (page, bits)).into_iter().collect(),
        );
        assert!(read.contains(&t, 12_345) && !read.contains(&t, 12_346));
        read.forget(&t);
        assert!(!read.contains(&t, 12_345));
    }
}
