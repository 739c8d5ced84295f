//! Puts checked work into the store's write batch.

use std::collections::HashMap;
use std::sync::Arc;

use redb::{ReadableTable, Table, WriteTransaction};

use super::commit::Work;
use super::now_ms;
use super::staged::Staged;
use super::store::{LOG, LogKey, META, OFFSETS, PARTITIONS, TOPICS};
use super::topics::{Extent, Topic};
use super::writer::{Cleaned, GroupOffsets};

/// The partitions that a commit changes, by (topic id, partition), as they will be after it.
pub(super) type Changed = HashMap<(u32, u32), (Arc<Topic>, Extent)>;

type Applied<T = ()> = Result<T, redb::Error>;

pub(super) fn apply(write: &WriteTransaction, work: &mut Work, changed: &mut Changed) -> Applied {
    match work {
        Work::Drain { staged, bases, .. } => *bases = append(write, staged, changed)?,
        Work::Transaction {
            staged,
            bases,
            offsets,
            ..
        } => {
            *bases = append(write, staged, changed)?;
            if let Some(offsets) = offsets {
                put_offsets(write, offsets)?;
            }
        }
        Work::Offsets { offsets, .. } => put_offsets(write, offsets)?,
        Work::Create {
            topic,
            name,
            partitions,
            config,
            ..
        } => {
            let mut topics = write.open_table(TOPICS)?;
            if topics.get(&**name)?.is_none() {
                let mut meta = write.open_table(META)?;
                let id = meta.get("topic")?.map_or(0, |id| id.value());
                meta.insert("topic", id + 1)?;
                topics.insert(&**name, (id, *partitions, config.to_lines().as_str()))?;
                *topic = Some(Arc::new(Topic::new(
                    id,
                    name.clone(),
                    config.clone(),
                    *partitions,
                )));
            }
        }
        Work::Delete { topic, .. } => delete_topic(write, topic, changed)?,
        Work::DeleteGroup { group, .. } => {
            let mut offsets = write.open_table(OFFSETS)?;
            offsets.retain_in((&**group, 0, 0)..=(&**group, u32::MAX, u32::MAX), |_, _| {
                false
            })?;
        }
        Work::Clean { cleaned, .. } => clean(write, cleaned, changed)?,
        Work::Barrier { .. } => {}
    }
    Ok(())
}

fn extent<'a>(changed: &'a mut Changed, topic: &Arc<Topic>, partition: u32) -> &'a mut Extent {
    let entry = changed.entry((topic.id, partition));
    &mut entry
        .or_insert_with(|| (topic.clone(), topic.partitions[partition as usize].extent()))
        .1
}

/// Appends the batches; returns their base offsets.
fn append(
    write: &WriteTransaction,
    staged: &mut Staged,
    changed: &mut Changed,
) -> Applied<Vec<u64>> {
    let now = now_ms();
    let mut log = write.open_table(LOG)?;
    let mut bases = Vec::with_capacity(staged.batches.len());
    for batch in &mut staged.batches {
        let topic = &batch.topic;
        if topic.is_deleted() {
            bases.push(0);
            continue;
        }
        let extent = extent(changed, topic, batch.partition);
        bases.push(extent.next);
        let count = u64::from(batch.builder.count());
        let entry = batch.builder.finish(now, topic.config.log_append_time);
        log.insert((topic.id, batch.partition, extent.next), entry)?;
        extent.next += count;
        extent.bytes += entry.len() as u64;
        extent.dirty_bytes += entry.len() as u64;
    }
    Ok(bases)
}

fn put_offsets(write: &WriteTransaction, offsets: &GroupOffsets) -> Applied {
    let mut table = write.open_table(OFFSETS)?;
    for (slot, next) in &offsets.offsets {
        table.insert((&*offsets.group, slot.topic_id, slot.partition), next)?;
    }
    Ok(())
}

fn delete_topic(write: &WriteTransaction, topic: &Topic, changed: &mut Changed) -> Applied {
    write.open_table(TOPICS)?.remove(&*topic.name)?;
    write
        .open_table(PARTITIONS)?
        .retain_in((topic.id, 0)..=(topic.id, u32::MAX), |_, _| false)?;
    write
        .open_table(LOG)?
        .retain_in((topic.id, 0, 0)..=(topic.id, u32::MAX, u64::MAX), |_, _| {
            false
        })?;
    write
        .open_table(OFFSETS)?
        .retain(|(_, id, _), _| id != topic.id)?;
    changed.retain(|(id, _), _| *id != topic.id);
    Ok(())
}

fn clean(write: &WriteTransaction, cleaned: &Cleaned, changed: &mut Changed) -> Applied {
    let Cleaned {
        topic, partition, ..
    } = cleaned;
    if topic.is_deleted() {
        return Ok(());
    }
    let extent = extent(changed, topic, *partition);
    let mut log = write.open_table(LOG)?;
    for (base, entry) in &cleaned.batches {
        let key = (topic.id, *partition, *base);
        let (before, after) = match entry {
            Some(entry) => (replace(&mut log, key, entry)?, entry.len() as u64),
            None => (
                log.remove(key)?.map_or(0, |old| old.value().len() as u64),
                0,
            ),
        };
        extent.bytes = (extent.bytes + after).saturating_sub(before);
    }
    if let Some(low) = cleaned.low {
        extent.low = extent.low.max(low);
    }
    if let Some((clean, dirty_bytes)) = cleaned.through {
        extent.clean = clean;
        extent.dirty_bytes = extent.dirty_bytes.saturating_sub(dirty_bytes);
    }
    Ok(())
}

/// Puts `entry` in place of another; returns the length of that one.
fn replace(log: &mut Table<'_, LogKey, &[u8]>, key: LogKey, entry: &[u8]) -> Applied<u64> {
    Ok(log
        .insert(key, entry)?
        .map_or(0, |old| old.value().len() as u64))
}
