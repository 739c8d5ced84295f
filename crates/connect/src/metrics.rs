//! The counters of a worker: made once by name, shared by whoever asks again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry,
};

/// A set of metrics. Cheap to clone; asking for a name twice gives the same metric.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    registry: Registry,
    made: Arc<Mutex<HashMap<String, Made>>>,
}

#[derive(Clone, Debug)]
enum Made {
    Counter(IntCounterVec),
    Gauge(IntGaugeVec),
    RealGauge(GaugeVec),
    Histogram(HistogramVec),
}

impl Metrics {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything that was made, for the scrape endpoint.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A counter with these label names.
    pub fn counter(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        let made = self.get_or_make(name, || {
            IntCounterVec::new(Opts::new(name, help), labels).map(Made::Counter)
        });
        match made {
            Made::Counter(metric) => metric,
            other => unreachable!("{name} was made as {other:?}"),
        }
    }

    /// A gauge with these label names.
    pub fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        let made = self.get_or_make(name, || {
            IntGaugeVec::new(Opts::new(name, help), labels).map(Made::Gauge)
        });
        match made {
            Made::Gauge(metric) => metric,
            other => unreachable!("{name} was made as {other:?}"),
        }
    }

    /// A gauge of real numbers (ratios, rates) with these label names.
    pub fn real_gauge(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        let made = self.get_or_make(name, || {
            GaugeVec::new(Opts::new(name, help), labels).map(Made::RealGauge)
        });
        match made {
            Made::RealGauge(metric) => metric,
            other => unreachable!("{name} was made as {other:?}"),
        }
    }

    /// A histogram (in seconds) with these label names and upper bounds.
    pub fn histogram(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        bounds: &[f64],
    ) -> HistogramVec {
        let made = self.get_or_make(name, || {
            HistogramVec::new(
                HistogramOpts::new(name, help).buckets(bounds.to_vec()),
                labels,
            )
            .map(Made::Histogram)
        });
        match made {
            Made::Histogram(metric) => metric,
            other => unreachable!("{name} was made as {other:?}"),
        }
    }

    /// Takes out what was counted for a connector's tasks from this number on, so that nobody takes it
    /// for something that still goes on; from 0 on also what was counted for the connector as a whole.
    pub fn forget(&self, connector: &str, from_task: usize) {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        for metric in made.values() {
            match metric {
                Made::Counter(vec) => forget(vec, connector, from_task),
                Made::Gauge(vec) => forget(vec, connector, from_task),
                Made::RealGauge(vec) => forget(vec, connector, from_task),
                Made::Histogram(vec) => forget(vec, connector, from_task),
            }
        }
    }

    fn get_or_make(&self, name: &str, make: impl FnOnce() -> prometheus::Result<Made>) -> Made {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(metric) = made.get(name) {
            return metric.clone();
        }
        // Names and labels are literals in our code: a bad one is a programming error that the
        // first test of the plugin meets.
        #[allow(clippy::expect_used)]
        let metric = make().expect("metric names and labels are valid");
        let registered = match &metric {
            Made::Counter(m) => self.registry.register(Box::new(m.clone())),
            Made::Gauge(m) => self.registry.register(Box::new(m.clone())),
            Made::RealGauge(m) => self.registry.register(Box::new(m.clone())),
            Made::Histogram(m) => self.registry.register(Box::new(m.clone())),
        };
        debug_assert!(
            registered.is_ok(),
            "{name} is registered once, under our own lock"
        );
        made.insert(name.to_owned(), metric.clone());
        metric
    }
}

fn forget<B: MetricVecBuilder>(vec: &MetricVec<B>, connector: &str, from_task: usize) {
    for family in vec.collect() {
        for sample in family.get_metric() {
            let labels: HashMap<&str, &str> = sample
                .get_label()
                .iter()
                .map(|label| (label.name(), label.value()))
                .collect();
            let task = labels
                .get("task")
                .map_or(Ok(0), |task| task.parse::<usize>());
            if labels.get("connector") == Some(&connector)
                && task.is_ok_and(|task| task >= from_task)
            {
                // Whoever else took it out meanwhile has done the same.
                let _ = vec.remove(&labels);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_for_a_connector_is_forgotten_and_nothing_else() {
        let metrics = Metrics::new();
        let tasks = metrics.counter(
            "records_total",
            "Records.",
            &["reason", "connector", "task"],
        );
        for (connector, task) in [("a", "0"), ("a", "1"), ("a", "2"), ("b", "1")] {
            tasks.with_label_values(&["old", connector, task]).inc();
        }
        let whole = metrics.histogram("seconds", "Times.", &["connector"], &[1.0]);
        whole.with_label_values(&["a"]).observe(0.5);
        let worker = metrics.gauge("tasks", "Tasks.", &[]);
        worker.with_label_values::<&str>(&[]).set(4);
        let left = || {
            let families = metrics.registry().gather();
            let of = |family: &prometheus::proto::MetricFamily| {
                let samples = family.get_metric().iter();
                let values = samples.map(|sample| {
                    let labels = sample.get_label().iter().map(|label| label.value());
                    labels.collect::<Vec<_>>().join(",")
                });
                values.collect::<Vec<_>>()
            };
            families.iter().flat_map(of).collect::<Vec<_>>()
        };
        metrics.forget("a", 1);
        assert_eq!(left(), ["a,old,0", "b,old,1", "a", ""]);
        metrics.forget("a", 0);
        assert_eq!(left(), ["b,old,1", ""]);
    }
}
