//! Compression of whole files: others read it, nothing but the records decides about the bytes, and
//! memory is bounded.

use penstock_connect::Record;
use penstock_files::{FileSpec, Format};

use crate::support::*;

/// A few hundred kilobytes of lines that compress well, with one very large and some that do not.
fn records(count: i64) -> Vec<Record> {
    let mut state = 1_u64;
    (0..count)
        .map(|offset| {
            let noise: String = (0..offset % 50)
                .map(|_| {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    char::from(b'a' + (state >> 59) as u8 % 26)
                })
                .collect();
            let padding = if offset == 700 { 300_000 } else { 60 };
            let padding = "x".repeat(padding);
            record(
                offset,
                json(&format!(
                    r#"{{"n":{offset},"noise":"{noise}","pad":"{padding}"}}"#
                )),
            )
        })
        .collect()
}

#[test]
fn files_of_every_size_read_back_as_one_stream() {
    for compression in COMPRESSIONS {
        for count in [1, 100, 5000] {
            let records = records(count);
            let plain = file(&FileSpec::new(Format::JsonLines), &records);
            let spec = FileSpec {
                compression,
                ..FileSpec::new(Format::JsonLines)
            };
            let compressed = file(&spec, &records);
            assert!(
                decompressed(compression, &compressed) == plain,
                "{compression:?} {count}"
            );
            assert_eq!(
                compressed,
                drained_file(&spec, &records, |_| true),
                "{compression:?} drained after each record"
            );
            assert_eq!(
                compressed,
                drained_file(&spec, &records, |n| n % 7 == 3),
                "{compression:?} drained now and then"
            );
        }
    }
}

#[test]
fn nothing_in_a_header_comes_from_a_clock() {
    let spec = FileSpec {
        compression: penstock_files::Compression::Gzip,
        ..FileSpec::new(Format::JsonLines)
    };
    let file = file(&spec, &records(1));
    assert_eq!(file[3..8], [0; 5], "no name, time 0");
}

#[test]
fn the_length_follows_from_the_records_alone_and_ends_near_the_truth() {
    for format in [
        Format::JsonLines,
        Format::Json,
        Format::Csv,
        Format::Bytes,
        Format::Avro,
    ] {
        for compression in COMPRESSIONS {
            let spec = FileSpec {
                compression,
                ..FileSpec::new(format)
            };
            if spec.check().is_err() {
                continue;
            }
            let records: Vec<Record> = (0..5000)
                .map(|n| {
                    record(
                        n,
                        text(&format!("the record of number {n}, of all there are")),
                    )
                })
                .collect();
            let mut quiet = spec.begin(&records[0]).unwrap();
            let mut drained = spec.begin(&records[0]).unwrap();
            let mut out = Vec::new();
            for record in &records {
                quiet.push(record).unwrap();
                drained.push(record).unwrap();
                drained.drain(&mut out);
                assert_eq!(
                    quiet.length(),
                    drained.length(),
                    "{format:?} {compression:?}"
                );
            }
            let said = drained.length();
            drained.finish(&mut out).unwrap();
            let off = said.abs_diff(out.len() as u64);
            assert!(
                off <= 128 << 10,
                "{format:?} {compression:?}: {said} said, {} written",
                out.len()
            );
        }
    }
}

#[test]
fn a_drained_file_holds_little_however_long_it_grows() {
    let records = records(3000);
    for format in [Format::JsonLines, Format::Csv, Format::Avro] {
        for compression in COMPRESSIONS {
            let spec = FileSpec {
                compression,
                ..FileSpec::new(format)
            };
            let records: Vec<Record> = match format {
                Format::Avro => records
                    .iter()
                    .map(|one| {
                        let json = one.value.as_ref().unwrap().bytes().to_vec();
                        record(0, text(std::str::from_utf8(&json).unwrap()))
                    })
                    .collect(),
                _ => records.clone(),
            };
            if spec.check().is_err() {
                continue;
            }
            let mut file = spec.begin(&records[0]).unwrap();
            file.push(&records[0]).unwrap();
            assert!(file.held() < 1 << 10, "one record is all that it holds");
            let mut most = 0;
            for _ in 0..3 {
                for record in &records {
                    file.push(record).unwrap();
                    let mut out = Vec::new();
                    file.drain(&mut out);
                    if record.size() < 1 << 10 {
                        most = most.max(file.held());
                    }
                }
            }
            let limit = match compression {
                penstock_files::Compression::Zstd => 2048 << 10,
                _ => 768 << 10,
            };
            assert!(most < limit, "{format:?} {compression:?}: {most}");
            file.shrink().unwrap();
            assert!(file.held() <= most);
        }
    }
}
