//! What the tests share: records, and files of them.

use std::io::Read;
use std::sync::Arc;

use penstock_connect::{Header, Origin, Record, RecordError, TopicPartition};
use penstock_files::{Compression, Content, FileSpec, Format, Member};
use penstock_formats::{Encoding, Payload, Schema, avro};

pub(crate) const COMPRESSIONS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Zstd,
    Compression::Snappy,
    Compression::Lz4,
];

pub(crate) const ALL_MEMBERS: [Member; 5] = [
    Member::Key,
    Member::Value,
    Member::Offset,
    Member::Timestamp,
    Member::Headers,
];

pub(crate) fn envelope(members: &[Member]) -> Content {
    Content::Envelope(members.to_vec())
}

pub(crate) fn with_content(format: Format, content: Content) -> FileSpec {
    FileSpec {
        content,
        ..FileSpec::new(format)
    }
}

pub(crate) fn schema(text: &str) -> Arc<Schema> {
    Arc::new(Schema::avro(text, &[]).unwrap())
}

/// A payload of the schema from its plain JSON.
pub(crate) fn of_schema(schema: &Arc<Schema>, json: &str) -> Payload {
    let mut bytes = Vec::new();
    avro::from_json(schema, json.as_bytes(), &mut bytes).unwrap();
    Payload::new(bytes, Encoding::Registered(Arc::clone(schema)))
}

pub(crate) fn json(text: &str) -> Payload {
    Payload::new(text.as_bytes().to_vec(), Encoding::Json)
}

pub(crate) fn text(text: &str) -> Payload {
    Payload::new(text.as_bytes().to_vec(), Encoding::Text)
}

pub(crate) fn bytes(bytes: &[u8]) -> Payload {
    Payload::new(bytes.to_vec(), Encoding::Bytes)
}

/// A record of `events-3` at this offset.
pub(crate) fn record(offset: i64, value: impl Into<Option<Payload>>) -> Record {
    let mut record = Record::new("events".into(), value.into());
    record.set_origin(Origin {
        index: 0,
        partition: Some(TopicPartition {
            topic: "events".into(),
            partition: 3,
        }),
        offset,
    });
    record
}

/// A record that has all that records can have.
pub(crate) fn full_record(value: impl Into<Option<Payload>>) -> Record {
    let mut record = record(12, value);
    record.key = Some(text("k,\"1"));
    record.timestamp = Some(1_611_923_730_250);
    let header = |name: &str, value: Option<&'static [u8]>| Header {
        name: name.into(),
        value: value.map(Into::into),
    };
    record.headers = vec![
        header("h\n", Some(b"v")),
        header("b", Some(&[0xff])),
        header("n", None),
    ];
    record
}

/// The file of these records, drained after each of which `drains` says so.
pub(crate) fn drained_file(
    spec: &FileSpec,
    records: &[Record],
    mut drains: impl FnMut(usize) -> bool,
) -> Vec<u8> {
    spec.check().unwrap();
    let mut file = spec.begin(&records[0]).unwrap();
    let mut out = Vec::new();
    for (position, record) in records.iter().enumerate() {
        file.push(record).unwrap();
        if drains(position) {
            // An engine may hand over a buffer that has something in it, or an empty one.
            if position % 2 == 0 {
                file.drain(&mut out);
            } else {
                let mut part = Vec::new();
                file.drain(&mut part);
                out.extend_from_slice(&part);
            }
        }
    }
    file.finish(&mut out).unwrap();
    out
}

pub(crate) fn file(spec: &FileSpec, records: &[Record]) -> Vec<u8> {
    drained_file(spec, records, |_| false)
}

pub(crate) fn text_file(spec: &FileSpec, records: &[Record]) -> String {
    String::from_utf8(file(spec, records)).unwrap()
}

/// Why a file that begins with this record rejects it.
pub(crate) fn rejection(spec: &FileSpec, record: &Record) -> RecordError {
    match spec.begin(record) {
        Err(error) => error,
        Ok(mut file) => file.push(record).unwrap_err(),
    }
}

pub(crate) fn decompressed(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match compression {
        Compression::None => plain.extend_from_slice(bytes),
        // A reader that stops behind the first member.
        Compression::Gzip => {
            let mut reader = flate2::bufread::GzDecoder::new(bytes);
            reader.read_to_end(&mut plain).unwrap();
            assert!(reader.into_inner().is_empty(), "one member");
        }
        // A reader that stops behind the first frame.
        Compression::Zstd => {
            let mut reader = zstd::Decoder::with_buffer(bytes).unwrap().single_frame();
            reader.read_to_end(&mut plain).unwrap();
            assert!(reader.finish().is_empty(), "one frame");
        }
        Compression::Snappy => {
            snap::read::FrameDecoder::new(bytes)
                .read_to_end(&mut plain)
                .unwrap();
        }
        Compression::Lz4 => {
            lz4_flex::frame::FrameDecoder::new(bytes)
                .read_to_end(&mut plain)
                .unwrap();
        }
    }
    plain
}
