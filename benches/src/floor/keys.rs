//! Keys in memory, one for each value of the key field, and what they make of an event.

use std::collections::HashMap;

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use penstock_bench::{Format, write_long};

use crate::scan::{KEY_FIELD, Spots};

/// Version, key id and synthetic IV, which stand before a ciphertext in Tink's format.
const OVERHEAD: usize = 5 + 16;

/// One value's key.
pub(crate) struct Key {
    /// Its name.
    pub(crate) link: String,
    prefix: [u8; 5],
    cipher: Box<Aes256Siv>,
}

/// All keys.
#[derive(Default)]
pub(crate) struct Keys(HashMap<Box<[u8]>, Key>);

impl Key {
    fn new() -> Self {
        let material: [u8; 64] = std::array::from_fn(|_| rand::random());
        let mut prefix = [1; 5];
        prefix[1..].copy_from_slice(&rand::random::<[u8; 4]>());
        Self {
            link: uuid::Uuid::new_v4().to_string(),
            prefix,
            cipher: Box::new(Aes256Siv::new(&material.into())),
        }
    }

    /// Appends the ciphertext in base64; `scratch` holds it before.
    fn encrypt(&mut self, plaintext: &[u8], scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
        scratch.clear();
        scratch.extend_from_slice(&self.prefix);
        scratch.extend_from_slice(&[0; 16]);
        scratch.extend_from_slice(plaintext);
        let (head, body) = scratch.split_at_mut(OVERHEAD);
        if let Ok(siv) = self
            .cipher
            .encrypt_inout_detached([&[] as &[u8]], body.into())
        {
            head[5..].copy_from_slice(&siv);
        }
        let start = out.len();
        out.resize(start + base64_length(scratch.len()), 0);
        let _ = STANDARD.encode_slice(&*scratch, &mut out[start..]);
    }
}

fn base64_length(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

impl Keys {
    /// Writes the event with its fields encrypted and its key named; returns the key's name.
    pub(crate) fn encrypt(
        &mut self,
        format: Format,
        event: &[u8],
        spots: &Spots,
        scratch: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> &str {
        let value = &event[spots.fields[KEY_FIELD].text.clone()];
        if !self.0.contains_key(value) {
            self.0.insert(value.into(), Key::new());
        }
        let key = match self.0.get_mut(value) {
            Some(key) => key,
            None => unreachable!("it was just put in"),
        };
        out.clear();
        out.extend_from_slice(&event[..spots.key_link.start]);
        match format {
            Format::Avro => {
                write_long(1, out);
                write_long(key.link.len() as i64, out);
                out.extend_from_slice(key.link.as_bytes());
            }
            Format::Json | Format::Plain => {
                out.push(b'"');
                out.extend_from_slice(key.link.as_bytes());
                out.push(b'"');
            }
        }
        let mut at = spots.key_link.end;
        for field in &spots.fields {
            out.extend_from_slice(&event[at..field.whole.start]);
            let plaintext = &event[field.text.clone()];
            if format == Format::Avro {
                write_long(base64_length(plaintext.len() + OVERHEAD) as i64, out);
            }
            key.encrypt(plaintext, scratch, out);
            at = field.whole.end;
        }
        out.extend_from_slice(&event[at..]);
        &key.link
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use penstock_bench::{Events, FRAME, KEY_FIELD_MARK};

    use super::*;
    use crate::scan::{Json, find_avro};

    fn decrypt(key: &mut Key, text: &[u8]) -> Vec<u8> {
        let sealed = STANDARD.decode(text).unwrap();
        assert_eq!(sealed[..5], key.prefix);
        let siv: [u8; 16] = sealed[5..OVERHEAD].try_into().unwrap();
        let mut body = sealed[OVERHEAD..].to_vec();
        key.cipher
            .decrypt_inout_detached([&[] as &[u8]], (&mut body[..]).into(), (&siv).into())
            .unwrap();
        body
    }

    #[test]
    fn the_floor_does_the_whole_job() {
        let json = Json::new();
        for format in [Format::Json, Format::Avro] {
            let find = |event: &[u8]| match format {
                Format::Avro => find_avro(event).unwrap(),
                _ => json.find(event).unwrap(),
            };
            let mut keys = Keys::default();
            for event in Events::new(format, 3).take(10) {
                let mut bytes = vec![0; FRAME];
                event.write(format, &mut bytes);
                let spots = find(&bytes);
                let mut out = Vec::new();
                let link = keys.encrypt(format, &bytes, &spots, &mut Vec::new(), &mut out);
                let link = link.to_owned();
                let text = String::from_utf8_lossy(&out).into_owned();
                assert!(
                    text.contains(&link) && !text.contains(KEY_FIELD_MARK),
                    "{text}"
                );
                let filled = match format {
                    Format::Avro => 1 + 1 + link.len(),
                    _ => 2 + link.len(),
                };
                // The same walk finds the new fields once the key's name is taken out again.
                let mut named = out.clone();
                let null: &[u8] = if format == Format::Avro {
                    &[0]
                } else {
                    b"null"
                };
                named.splice(
                    spots.key_link.start..spots.key_link.start + filled,
                    null.to_vec(),
                );
                let found = find(&named);
                let key = keys.0.get_mut(event.consistent.as_bytes()).unwrap();
                for (new, old) in found.fields.iter().zip(&spots.fields) {
                    let plaintext = decrypt(key, &named[new.text.clone()]);
                    assert_eq!(plaintext, bytes[old.text.clone()]);
                }
            }
        }
    }
}
