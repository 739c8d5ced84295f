//! Every row once, wherever the source was left.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use proptest::prelude::*;
use support::{Files, gzip, zstd};

/// Files of every kind, with rows that span lines and rows that are at fault.
fn fill(files: &Files) {
    let csv = "id,note\r\n1,one\r\n\r\nx,at fault\r\n2,\"two\r\nlines, and \"\"more\"\"\"\r\n3,\r\n4,ü\r\n";
    let json = "{\"id\":5}\n\n  \n{\"id\":\"at fault\"}\n{\"id\":6,\"note\":\"s\\nix\"}\nno json\n{\"id\":7}";
    files.write("a.csv", csv);
    files.write("b.csv", format!("\u{feff}{csv}"));
    files.write("c.csv.gz", gzip(csv));
    files.write("d.csv", "id\n");
    files.write("e.csv.zst", zstd(csv));
    files.write("f.jsonl", json);
    files.write("g.jsonl.gz", gzip(json));
    files.write("h.csv", "id,note\n8,never\n9,\"closed\n10,open");
    // The end of the stream is missing.
    let whole = gzip(csv.repeat(50).replace("id,note", "0,0"));
    let mut cut = gzip("id,note\n11,\n");
    cut.extend_from_slice(&whole[..whole.len() - 20]);
    files.write("i.csv.gz", cut);
    files.write("j.csv", "id\n12\n");
}

#[tokio::test]
async fn every_row_comes_once_however_the_source_is_left_and_resumed() {
    let files = Files::new();
    fill(&files);
    let whole = files.source("").await.rows().await;
    assert!(whole.len() > 60, "{whole:?}");
    assert!(
        whole.iter().filter(|row| row.starts_with('!')).count() > 10,
        "{whole:?}"
    );
    for size in [1, 2, 3, 7, 40] {
        let lines = format!("batch.max.rows={size}");
        let mut rows = Vec::new();
        let mut position = None;
        loop {
            // Another source for each batch.
            let mut reading = files.resume(&lines, position.take()).await.unwrap();
            rows.extend(reading.poll().await.unwrap().iter().map(support::shown));
            let finished = reading.is_finished();
            position = reading.position;
            if finished {
                break;
            }
        }
        assert_eq!(rows, whole, "batches of {size}");
    }
}

#[tokio::test]
async fn names_of_any_letters_are_found_again() {
    let files = Files::new();
    let names = [
        "100%.csv",
        "a b.csv",
        "c#1.csv",
        "d%20e.csv",
        "f[1]?*.csv",
        "sub dir/é.csv",
    ];
    for name in names {
        files.write(name, "id\n1\n2\n");
    }
    files.write("marker", "");
    let mut position = None;
    let mut rows = 0;
    loop {
        let mut reading = files.resume("batch.max.rows=1", position).await.unwrap();
        rows += reading.poll().await.unwrap().len();
        position = reading.position.take();
        if reading.is_finished() {
            break;
        }
    }
    assert_eq!(rows, 2 * names.len());
}

#[tokio::test]
async fn the_worker_may_ask_for_rows_one_by_one() {
    use penstock_connect::Source;
    let files = Files::new();
    fill(&files);
    let whole = files.source("").await.rows().await;
    let mut reading = files.source("").await;
    reading.source.limit(Some(1));
    for row in &whole[..10] {
        assert_eq!(&reading.next(1).await, std::slice::from_ref(row));
    }
    reading.source.limit(None);
    assert_eq!(reading.rows().await, whole[10..]);
}

#[tokio::test]
async fn a_source_that_is_done_has_nothing_more_to_say_after_a_restart() {
    let files = Files::new();
    fill(&files);
    let mut reading = files.source("").await;
    reading.rows().await;
    let mut again = files.resume("", reading.position).await.unwrap();
    assert_eq!(again.rows().await, Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn rows_come_once_through_any_restarts(
        notes in prop::collection::vec("[a-z,\"\n\r;ü ]{0,12}", 1..40),
        cuts in prop::collection::vec((0..4_usize, 1..9_usize), 1..12),
        compressed: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let files = Files::new();
            for (number, notes) in notes.chunks(7).enumerate() {
                let mut text = "id,note\n".to_owned();
                for (id, note) in notes.iter().enumerate() {
                    let note = note.replace('"', "\"\"");
                    text += &format!("{id},\"{number} {note}\"\n");
                }
                match compressed {
                    true => files.write(&format!("{number}.csv.gz"), gzip(&text)),
                    false => files.write(&format!("{number}.csv"), &text),
                }
            }
            let expected: Vec<String> = notes
                .iter()
                .enumerate()
                .map(|(index, note)| format!("{} {} {note}", index % 7, index / 7))
                .collect();
            let mut rows = Vec::new();
            let mut position = None;
            for (polls, size) in cuts {
                let lines = format!("batch.max.rows={size}");
                let mut reading = files.resume(&lines, position.take()).await.unwrap();
                for _ in 0..polls {
                    rows.extend(reading.poll().await.unwrap().iter().map(support::shown));
                }
                position = reading.position;
            }
            rows.extend(files.resume("", position).await.unwrap().rows().await);
            assert_eq!(rows, expected);
        });
    }
}
