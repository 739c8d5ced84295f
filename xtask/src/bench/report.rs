//! The report: what each job costs, and what was aimed at and reached.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Options;
use super::figures::Figures;
use super::first::First;

/// An aim, and the figure to hold against it.
struct Aim {
    what: String,
    aim: f64,
    reached: f64,
    unit: &'static str,
    at_least: bool,
}

type Medians = BTreeMap<&'static str, Figures>;

/// Two tables: costs, then aims.
pub(super) fn markdown(options: &Options, medians: &Medians, first: &First) -> String {
    let mut text = format!(
        "{} events a topic, median of {} rounds\n\n\
         | Job | Wall s | CPU s per million | Peak MB | First row s |\n\
         |---|---:|---:|---:|---:|\n",
        options.events, options.rounds
    );
    for (name, figures) in medians {
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
    text.push_str("\n| What | Aim | Reached | |\n|---|---:|---:|---|\n");
    for aim in aims(medians, first) {
        let met = if aim.at_least {
            aim.reached >= aim.aim
        } else {
            aim.reached <= aim.aim
        };
        line(
            &mut text,
            format_args!(
                "| {} | {} {}{} | {:.2}{} | {} |",
                aim.what,
                if aim.at_least { "≥" } else { "≤" },
                aim.aim,
                aim.unit,
                aim.reached,
                aim.unit,
                if met { "reached" } else { "missed" }
            ),
        );
    }
    text
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{arguments}");
}

fn aims(medians: &Medians, first: &First) -> Vec<Aim> {
    let mut aims = Vec::new();
    for format in ["json", "avro"] {
        let Some(floor) = medians.get(format!("floor-{format}").as_str()) else {
            continue;
        };
        for job in ["encrypt", "check-encrypt"] {
            let Some(figures) = medians.get(format!("{job}-{format}").as_str()) else {
                continue;
            };
            let mut at_most = |what: &str, aim: f64, reached: f64, unit| {
                aims.push(Aim {
                    what: format!("{job}-{format}: {what}"),
                    aim,
                    reached,
                    unit,
                    at_least: false,
                });
            };
            at_most("CPU / floor", 1.5, figures.cpu / floor.cpu, "");
            at_most("wall / floor", 1.5, figures.wall / floor.wall, "");
            at_most(
                "peak memory − floor",
                50.0,
                figures.peak - floor.peak,
                " MB",
            );
        }
    }
    if let Some(connect) = medians.get("connect-mask") {
        for (job, aim) in [
            ("encrypt-json", 5.0),
            ("check-encrypt-json", 5.0),
            ("mask", 8.0),
        ] {
            if let Some(figures) = medians.get(job) {
                aims.push(Aim {
                    what: format!("CPU of connect-mask / {job}"),
                    aim,
                    reached: connect.cpu / figures.cpu,
                    unit: "",
                    at_least: true,
                });
            }
        }
    }
    for (broker, aim, pair) in [
        ("embedded", 0.3, &first.embedded),
        ("Kafka", 1.5, &first.kafka),
    ] {
        let Some(pair) = pair else { continue };
        for (when, reached) in [("on nothing", pair.fresh), ("started again", pair.again)] {
            aims.push(Aim {
                what: format!("first record, {broker}, {when}"),
                aim,
                reached,
                unit: " s",
                at_least: false,
            });
        }
    }
    aims
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_held_against_its_aim() {
        let figures = |cpu| Figures {
            wall: 2.0,
            cpu,
            peak: 100.0,
            first: None,
        };
        let medians = [
            ("floor-json", figures(4.0)),
            ("encrypt-json", figures(7.0)),
            ("connect-mask", figures(70.0)),
        ];
        let options = Options {
            events: 1000,
            rounds: 1,
            only: Vec::new(),
            built: true,
        };
        let text = markdown(&options, &medians.into(), &First::default());
        for expected in [
            "| encrypt-json: CPU / floor | ≤ 1.5 | 1.75 | missed |",
            "| encrypt-json: wall / floor | ≤ 1.5 | 1.00 | reached |",
            "| CPU of connect-mask / encrypt-json | ≥ 5 | 10.00 | reached |",
        ] {
            assert!(text.contains(expected), "{text}");
        }
    }
}
