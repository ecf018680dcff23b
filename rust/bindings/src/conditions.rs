//! `Condition`: a compiled condition, asked about messages' bytes.

mod host;
mod source;

use factflow_core::conditions::{BUILT_IN, Body, Code, Finding, NoOperators, Step, compile};
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use pyo3::{IntoPyObjectExt, PyTraverseError};

use crate::codec;
use host::{Binder, Callables};

use source::read;

/// A compiled condition.
#[pyclass(frozen, module = "factflow_engine._native")]
pub struct Condition {
    body: Body,
    fields: Vec<Box<str>>,
    callables: Callables,
    /// What it was compiled from, as its author wrote it.
    source: Py<PyAny>,
}

#[pymethods]
impl Condition {
    /// Whether it holds for a message given as its msgpack bytes.
    #[pyo3(signature = (payload, /))]
    fn matches(&self, payload: &Bound<'_, PyBytes>) -> PyResult<bool> {
        let py = payload.py();
        self.body
            .holds(payload.as_bytes(), 0, &self.callables.host(py))
            .map_err(|fault| fault.into_error(py))
    }

    /// Whether it holds for a message given as a value.
    #[pyo3(signature = (value, /))]
    fn matches_value(&self, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.matches(&codec::pack(value)?)
    }

    #[getter]
    fn source<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.source.bind(py).clone()
    }

    #[getter]
    fn fields<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.fields.iter().map(|field| &**field))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("Condition({})", self.source.bind(py).repr()?))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.source)?;
        self.callables.traverse(&visit)
    }
}

/// Compiles a condition; if it cannot be, answers with all that is wrong with it, each as code, path, problem, remedy.
///
/// `operators` has `custom_names()`, pairs of a name and whether it needs a value, and `bind(name, condition)`; `snapshot` makes the source to keep.
#[pyfunction]
#[pyo3(signature = (source, operators, snapshot, /))]
pub fn compile_condition<'py>(
    source: &Bound<'py, PyAny>,
    operators: Option<&Bound<'py, PyAny>>,
    snapshot: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = source.py();
    let tree = read(source)?;
    let mut binder = operators
        .map(|operators| Binder::new(operators, source))
        .transpose()?;
    let compiled = match &mut binder {
        Some(binder) => compile(&tree, binder),
        None => compile(&tree, &mut NoOperators),
    };
    let callables = binder.map_or_else(|| Ok(Callables::default()), Binder::finish)?;
    match compiled {
        Ok((body, fields)) => {
            let source = snapshot.call1((source,))?.unbind();
            Condition {
                body,
                fields,
                callables,
                source,
            }
            .into_bound_py_any(py)
        }
        Err(findings) => report(py, &findings)?.into_bound_py_any(py),
    }
}

/// Findings as tuples of code, path, problem and remedy.
pub fn report<'py>(py: Python<'py>, findings: &[Finding]) -> PyResult<Bound<'py, PyTuple>> {
    let rows = findings
        .iter()
        .map(|finding| {
            let path = finding
                .path
                .iter()
                .map(|step| match step {
                    Step::Key(key) => key.into_bound_py_any(py),
                    Step::Index(index) => index.into_bound_py_any(py),
                })
                .collect::<PyResult<Vec<_>>>()?;
            (
                finding.code.as_str(),
                PyTuple::new(py, path)?,
                &finding.problem,
                &finding.remedy,
            )
                .into_bound_py_any(py)
        })
        .collect::<PyResult<Vec<_>>>()?;
    PyTuple::new(py, rows)
}

/// Adds the names that Python shares with the compiler: one list each, written down once.
pub fn add_constants(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add(
        "BUILT_IN_OPERATORS",
        PyTuple::new(py, BUILT_IN.iter().map(|operator| operator.name))?,
    )?;
    module.add(
        "CONDITION_CODES",
        PyTuple::new(py, Code::ALL.map(Code::as_str))?,
    )
}
