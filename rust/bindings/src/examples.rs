//! `TextExamples`: texts, or bytes, that meet several demands at once.

use factflow_core::examples::{Demand, Examples};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors;

/// The texts that meet demands.
#[pyclass(frozen, module = "factflow_engine._native")]
pub struct TextExamples {
    found: Examples,
}

#[pymethods]
impl TextExamples {
    #[new]
    #[pyo3(signature = (demands, /, *, is_text = true))]
    fn new(
        py: Python<'_>,
        demands: Vec<(String, Bound<'_, PyAny>, bool)>,
        is_text: bool,
    ) -> PyResult<Self> {
        let demands = demands
            .into_iter()
            .map(|(name, value, is_wanted)| Ok((read(&name, &value)?, is_wanted)))
            .collect::<PyResult<Vec<_>>>()?;
        let found = py
            .detach(|| Examples::of(&demands, is_text))
            .map_err(|error| errors::no_example(&error))?;
        Ok(Self { found })
    }

    /// Return the shortest; None if there is none.
    fn shortest<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.found.shortest().map(|bytes| PyBytes::new(py, &bytes))
    }

    /// Return the one that choices lead to; None if there is none.
    #[pyo3(signature = (choices, /))]
    fn chosen<'py>(&self, py: Python<'py>, choices: &[u8]) -> Option<Bound<'py, PyBytes>> {
        self.found
            .chosen(choices)
            .map(|bytes| PyBytes::new(py, &bytes))
    }
}

fn read(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Demand> {
    Ok(match name {
        "matches" => Demand::Matches(value.extract()?),
        "starts_with" => Demand::StartsWith(value.extract()?),
        "ends_with" => Demand::EndsWith(value.extract()?),
        "contains" => Demand::Contains(value.extract()?),
        "length" => {
            let (lowest, highest) = value.extract()?;
            Demand::Length { lowest, highest }
        }
        "ordered" => {
            let (text, below, equal, above) = value.extract()?;
            Demand::Ordered {
                text,
                below,
                equal,
                above,
            }
        }
        _ => {
            return Err(PyValueError::new_err(format!(
                "expected a demand such as 'contains', got {name:?}"
            )));
        }
    })
}
