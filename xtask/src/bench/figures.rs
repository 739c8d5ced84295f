//! What a run of a job costs.

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::{Error, Result};

/// The cost of one run, or the median of several.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Figures {
    /// Seconds from the start of the process until the last event is through.
    pub(super) wall: f64,
    /// CPU-seconds of the process, start-up included, per million events.
    pub(super) cpu: f64,
    /// Peak of the process' resident memory in MB.
    pub(super) peak: f64,
    /// Seconds until the first row, for jobs that write a file.
    pub(super) first: Option<f64>,
}

impl Figures {
    /// Reads what the process has used so far.
    ///
    /// # Errors
    /// When the process has ended.
    pub(super) fn of(
        process: u32,
        wall: Duration,
        events: usize,
        first: Option<f64>,
    ) -> Result<Self> {
        let read = |file: &str| {
            let path = Path::new("/proc").join(process.to_string()).join(file);
            fs::read_to_string(&path).map_err(Error::io("read", &path))
        };
        let unreadable = || Error::Other(format!("/proc of process {process} cannot be read"));
        let ticks = cpu_ticks(&read("stat")?).ok_or_else(unreadable)?;
        let peak = peak_kilobytes(&read("status")?).ok_or_else(unreadable)?;
        let seconds = ticks / rustix::param::clock_ticks_per_second() as f64;
        Ok(Self {
            wall: wall.as_secs_f64(),
            cpu: seconds * 1e6 / events as f64,
            peak: peak / 1024.0,
            first,
        })
    }

    /// The median of each figure.
    pub(super) fn median(runs: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(runs.iter().map(figure).collect());
        let first: Vec<f64> = runs.iter().filter_map(|run| run.first).collect();
        Self {
            wall: of(|run| run.wall),
            cpu: of(|run| run.cpu),
            peak: of(|run| run.peak),
            first: (!first.is_empty()).then(|| median(first)),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.2} s, {:.2} CPU-seconds per million, {:.0} MB",
            self.wall, self.cpu, self.peak
        )
    }
}

/// The middle value; with an even number the mean of the two in the middle. NaN of nothing.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    match (values.get(low), values.get(high)) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => f64::NAN,
    }
}

/// User and system time of `/proc/<pid>/stat`: the 14th and 15th field. The second one, the program's
/// name, may hold spaces and ends with the last parenthesis.
fn cpu_ticks(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some(ticks()? + ticks()?)
}

fn peak_kilobytes(status: &str) -> Option<f64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_behind_a_name_with_spaces() {
        let stat = "12 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 8 0 100 1000 10";
        assert_eq!(cpu_ticks(stat), Some(300.0));
    }

    #[test]
    fn the_median_is_in_the_middle() {
        for (values, expected) in [(vec![3.0, 1.0, 2.0], 2.0), (vec![4.0, 1.0], 2.5)] {
            assert_eq!(median(values.clone()), expected, "{values:?}");
        }
    }

    #[test]
    fn this_process_has_figures() {
        assert!(
            Figures::of(std::process::id(), Duration::ZERO, 1, None).is_ok_and(|f| f.peak > 0.0)
        );
    }
}
