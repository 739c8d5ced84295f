//! The store's own keys: the HMAC key, the quarantine key, and the wrapping key of the day.

use std::sync::Arc;
use std::time::Instant;

use zeroize::Zeroizing;

use super::{Appender, Outgoing};
use crate::cipher::SealingKey;
use crate::clock::local_now;
use crate::error::KeyError;
use crate::fold;
use crate::keyset::fill_random;
use crate::link::KeyLink;
use crate::mac::StoreMac;
use crate::record::{Role, RootRecord, Value};
use crate::shared::root_context;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

impl Appender {
    /// Elects the HMAC key and the quarantine key if there are none, and checks that they can be
    /// unwrapped and that the topic has as many partitions as when it was made.
    pub(crate) fn prepare_roots(&mut self) -> Result<KeyLink, KeyError> {
        let link = self.root(Role::Hmac)?;
        let view = self.shared.local.view()?;
        let stored = view.record(link)?;
        let Some(Ok(Value::Root(root))) =
            stored.as_ref().map(|stored| Value::decode(&stored.value))
        else {
            return Err(KeyError::corrupt(
                format!("key {link}"),
                "it is not the HMAC key that it stands for",
            ));
        };
        if root.partitions != self.shared.topic.partitions.unsigned_abs() {
            return Err(KeyError::TopicSettings {
                topic: self.shared.config.topic.clone(),
                problems: vec![format!(
                    "it has {} partitions and was made with {}, by which keys are found; their number must not \
                     change: restore the topic",
                    self.shared.topic.partitions, root.partitions
                )],
            });
        }
        let key = self.shared.unwrap_root(link, &root)?;
        self.shared.set_mac(StoreMac::new(&key));
        let quarantine = self.root(Role::Quarantine)?;
        let view = self.shared.local.view()?;
        if self.shared.sealing_key(&view, quarantine)?.is_none() {
            return Err(KeyError::corrupt(
                format!("key {quarantine}"),
                "it is not the quarantine key that it stands for",
            ));
        }
        Ok(quarantine)
    }

    /// The wrapping key that new keys are wrapped with.
    pub(super) fn wrapping_key(&mut self) -> Result<(KeyLink, Arc<SealingKey>), KeyError> {
        let link = self.root(Role::Wrapping)?;
        let view = self.shared.local.view()?;
        let key = self.shared.sealing_key(&view, link)?;
        let key = key.ok_or_else(|| {
            KeyError::corrupt(
                format!("key {link}"),
                "it is not the wrapping key that it stands for",
            )
        })?;
        Ok((link, key))
    }

    /// The current key of a role, elected if there is none or its window is over.
    fn root(&mut self, role: Role) -> Result<KeyLink, KeyError> {
        let scope = role.scope();
        if let Some(entry) = self
            .shared
            .current_entry(&self.shared.local.view()?, &scope)?
        {
            return Ok(entry.link);
        }
        let mut material = Zeroizing::new([0; 32]);
        fill_random(material.as_mut());
        let link = KeyLink::random();
        let mut root = RootRecord {
            role,
            window: if role == Role::Wrapping {
                DAY_MS
            } else {
                i64::MAX
            },
            partitions: self.shared.topic.partitions.unsigned_abs(),
            kek: self.shared.kek.id(),
            wrapped: &[],
        };
        let wrapped = self
            .shared
            .kek
            .wrap(material.as_ref(), &root_context(link, &root))?;
        root.wrapped = &wrapped;
        let record = Outgoing {
            partition: 0,
            key: link.to_string().into_bytes(),
            value: Some(Value::Root(root).encode()),
        };
        let (began, sent) = (Instant::now(), local_now());
        let places = self.write(&[record])?;
        let acknowledged = local_now();
        self.shared.wait_written(began, &places)?;

        let live = self.shared.local.view()?.live(&scope)?;
        if let Some(own) = live.iter().find(|entry| entry.link == link) {
            self.shared.clock.observe(sent, acknowledged, own.appended);
        }
        let current = fold::current(&live).map(|entry| entry.link);
        if current.is_some() && current != Some(link) {
            self.litter.push(Outgoing::tombstone(
                &scope,
                link,
                self.shared.topic.partitions,
            ));
        }
        current.ok_or_else(|| {
            KeyError::corrupt(
                format!("topic {:?}", self.shared.config.topic),
                "a key of the store itself was deleted",
            )
        })
    }
}
