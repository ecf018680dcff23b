//! Scores of the limit algorithms over the catalogue: `cargo run --release -p factflow-core --example limit_scores`.
//!
//! Names of algorithms as arguments; all of them without any. Each line is a cell: its score, and what that is
//! made of. `--scenario NAME` keeps to one scenario. Names joined by `+` are given to the routes of a scenario in turn.
//!
//! `--variants N --seed S --half tune|report` runs the first N variants of each cell of one half instead, and prints the
//! distribution of each cell's scores. Tune on `tune` alone.
//!
//! `--figures` prints what is wanted of single scenarios at scale 1, beside what each algorithm does there.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;

use factflow_core::limits::simulation::{
    Cell, Controlled, FURTHER, Half, Measured, SCALES, SCENARIOS, Scenario, Variant, cell, oracle,
    run, scenario, variant,
};
use factflow_core::limits::{Limit, NAMES, ParameterError, Parameters, Value, new_limit};

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
            let value = arguments
                .next()
                .ok_or_else(|| format!("{argument}: expected a value after it"))?;
            match argument.as_str() {
                "--variants" => asked.variants = Some(value.parse()?),
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
        let by_scale = |name: &'static str| SCALES.into_iter().map(move |scale| (name, scale));
        self.scenarios
            .iter()
            .flat_map(|name| by_scale(name))
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

fn figures(name: &str, seed: u64) -> Result<(), ParameterError> {
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

#[expect(clippy::cast_precision_loss, reason = "a few thousand cells")]
#[expect(clippy::disallowed_methods, reason = "printed to three digits")]
fn geometric_mean(scores: &[f64]) -> f64 {
    let logarithms: f64 = scores.iter().map(|score| score.max(0.01).ln()).sum();
    (logarithms / scores.len() as f64).exp()
}

fn report(name: &str, found: &[Vec<(&Scenario, Cell)>], of_variants: bool) {
    let mut scores: Vec<f64> = found.iter().flatten().map(|(_, cell)| cell.score).collect();
    scores.sort_by(f64::total_cmp);
    let good = scores.iter().filter(|score| **score >= 0.8).count();
    println!(
        "{name}: geometric mean {:.3}, worst {:.3}, {good} of {} at .8 or more",
        geometric_mean(&scores),
        scores.first().copied().unwrap_or(0.0),
        scores.len()
    );
    if of_variants {
        let at = |share: usize| scores.get(scores.len() * share / 100).copied();
        println!(
            "  worst 1 % below {:.3}, worst 5 % below {:.3}, worst 25 % below {:.3}",
            at(1).unwrap_or(0.0),
            at(5).unwrap_or(0.0),
            at(25).unwrap_or(0.0)
        );
        distributions(found);
    } else {
        cells(found);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand cells")]
fn distributions(found: &[Vec<(&Scenario, Cell)>]) {
    println!("  scenario         scale   mean  worst  median   best      U      I      E      J");
    for scored in found {
        let Some((scenario, _)) = scored.first() else {
            continue;
        };
        let mut scores: Vec<f64> = scored.iter().map(|(_, cell)| cell.score).collect();
        scores.sort_by(f64::total_cmp);
        let mean = |of: fn(&Cell) -> f64| {
            scored.iter().map(|(_, cell)| of(cell)).sum::<f64>() / scored.len() as f64
        };
        println!(
            "  {:16} {:5} {:6.3} {:6.3}  {:6.3} {:6.3} {:6.2} {:6.2} {:6.3} {:6.2}",
            scenario.name,
            scenario.scale,
            geometric_mean(&scores),
            scores[0],
            scores[scores.len() / 2],
            scores[scores.len() - 1],
            mean(|cell| cell.utilisation),
            mean(|cell| cell.latency),
            mean(|cell| cell.excess_errors),
            mean(|cell| cell.fairness),
        );
    }
}

fn cells(found: &[Vec<(&Scenario, Cell)>]) {
    println!(
        "  scenario         scale  score      U      I    I99      E      J  converged  overshoot  in time  wasted  changes/min"
    );
    for (scenario, cell) in found.iter().flatten() {
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
