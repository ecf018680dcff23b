//! Results as Python's: dictionaries of numbers and lists.

use factflow_core::limits::simulation::{Bin, Cell, Series};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

/// Return the measures of a cell by their names in documents, and what can be drawn as `series`.
pub(super) fn document<'py>(
    py: Python<'py>,
    cell: &Cell,
    series: Option<&Series>,
) -> PyResult<Bound<'py, PyDict>> {
    let document = PyDict::new(py);
    let numbers = [
        ("score", cell.score),
        ("U", cell.utilisation),
        ("I", cell.latency),
        ("I99", cell.latency_p99),
        ("E", cell.excess_errors),
        ("J", cell.fairness),
        ("overshoot", cell.overshoot),
        ("goodput_in_deadline", cell.goodput_in_deadline),
        ("wasted", cell.wasted),
        ("changes_per_minute", cell.changes_per_minute),
    ];
    for (name, number) in numbers {
        document.set_item(name, number)?;
    }
    document.set_item("convergence_s", cell.convergence_s)?;
    document.set_item("convergences", &cell.convergences)?;
    document.set_item(
        "series",
        series
            .map(|series| series_document(py, series))
            .transpose()?,
    )?;
    Ok(document)
}

fn series_document<'py>(py: Python<'py>, series: &Series) -> PyResult<Bound<'py, PyDict>> {
    let width_ns = u128::from(series.width_ns);
    let tenths = |sum: u128| (sum * 10 + width_ns / 2) / width_ns;
    let document = PyDict::new(py);
    document.set_item("width_ns", series.width_ns)?;
    let column = |name: &str, of: &dyn Fn(&Bin) -> u128| -> PyResult<()> {
        document.set_item(name, PyList::new(py, series.bins.iter().map(of))?)
    };
    column("limit_tenths", &|bin| tenths(bin.limit))?;
    column("in_flight_tenths", &|bin| tenths(bin.in_flight))?;
    column("in_time", &|bin| bin.outcomes.in_time.into())?;
    column("late", &|bin| bin.outcomes.late.into())?;
    column("failed", &|bin| bin.outcomes.failed.into())?;
    column("given_up", &|bin| bin.outcomes.given_up.into())?;
    let latencies: Vec<&[u64]> = series.bins.iter().map(|bin| &bin.latencies[..]).collect();
    document.set_item("latencies", latencies)?;
    Ok(document)
}
