//! Tables of scores: of cells, and of the distributions of their variants.

use factflow_core::limits::simulation::{Cell, Scenario};

#[expect(clippy::cast_precision_loss, reason = "a few thousand cells")]
#[expect(clippy::disallowed_methods, reason = "printed to three digits")]
fn geometric_mean(scores: &[f64]) -> f64 {
    let logarithms: f64 = scores.iter().map(|score| score.max(0.01).ln()).sum();
    (logarithms / scores.len() as f64).exp()
}

/// Print the scores of an algorithm: a line for each cell.
pub(super) fn report(name: &str, found: &[Vec<(&Scenario, Cell)>], of_variants: bool) {
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
