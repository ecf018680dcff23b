//! Scores of the limit algorithms over the catalogue: `cargo run --release -p factflow-core --example limit_scores`.
//!
//! Names of algorithms as arguments; all of them without any. Each line is a cell: its score, and what that is
//! made of.

use std::collections::BTreeMap;
use std::env;

use factflow_core::limits::simulation::{
    Cell, Controlled, Measured, SCALES, SCENARIOS, Scenario, cell, oracle, run, scenario,
};
use factflow_core::limits::{Limit, NAMES, ParameterError, Parameters, Value, new_limit};

const SEED: u64 = 1;
const INITIAL: f64 = 10.0;

fn main() -> Result<(), ParameterError> {
    let asked: Vec<String> = env::args().skip(1).collect();
    let names: Vec<&str> = if asked.is_empty() {
        NAMES.to_vec()
    } else {
        asked.iter().map(String::as_str).collect()
    };
    let cells: Vec<(Scenario, Measured)> = SCENARIOS
        .iter()
        .flat_map(|name| {
            SCALES
                .iter()
                .filter_map(move |scale| scenario(name, *scale))
        })
        .map(|scenario| {
            let best = oracle(&scenario, SEED);
            (scenario, best)
        })
        .collect();
    for name in names {
        let mut found = Vec::with_capacity(cells.len());
        for (scenario, best) in &cells {
            made(name, scenario, 0)?; // so that a name that is none is said once, and here
            let mut joined = 0;
            let measured = run(
                scenario,
                SEED,
                Controlled::By(&mut || {
                    joined += 1;
                    made(name, scenario, joined).expect("it could be made before")
                }),
            );
            found.push((scenario, cell(scenario, &measured, best)));
        }
        report(name, &found);
    }
    Ok(())
}

/// Make an algorithm with the bounds that all have in the catalogue.
fn made(name: &str, scenario: &Scenario, seed: u64) -> Result<Box<dyn Limit>, ParameterError> {
    let max = (5.0 * f64::from(scenario.most())).max(200.0);
    let target_ns = Value::Number(f64::from(
        u32::try_from(scenario.target_ns).unwrap_or(u32::MAX),
    ));
    let given: BTreeMap<String, Value> = match name {
        "fixed" => vec![("limit", Value::Number(INITIAL))],
        "vegas" | "arc" => vec![
            ("initial", Value::Number(INITIAL)),
            ("max", Value::Number(max)),
        ],
        "adaptive" => vec![
            ("initial", Value::Number(INITIAL)),
            ("max", Value::Number(max)),
            ("target_latency_ns", target_ns),
        ],
        _ => vec![
            ("initial", Value::Number(INITIAL)),
            ("min", Value::Number(1.0)),
            ("max", Value::Number(max)),
        ],
    }
    .into_iter()
    .map(|(parameter, value)| (parameter.to_owned(), value))
    .collect();
    new_limit(name, Parameters::new(name, given, None, seed))
}

#[expect(clippy::cast_precision_loss, reason = "51 cells")]
fn report(name: &str, found: &[(&Scenario, Cell)]) {
    let scores: Vec<f64> = found.iter().map(|(_, cell)| cell.score).collect();
    let logarithms: f64 = scores.iter().map(|score| score.max(0.01).ln()).sum();
    let mean = (logarithms / scores.len() as f64).exp();
    let worst = scores.iter().copied().fold(f64::INFINITY, f64::min);
    let good = scores.iter().filter(|score| **score >= 0.8).count();
    println!(
        "{name}: geometric mean {mean:.3}, worst {worst:.3}, {good} of {} at .8 or more",
        scores.len()
    );
    println!(
        "  scenario         scale  score      U      I    I99      E      J  converged  overshoot  in time  wasted  changes/min"
    );
    for (scenario, cell) in found {
        let converged = cell
            .convergence_s
            .map_or_else(|| "never".to_owned(), |seconds| format!("{seconds} s"));
        println!(
            "  {:16} {:5} {:6.3} {:6.2} {:6.2} {:6.2} {:6.3} {:6.2} {converged:>10} {:10.2} {:8.2} {:7.3} {:12.0}",
            scenario.name,
            scenario.scale,
            cell.score,
            cell.utilisation,
            cell.latency,
            cell.latency_p99,
            cell.excess_errors,
            cell.fairness,
            cell.overshoot,
            cell.goodput_in_deadline,
            cell.wasted,
            cell.changes_per_minute,
        );
    }
}
