//! Traces: every change of the limit in one run, with its reason and the statistics behind it.

use factflow_core::limits::simulation::{Controlled, Measured, Variant, cell, run};
use factflow_core::limits::{Change, Limit, ParameterError, Sample, Snapshot};

use super::made;

/// An algorithm whose changes are printed.
struct Traced {
    limit: Box<dyn Limit>,
    route: u64,
}

impl Traced {
    fn say(&self, now_ns: u64, before: u32) {
        let limit = self.limit.limit();
        if limit == before {
            return;
        }
        let change = self.limit.last_change();
        let numbers: Vec<String> = change
            .map_or(&[][..], Change::statistics)
            .iter()
            .map(|(name, number)| match name.strip_suffix("_ns") {
                Some(name) => format!("{name} {:.3} ms", number / 1e6),
                None => format!("{name} {number:.3}"),
            })
            .collect();
        println!(
            "  {:10.3} s  route {}  {before:4} -> {limit:4}  {:64} {}",
            seconds(now_ns),
            self.route,
            change.map_or("", |change| change.reason),
            numbers.join(", ")
        );
    }
}

#[expect(clippy::cast_precision_loss, reason = "printed to the millisecond")]
fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

impl Limit for Traced {
    fn limit(&self) -> u32 {
        self.limit.limit()
    }

    fn last_change(&self) -> Option<&Change> {
        self.limit.last_change()
    }

    fn started(&mut self, now_ns: u64) {
        self.limit.started(now_ns);
    }

    fn blocked(&mut self, now_ns: u64) {
        self.limit.blocked(now_ns);
    }

    fn sampled(&mut self, sample: &Sample) {
        let before = self.limit.limit();
        self.limit.sampled(sample);
        self.say(sample.end_ns(), before);
    }

    fn ignored(&mut self, now_ns: u64) {
        self.limit.ignored(now_ns);
    }

    fn restore(&mut self, snapshot: Snapshot, now_ns: u64) {
        self.limit.restore(snapshot, now_ns);
    }
}

/// Run one task, and print what the limits did in it.
pub(super) fn trace(name: &str, task: &Variant, best: &Measured) -> Result<(), ParameterError> {
    made(name, &task.scenario, 0)?; // so that a name that is none is said once, and here
    let scenario = &task.scenario;
    println!(
        "{name} in {} at {}, seed {}",
        scenario.name, scenario.scale, task.seed
    );
    println!("  {:?}", scenario.server);
    for phase in &scenario.oracle {
        println!(
            "  {:10.3} s  oracle {}",
            seconds(phase.from_ns),
            phase.limit
        );
    }
    let mut joined = 0;
    let measured = run(
        scenario,
        task.seed,
        Controlled::By(&mut || {
            joined += 1;
            let limit = made(name, scenario, joined).expect("it could be made before");
            let route = joined;
            Box::new(Traced { limit, route })
        }),
    );
    println!("  score {:.3}", cell(scenario, &measured, best).score);
    Ok(())
}
