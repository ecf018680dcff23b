//! Figures of single scenarios: what is wanted of a limit there, beside what an algorithm does.

use factflow_core::limits::ParameterError;
use factflow_core::limits::simulation::{Cell, Variant, oracle, scenario};

use super::scored_by;

/// A figure of a cell that is wanted: its name, itself, and the most or the least that is good.
struct Figure {
    scenario: &'static str,
    name: &'static str,
    of: fn(&Cell) -> f64,
    good: Good,
}

enum Good {
    UpTo(f64),
    From(f64),
}

const FIGURES: [Figure; 14] = {
    const fn most(
        scenario: &'static str,
        name: &'static str,
        of: fn(&Cell) -> f64,
        most: f64,
    ) -> Figure {
        let good = Good::UpTo(most);
        Figure {
            scenario,
            name,
            of,
            good,
        }
    }
    const fn least(
        scenario: &'static str,
        name: &'static str,
        of: fn(&Cell) -> f64,
        least: f64,
    ) -> Figure {
        let good = Good::From(least);
        Figure {
            scenario,
            name,
            of,
            good,
        }
    }
    [
        least("steady", "throughput", |cell| cell.utilisation, 0.97),
        most("steady", "latency", |cell| cell.latency, 1.1),
        most("cap_step", "seconds down", |cell| after(cell, 1), 1.0),
        most("cap_step", "seconds up", |cell| after(cell, 2), 2.0),
        most("cold_start", "seconds", |cell| after(cell, 0), 1.5),
        most("cold_start", "overshoot", |cell| cell.overshoot, 0.5),
        least("flaky", "throughput", |cell| cell.utilisation, 0.95),
        most("reject", "errors", |cell| cell.excess_errors, 0.02),
        most("app_limited", "latency", |cell| cell.latency, 1.1),
        most("baseline_x3", "seconds slower", |cell| after(cell, 1), 6.0),
        most("baseline_x3", "seconds faster", |cell| after(cell, 2), 6.0),
        most("outage", "seconds", |cell| after(cell, 2), 2.0),
        least("two_routes", "fairness", |cell| cell.fairness, 0.98),
        most("two_routes", "latency", |cell| cell.latency, 1.3),
    ]
};

/// Seconds until it was as good as the oracle again after a change, of which the start is the first.
fn after(cell: &Cell, change: usize) -> f64 {
    cell.convergences
        .get(change)
        .and_then(|(_, seconds)| *seconds)
        .unwrap_or(f64::INFINITY)
}

/// Print the figures of an algorithm.
pub(super) fn figures(name: &str, seed: u64) -> Result<(), ParameterError> {
    println!("{name}: figures at scale 1");
    for figure in &FIGURES {
        let Some(scenario) = scenario(figure.scenario, 1.0) else {
            continue;
        };
        let task = Variant { scenario, seed };
        let best = oracle(&task.scenario, seed);
        let found = (figure.of)(&scored_by(name, &task, &best)?);
        let (sign, bound, is_met) = match figure.good {
            Good::UpTo(bound) => ("<=", bound, found <= bound),
            Good::From(bound) => (">=", bound, found >= bound),
        };
        let verdict = if is_met { "met" } else { "missed" };
        println!(
            "  {:12} {:15} {found:7.3}, wanted {sign} {bound:.2}: {verdict}",
            figure.scenario, figure.name
        );
    }
    Ok(())
}
