//! A worker with a transform of its own, `Sample`, beside everything that comes with Penstock:
//!
//! ```text
//! cargo run --example own_plugin -- run worker.properties connector.properties
//! ```
//!
//! ```properties
//! transforms=some
//! transforms.some.type=Sample
//! transforms.some.every=10
//! ```

use std::process::ExitCode;

use penstock_connect::{Outputs, Record, Transform, config};
use penstock_runner::{Plugins, no_topics};

config! {
    /// Lets one of so many records pass.
    pub struct SampleConfig {
        /// One of how many.
        "every" => every: u64,
    }
}

struct Sample {
    every: u64,
    seen: u64,
}

impl Transform for Sample {
    fn apply(&mut self, _index: usize, record: Record, out: &mut Outputs) {
        self.seen += 1;
        if self.seen.is_multiple_of(self.every) {
            out.pass(record);
        } else {
            out.filter(record, "sampled out");
        }
    }
}

fn main() -> ExitCode {
    let plugins = Plugins::builtin().transform(
        "Sample",
        &["org.example.Sample"],
        no_topics,
        |config: SampleConfig, _context, _services| {
            let every = config.every;
            Ok(Box::new(Sample { every, seen: 0 }))
        },
    );
    penstock_runner::main(plugins)
}
