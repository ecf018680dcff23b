//! `Condition`: a compiled condition, asked about messages' bytes.

mod host;
mod source;

use std::sync::atomic::{AtomicUsize, Ordering};

use factflow_core::conditions::{
    BUILT_IN, Body, Code, MAX_PATTERNS_BYTES, NoOperators, Segment, compile, parse_path,
};
use pyo3::IntoPyObjectExt;
use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::{codec, errors};

pub use host::{Binder, Callables};
pub use source::SourceReader;

/// Memory that patterns may still take, of conditions that are compiled one after another.
#[pyclass(frozen, module = "factflow_engine._native")]
pub struct PatternBudget {
    left: AtomicUsize,
}

#[pymethods]
impl PatternBudget {
    #[new]
    #[pyo3(signature = (size = MAX_PATTERNS_BYTES))]
    fn new(size: usize) -> Self {
        Self {
            left: AtomicUsize::new(size),
        }
    }

    #[getter]
    fn left(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }

    fn __repr__(&self) -> String {
        format!("PatternBudget(<{} bytes left>)", self.left())
    }
}

impl PatternBudget {
    /// Return the rest of a budget, or the whole allowance if there is no budget.
    pub fn left_of(budget: Option<&Bound<'_, Self>>) -> usize {
        budget.map_or(MAX_PATTERNS_BYTES, |budget| budget.get().left())
    }

    /// Set the rest of a budget. It belongs to one load, so that no other has used it meanwhile.
    pub fn leave(budget: Option<&Bound<'_, Self>>, left: usize) {
        if let Some(budget) = budget {
            budget.get().left.store(left, Ordering::Relaxed);
        }
    }
}

/// A compiled condition.
#[pyclass(frozen, module = "factflow_engine._native")]
pub struct Condition {
    body: Body,
    fields: Vec<Box<str>>,
    callables: Callables,
    /// Mapping of the condition, as its author wrote it.
    source: Py<PyAny>,
}

#[pymethods]
impl Condition {
    /// True if it holds for a message given as its msgpack bytes.
    #[pyo3(name = "matches", signature = (payload, /))]
    fn matches_payload(&self, payload: &Bound<'_, PyBytes>) -> PyResult<bool> {
        errors::guarded(payload.py(), || self.matches(payload))
    }

    /// True if it holds for a message given as a value.
    #[pyo3(signature = (value, /))]
    fn matches_value(&self, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        errors::guarded(value.py(), || self.matches(&codec::pack(value)?))
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

impl Condition {
    /// True if it has operators of a user's own.
    pub fn runs_code(&self) -> bool {
        !self.callables.is_empty()
    }

    /// True if it holds for a message.
    pub fn matches(&self, payload: &Bound<'_, PyBytes>) -> PyResult<bool> {
        let py = payload.py();
        self.body
            .holds(payload.as_bytes(), 0, &self.callables.host(py))
            .map_err(|fault| fault.into_error(py))
    }
}

/// Compile a condition.
///
/// `operators` has `custom_names()`, pairs of a name and whether it needs a value, and `bind(name, condition)`;
/// `snapshot` makes the source to keep. Patterns take their memory from the budget, or from one of their own.
#[pyfunction]
#[pyo3(signature = (source, operators, snapshot, budget = None, /))]
pub fn compile_condition(
    source: &Bound<'_, PyAny>,
    operators: Option<&Bound<'_, PyAny>>,
    snapshot: &Bound<'_, PyAny>,
    budget: Option<&Bound<'_, PatternBudget>>,
) -> PyResult<Condition> {
    errors::guarded(source.py(), || {
        let tree = SourceReader::default().read(source)?;
        let mut left = PatternBudget::left_of(budget);
        let mut binder = operators
            .map(|operators| Binder::new(operators, source))
            .transpose()?;
        let compiled = match &mut binder {
            Some(binder) => compile(&tree, binder, &mut left),
            None => compile(&tree, &mut NoOperators, &mut left),
        };
        PatternBudget::leave(budget, left);
        let callables = binder.map_or_else(|| Ok(Callables::default()), Binder::finish)?;
        let (body, fields) =
            compiled.map_err(|findings| errors::conditions(source.py(), &findings))?;
        Ok(Condition {
            body,
            fields,
            callables,
            source: snapshot.call1((source,))?.unbind(),
        })
    })
}

/// Add the lists of names that Python shares with the compiler.
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

/// Return the steps of a path as pairs of a kind and a key, an index, or both.
#[pyfunction]
#[pyo3(signature = (path, /))]
pub fn path_steps<'py>(path: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let py = path.py();
    let source = SourceReader::default().read(path)?;
    let segments = parse_path(&source).map_err(|error| errors::invalid_path(&error))?;
    segments
        .into_iter()
        .map(|segment| match segment {
            Segment::Key(key) => (Some(&*key), None::<i64>).into_bound_py_any(py),
            Segment::Index(index) => (None::<&str>, Some(index)).into_bound_py_any(py),
            Segment::KeyOrIndex(key, index) => (Some(&*key), Some(index)).into_bound_py_any(py),
            Segment::Each => (None::<&str>, None::<i64>).into_bound_py_any(py),
        })
        .collect()
}
