//! The counters of a worker: made once by name, shared by whoever asks again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

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
