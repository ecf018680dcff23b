//! Custom operators in Python: bound when a condition is compiled, called with a decoded value.

use factflow_core::conditions::{Host, Operators, PathStep};
use factflow_core::value::ValueError;
use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::{codec, errors};

/// Reason why a condition has no answer for these bytes.
pub enum HostFault {
    /// The bytes are not a value.
    Bytes(ValueError),
    /// A user's operator raised.
    Python(PyErr),
}

impl HostFault {
    /// Return the exception to raise.
    #[cold]
    pub fn into_error(self, py: Python<'_>) -> PyErr {
        match self {
            Self::Bytes(error) => errors::not_a_value(py, &error),
            Self::Python(error) => error,
        }
    }
}

impl From<ValueError> for HostFault {
    fn from(error: ValueError) -> Self {
        Self::Bytes(error)
    }
}

/// Bound callables, which take a value and return a bool.
#[derive(Default)]
pub struct Callables(Vec<Py<PyAny>>);

impl Callables {
    /// True if no operator is bound.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Return a caller of these operators for one evaluation.
    pub fn host<'a, 'py>(&'a self, py: Python<'py>) -> PythonHost<'a, 'py> {
        PythonHost {
            py,
            callables: &self.0,
        }
    }

    /// Visit the callables for the garbage collector.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0.iter().try_for_each(|callable| visit.call(callable))
    }
}

/// Caller of bound operators.
pub struct PythonHost<'a, 'py> {
    py: Python<'py>,
    callables: &'a [Py<PyAny>],
}

impl Host for PythonHost<'_, '_> {
    type Error = HostFault;

    fn holds(&self, operator: usize, bytes: &[u8]) -> Result<bool, HostFault> {
        let call = || -> PyResult<bool> {
            let value = codec::build(self.py, bytes)?;
            self.callables[operator]
                .bind(self.py)
                .call1((value,))?
                .extract()
        };
        call().map_err(HostFault::Python)
    }
}

/// Binder of operators while a condition is compiled.
pub struct Binder<'py> {
    operators: &'py Bound<'py, PyAny>,
    /// Names of the registry's own operators, and whether each needs a value.
    names: Vec<(String, bool)>,
    /// The condition as the author wrote it.
    source: &'py Bound<'py, PyAny>,
    callables: Vec<Py<PyAny>>,
    /// First exception that Python raised while it was asked; the compiler itself goes on.
    raised: Option<PyErr>,
}

impl<'py> Binder<'py> {
    /// Return a binder of a registry's operators.
    pub fn new(
        operators: &'py Bound<'py, PyAny>,
        source: &'py Bound<'py, PyAny>,
    ) -> PyResult<Self> {
        let names = operators.call_method0("custom_names")?.extract()?;
        Ok(Self {
            operators,
            names,
            source,
            callables: Vec::new(),
            raised: None,
        })
    }

    /// Return the bound callables, or the exception that Python raised meanwhile.
    pub fn finish(self) -> PyResult<Callables> {
        match self.raised {
            Some(error) => Err(error),
            None => Ok(Callables(self.callables)),
        }
    }

    /// Return the callable of an operator, or the reason why it refuses its value.
    fn ask(&self, name: &str, path: &[PathStep]) -> PyResult<Result<Py<PyAny>, String>> {
        let mut condition = self.source.clone();
        // The path's last step is the value itself.
        for step in &path[..path.len() - 1] {
            condition = match step {
                PathStep::Key(key) => condition.get_item(&**key)?,
                PathStep::Index(index) => condition.get_item(index)?,
            };
        }
        let answer = self.operators.call_method1("bind", (name, condition))?;
        Ok(match answer.cast::<PyString>() {
            Ok(reason) => Err(reason.to_string_lossy().into_owned()),
            Err(_) => Ok(answer.unbind()),
        })
    }
}

impl Operators for Binder<'_> {
    fn names(&self) -> Vec<String> {
        self.names.iter().map(|(name, _)| name.clone()).collect()
    }

    fn needs_value(&self, name: &str) -> Option<bool> {
        self.names
            .iter()
            .find(|(known, _)| known == name)
            .map(|&(_, needs)| needs)
    }

    fn bind(&mut self, name: &str, path: &[PathStep]) -> Result<usize, String> {
        match self.ask(name, path) {
            Ok(Ok(callable)) => {
                self.callables.push(callable);
                Ok(self.callables.len() - 1)
            }
            Ok(Err(reason)) => Err(reason),
            Err(error) => {
                let reason = error.to_string();
                self.raised.get_or_insert(error);
                Err(reason)
            }
        }
    }
}
