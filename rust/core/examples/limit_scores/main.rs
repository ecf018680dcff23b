//! Scores of the limit algorithms over the catalogue: `cargo run --release -p factflow-core --example limit_scores`.
//!
//! Names of algorithms as arguments; all of them without any. Each line is a cell: its score, and what that is
//! made of. `--scenario NAME` keeps to one scenario. Names joined by `+` are given to the routes of a scenario in turn.
//!
//! `--variants N --seed S --half tune|report` runs the first N variants of each cell of one half instead, and prints the
//! distribution of each cell's scores. Tune on `tune` alone.
//!
//! `--trace N` prints every change of the limit instead, in the N-th of what is asked for, counted from 0, of each cell.
//! `--scale SCALE` keeps to one scale.
//!
//! `--cost` prints what one step costs: a permit and a sample, in nanoseconds and in allocations.
//!
//! `--figures` prints what is wanted of single scenarios at scale 1, beside what each algorithm does there.

mod figures;
mod report;
mod steps;
mod trace;

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::time::Instant;

use factflow_core::limits::simulation::{
    Cell, Controlled, FURTHER, Half, Measured, SCALES, SCENARIOS, Scenario, Variant, cell, oracle,
    run, scenario, variant,
};
use factflow_core::limits::{
    Controller, Limit, LimitBounds, NAMES, ParameterError, Parameters, Value, new_limit,
};

use figures::figures;
use report::report;
use steps::{allocations, drive};
use trace::trace;

const SEED: u64 = 1;
const INITIAL: f64 = 10.0;

/// Options of the command line.
struct Asked {
    names: Vec<String>,
    scenarios: Vec<&'static str>,
    variants: Option<u64>,
    seed: u64,
    half: Half,
    figures: bool,
    cost: bool,
    traced: Option<usize>,
    scales: Vec<f64>,
}

impl Asked {
    fn of(mut arguments: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut asked = Self {
            names: Vec::new(),
            scenarios: Vec::new(),
            variants: None,
            seed: SEED,
            half: Half::Tune,
            figures: false,
            cost: false,
            traced: None,
            scales: SCALES.to_vec(),
        };
        while let Some(argument) = arguments.next() {
            if !argument.starts_with("--") {
                asked.names.push(argument);
                continue;
            }
            if argument == "--figures" {
                asked.figures = true;
                continue;
            }
            if argument == "--cost" {
                asked.cost = true;
                continue;
            }
            let value = arguments
                .next()
                .ok_or_else(|| format!("{argument}: expected a value after it"))?;
            match argument.as_str() {
                "--variants" => asked.variants = Some(value.parse()?),
                "--trace" => asked.traced = Some(value.parse()?),
                "--scale" => asked.scales = vec![value.parse()?],
                "--seed" => asked.seed = value.parse()?,
                "--half" if value == "tune" => asked.half = Half::Tune,
                "--half" if value == "report" => asked.half = Half::Report,
                "--scenario" => {
                    let known = SCENARIOS
                        .into_iter()
                        .chain(FURTHER)
                        .find(|known| *known == value);
                    asked.scenarios.push(known.ok_or_else(|| {
                        let known = [&SCENARIOS[..], &FURTHER].concat().join(", ");
                        format!("no scenario {value:?}; there are {known}")
                    })?);
                }
                _ => return Err(format!("unexpected {argument} {value}").into()),
            }
        }
        if asked.names.is_empty() {
            asked.names = NAMES.iter().map(ToString::to_string).collect();
        }
        if asked.scenarios.is_empty() {
            asked.scenarios = SCENARIOS.to_vec();
        }
        Ok(asked)
    }

    /// Tasks of each cell of the table: the scenario itself, or some of its variants.
    fn cells(&self) -> Vec<Vec<Variant>> {
        self.scenarios
            .iter()
            .flat_map(|name| self.scales.iter().map(move |scale| (*name, *scale)))
            .map(|(name, scale)| match self.variants {
                None => scenario(name, scale)
                    .map(|scenario| Variant {
                        scenario,
                        seed: self.seed,
                    })
                    .into_iter()
                    .collect(),
                Some(count) => (0..count)
                    .filter_map(|place| variant(name, scale, self.seed, self.half.number(place)))
                    .collect(),
            })
            .collect()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let asked = Asked::of(env::args().skip(1))?;
    if asked.figures {
        for name in &asked.names {
            figures(name, asked.seed)?;
        }
        return Ok(());
    }
    if asked.cost {
        println!("  algorithm      ns a step  allocations in {COSTED} steps");
        for name in &asked.names {
            cost(name)?;
        }
        return Ok(());
    }
    if let Some(place) = asked.traced {
        for task in asked.cells().iter().filter_map(|tasks| tasks.get(place)) {
            let best = oracle(&task.scenario, task.seed);
            for name in &asked.names {
                trace(name, task, &best)?;
            }
        }
        return Ok(());
    }
    let cells: Vec<Vec<(Variant, Measured)>> = asked
        .cells()
        .into_iter()
        .map(|tasks| {
            let with_oracle = |task: Variant| {
                let best = oracle(&task.scenario, task.seed);
                (task, best)
            };
            tasks.into_iter().map(with_oracle).collect()
        })
        .collect();
    for name in &asked.names {
        let mut found: Vec<Vec<(&Scenario, Cell)>> = Vec::with_capacity(cells.len());
        for tasks in &cells {
            let mut scored = Vec::with_capacity(tasks.len());
            for (task, best) in tasks {
                scored.push((&task.scenario, scored_by(name, task, best)?));
            }
            found.push(scored);
        }
        report(name, &found, asked.variants.is_some());
    }
    Ok(())
}

/// Calls of which the cost is measured.
const COSTED: usize = 2_000_000;

fn cost(name: &str) -> Result<(), ParameterError> {
    let limit = new_limit(name, Parameters::new(name, BTreeMap::new(), None, SEED))?;
    let bounds = LimitBounds { min: 1, max: 200 };
    let mut controller = Controller::new(limit, bounds, false, 0);
    let (before, began) = (allocations(), Instant::now());
    drive(&mut controller, COSTED);
    let (took, allocated) = (began.elapsed(), allocations() - before);
    #[expect(clippy::cast_precision_loss, reason = "printed to a tenth")]
    let each_ns = took.as_nanos() as f64 / COSTED as f64;
    println!("  {name:12} {each_ns:11.1}  {allocated:11}");
    Ok(())
}

fn scored_by(name: &str, task: &Variant, best: &Measured) -> Result<Cell, ParameterError> {
    let kinds: Vec<&str> = name.split('+').collect();
    for kind in &kinds {
        made(kind, &task.scenario, 0)?; // so that a name that is none is said once, and here
    }
    let mut joined = 0;
    let measured = run(
        &task.scenario,
        task.seed,
        Controlled::By(&mut || {
            joined += 1;
            let kind = kinds[(joined - 1) % kinds.len()];
            made(kind, &task.scenario, joined as u64).expect("it could be made before")
        }),
    );
    Ok(cell(&task.scenario, &measured, best))
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
