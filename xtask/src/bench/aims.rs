//! What is aimed at, and the figures to hold against it.

use super::Measured;

/// A figure, and what it should be.
pub(super) struct Aim {
    pub(super) what: String,
    pub(super) bound: Bound,
    pub(super) reached: f64,
    pub(super) unit: &'static str,
}

/// What a figure should be.
pub(super) enum Bound {
    AtMost(f64),
    AtLeast(f64),
    /// Nothing in particular: it is told for what it is.
    None,
}

/// All figures of which something is known.
pub(super) fn aims(measured: &Measured) -> Vec<Aim> {
    let mut aims = Vec::new();
    topics(measured, &mut aims);
    connect(measured, &mut aims);
    exports(measured, &mut aims);
    first(measured, &mut aims);
    aims
}

fn ratio(what: String, bound: Bound, reached: f64) -> Aim {
    Aim {
        what,
        bound,
        reached,
        unit: "",
    }
}

/// Topic to topic, against the bare loop.
fn topics(measured: &Measured, aims: &mut Vec<Aim>) {
    let figures = &measured.figures;
    for format in ["json", "avro"] {
        let Some(floor) = figures.get(format!("floor-{format}").as_str()) else {
            continue;
        };
        for job in ["encrypt", "check-encrypt"] {
            let job = format!("{job}-{format}");
            let Some(figures) = figures.get(job.as_str()) else {
                continue;
            };
            for (what, reached) in [
                ("CPU", figures.cpu / floor.cpu),
                ("wall", figures.wall / floor.wall),
            ] {
                let what = format!("{job}: {what} / floor");
                aims.push(ratio(what, Bound::AtMost(1.5), reached));
            }
            aims.push(Aim {
                what: format!("{job}: peak memory − floor"),
                bound: Bound::AtMost(50.0),
                reached: figures.peak - floor.peak,
                unit: " MB",
            });
        }
    }
}

/// Against Kafka Connect.
fn connect(measured: &Measured, aims: &mut Vec<Aim>) {
    let figures = &measured.figures;
    for (connect, job, aim) in [
        ("connect-mask", "encrypt-json", 5.0),
        ("connect-mask", "check-encrypt-json", 5.0),
        ("connect-mask", "mask", 8.0),
        ("export-connect", "export-jsonl", 6.0),
    ] {
        if let (Some(connects), Some(ours)) = (figures.get(connect), figures.get(job)) {
            let what = format!("CPU of {connect} / {job}");
            aims.push(ratio(what, Bound::AtLeast(aim), connects.cpu / ours.cpu));
        }
    }
}

/// Exports, against reading alone and against a plain upload.
fn exports(measured: &Measured, aims: &mut Vec<Aim>) {
    for (job, floor) in [
        ("export-jsonl", "export-floor-plain"),
        ("export-jsonl-avro", "export-floor-avro"),
        ("export-parquet", "export-floor-avro"),
    ] {
        let figures = &measured.figures;
        if let (Some(floor), Some(figures)) = (figures.get(floor), figures.get(job)) {
            let what = format!("{job}: CPU / reading alone");
            aims.push(ratio(what, Bound::None, figures.cpu / floor.cpu));
        }
        if let Some(sent) = measured.transfers.get(job) {
            let what = format!("{job}: bandwidth / plain upload of its bytes");
            let bound = match job {
                // What Parquet leaves to be uploaded says little of what it took to make it.
                "export-parquet" => Bound::None,
                _ => Bound::AtLeast(0.6),
            };
            aims.push(ratio(what, bound, sent.upload / sent.export));
        }
    }
    let transfers = &measured.transfers;
    if let (Some(rows), Some(lines)) = (
        transfers.get("export-parquet"),
        transfers.get("export-jsonl-avro"),
    ) {
        let what = "export-parquet: rows / plain upload of the same rows as JSON lines";
        aims.push(ratio(
            what.to_owned(),
            Bound::None,
            lines.upload / rows.export,
        ));
    }
}

/// The time to the first record.
fn first(measured: &Measured, aims: &mut Vec<Aim>) {
    for (broker, aim, pair) in [
        ("embedded", 0.3, &measured.first.embedded),
        ("Kafka", 1.5, &measured.first.kafka),
    ] {
        let Some(pair) = pair else { continue };
        for (when, reached) in [("on nothing", pair.fresh), ("started again", pair.again)] {
            aims.push(Aim {
                what: format!("first record, {broker}, {when}"),
                bound: Bound::AtMost(aim),
                reached,
                unit: " s",
            });
        }
    }
}
