//! The report: what each job costs, what exports bring to the bucket, and what was aimed at and reached.

use std::fmt::Write as _;

use super::aims::{Bound, aims};
use super::{Measured, Options};

/// Tables of costs, of exports, and of aims.
pub(super) fn markdown(options: &Options, measured: &Measured) -> String {
    let mut text = format!(
        "{} events a topic, median of {} rounds\n\n\
         | Job | Wall s | CPU s per million | Peak MB | First row s |\n\
         |---|---:|---:|---:|---:|\n",
        options.events, options.rounds
    );
    for (name, figures) in &measured.figures {
        let first = figures
            .first
            .map_or(String::new(), |first| format!("{first:.2}"));
        line(
            &mut text,
            format_args!(
                "| {name} | {:.2} | {:.2} | {:.0} | {first} |",
                figures.wall, figures.cpu, figures.peak
            ),
        );
    }
    if !measured.transfers.is_empty() {
        text.push_str(
            "\n| Export | MB | From the first record to the last object s | MB/s | Rows/s | Plain upload MB/s |\n\
             |---|---:|---:|---:|---:|---:|\n",
        );
    }
    for (name, sent) in &measured.transfers {
        line(
            &mut text,
            format_args!(
                "| {name} | {:.1} | {:.2} | {:.0} | {:.0} | {:.0} |",
                sent.megabytes,
                sent.export,
                sent.megabytes / sent.export,
                options.events as f64 / sent.export,
                sent.megabytes / sent.upload,
            ),
        );
    }
    text.push_str("\n| What | Aim | Reached | |\n|---|---:|---:|---|\n");
    for aim in aims(measured) {
        let (what, reached, unit) = (aim.what, aim.reached, aim.unit);
        let (bound, met) = match aim.bound {
            Bound::AtMost(most) => (format!("≤ {most}{unit}"), Some(reached <= most)),
            Bound::AtLeast(least) => (format!("≥ {least}{unit}"), Some(reached >= least)),
            Bound::None => (String::new(), None),
        };
        let met = met.map_or("", |met| if met { "reached" } else { "missed" });
        line(
            &mut text,
            format_args!("| {what} | {bound} | {reached:.2}{unit} | {met} |"),
        );
    }
    text
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{arguments}");
}

#[cfg(test)]
mod tests {
    use super::super::bucket::Transfer;
    use super::super::figures::Figures;
    use super::*;

    #[test]
    fn a_ratio_is_held_against_its_aim() {
        let figures = |cpu| Figures {
            wall: 2.0,
            cpu,
            peak: 100.0,
            first: None,
        };
        let sent = |megabytes, export| Transfer {
            megabytes,
            export,
            upload: 1.0,
        };
        let measured = Measured {
            figures: [
                ("floor-json", figures(4.0)),
                ("encrypt-json", figures(7.0)),
                ("connect-mask", figures(70.0)),
                ("export-floor-plain", figures(0.5)),
                ("export-jsonl", figures(2.0)),
                ("export-connect", figures(11.0)),
            ]
            .into(),
            transfers: [
                ("export-jsonl", sent(300.0, 1.25)),
                ("export-jsonl-avro", sent(300.0, 2.0)),
                ("export-parquet", sent(60.0, 4.0)),
            ]
            .into(),
            ..Measured::default()
        };
        let options = Options {
            events: 1000,
            rounds: 1,
            only: Vec::new(),
            built: true,
        };
        let text = markdown(&options, &measured);
        for expected in [
            "| encrypt-json: CPU / floor | ≤ 1.5 | 1.75 | missed |",
            "| encrypt-json: wall / floor | ≤ 1.5 | 1.00 | reached |",
            "| CPU of connect-mask / encrypt-json | ≥ 5 | 10.00 | reached |",
            "| export-parquet | 60.0 | 4.00 | 15 | 250 | 60 |",
            "| CPU of export-connect / export-jsonl | ≥ 6 | 5.50 | missed |",
            "| export-jsonl: CPU / reading alone |  | 4.00 |  |",
            "| export-jsonl: bandwidth / plain upload of its bytes | ≥ 0.6 | 0.80 | reached |",
            "| export-parquet: bandwidth / plain upload of its bytes |  | 0.25 |  |",
            "| export-parquet: rows / plain upload of the same rows as JSON lines |  | 0.25 |  |",
        ] {
            assert!(text.contains(expected), "{text}");
        }
    }
}
