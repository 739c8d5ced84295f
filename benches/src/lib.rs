//! The demo events of the benchmark: made by the generator, known by heart by the floor.

use std::fmt::Write as _;

use clap::ValueEnum;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// How an event lies in its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Avro binary in Confluent framing.
    Avro,
    /// JSON with a JSON Schema, in Confluent framing.
    Json,
    /// JSON alone.
    Plain,
}

/// Bytes of the frame in front of an event: a zero and the schema's id.
pub const FRAME: usize = 5;

/// What each plaintext of the key field begins with, so that a leak is easily found.
pub const KEY_FIELD_MARK: &str = "session-";

const SENSITIVE: &str = "to be encrypted";
const NOT_SENSITIVE: &str = "free to be seen";

/// Makes events that differ in all their fields as real ones do; the same seed makes the same events.
#[derive(Debug)]
pub struct Events {
    random: StdRng,
    keys: u32,
    contract: &'static str,
}

/// One event's values.
#[derive(Debug)]
pub struct Event {
    contract: &'static str,
    nonce: i32,
    timestamp: i64,
    billing: String,
    unique: String,
    /// The key field's value.
    pub consistent: String,
}

impl Events {
    /// Events with this many distinct values of the key field.
    #[must_use]
    pub fn new(format: Format, keys: u32) -> Self {
        Self {
            random: StdRng::seed_from_u64(346),
            keys,
            contract: match format {
                Format::Avro => "streammachine/example/1.3.0",
                Format::Json | Format::Plain => "streammachine/example-json/1.3.0",
            },
        }
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let random = &mut self.random;
        let unique = uuid::Builder::from_random_bytes(random.random()).into_uuid();
        Some(Event {
            contract: self.contract,
            nonce: random.random(),
            timestamp: 1_700_000_000_000 + i64::from(random.random::<u32>()),
            billing: format!("demo{:06}", random.random_range(0..1_000_000)),
            unique: unique.to_string(),
            consistent: format!("{KEY_FIELD_MARK}{:08}", random.random_range(0..self.keys)),
        })
    }
}

impl Event {
    /// Writes the event without a frame; strings hold nothing that JSON would escape.
    pub fn write(&self, format: Format, out: &mut Vec<u8>) {
        match format {
            Format::Avro => self.write_avro(out),
            Format::Json | Format::Plain => self.write_json(out),
        }
    }

    fn write_json(&self, out: &mut Vec<u8>) {
        let mut text = String::with_capacity(400);
        // Writing to a string does not fail.
        let _ = write!(
            text,
            r#"{{"strmMeta":{{"eventContractRef":"{}","nonce":{},"timestamp":{},"keyLink":null,"billingId":"{}","consentLevels":[0,1,2]}},"uniqueIdentifier":"{}","consistentValue":"{}","someSensitiveValue":"{SENSITIVE}","notSensitiveValue":"{NOT_SENSITIVE}"}}"#,
            self.contract, self.nonce, self.timestamp, self.billing, self.unique, self.consistent,
        );
        out.extend_from_slice(text.as_bytes());
    }

    /// By the demo schema: a union is its branch and the value, an array its blocks and a zero.
    fn write_avro(&self, out: &mut Vec<u8>) {
        write_string(self.contract, out);
        write_long(1, out);
        write_long(self.nonce.into(), out);
        write_long(1, out);
        write_long(self.timestamp, out);
        write_long(0, out);
        write_long(1, out);
        write_string(&self.billing, out);
        write_long(3, out);
        for level in 0..3 {
            write_long(level, out);
        }
        write_long(0, out);
        write_long(1, out);
        write_string(&self.unique, out);
        write_string(&self.consistent, out);
        write_long(1, out);
        write_string(SENSITIVE, out);
        write_long(1, out);
        write_string(NOT_SENSITIVE, out);
    }
}

/// Appends Avro's zigzag variable-length number.
pub fn write_long(value: i64, out: &mut Vec<u8>) {
    let mut left = ((value << 1) ^ (value >> 63)) as u64;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    write_long(text.len() as i64, out);
    out.extend_from_slice(text.as_bytes());
}
