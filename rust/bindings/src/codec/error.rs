//! The reason why a value cannot be packed, and the place in it: gathered while the packer returns, so that success
//! pays nothing.

use core::fmt::Write;

use factflow_core::conditions::PathStep;
use pyo3::prelude::*;
use pyo3::types::{PyDate, PyDateTime, PyFrozenSet, PySet, PyString};

use crate::errors;

/// The reason why a value cannot be packed.
pub struct PackError(Box<PackFault>);

enum PackFault {
    /// The value's own fault.
    Value {
        problem: String,
        steps: Vec<PathStep>,
    },
    /// Exception raised by Python code that the packer called.
    Raised(PyErr),
}

impl From<PyErr> for PackError {
    fn from(error: PyErr) -> Self {
        Self(Box::new(PackFault::Raised(error)))
    }
}

impl PackError {
    #[cold]
    pub fn new(problem: String) -> Self {
        Self(Box::new(PackFault::Value {
            problem,
            steps: Vec::new(),
        }))
    }

    /// Return the error of a type that messages do not have, with what to write instead.
    #[cold]
    pub fn of_type(value: &Bound<'_, PyAny>) -> Self {
        let name = value.get_type().name().map_or_else(
            |_| "object".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        );
        Self::new(format!(
            "cannot carry a {name}; use {}",
            instead_of(value, &name)
        ))
    }

    /// Return the error of a key that is not text.
    #[cold]
    pub fn of_key(key: &Bound<'_, PyAny>) -> Self {
        let name = key.get_type().name().map_or_else(
            |_| "object".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        );
        Self::new(format!(
            "expected str keys, got a key of type {name}; use str(key)"
        ))
    }

    #[must_use]
    pub fn under_key(mut self, key: &Bound<'_, PyString>) -> Self {
        if let PackFault::Value { steps, .. } = &mut *self.0 {
            steps.push(PathStep::Key(key.to_string_lossy().into_owned().into()));
        }
        self
    }

    #[must_use]
    pub fn at_index(mut self, index: usize) -> Self {
        if let PackFault::Value { steps, .. } = &mut *self.0 {
            steps.push(PathStep::Index(index));
        }
        self
    }

    /// Return the exception, its text beginning with the path from `root`.
    #[cold]
    pub fn into_error(self, py: Python<'_>, root: &str) -> PyErr {
        match *self.0 {
            PackFault::Raised(error) => error,
            PackFault::Value { problem, steps } => {
                errors::refused(py, format!("{}: {problem}", path(root, &steps)))
            }
        }
    }
}

/// `message.items[3]["two words"]`; the middle of a long path is left out.
fn path(root: &str, steps: &[PathStep]) -> String {
    const SHOWN: usize = 8;
    let mut text = root.to_owned();
    for (number, step) in steps.iter().rev().enumerate() {
        if steps.len() > 2 * SHOWN && (SHOWN..steps.len() - SHOWN).contains(&number) {
            if number == SHOWN {
                text.push_str("...");
            }
            continue;
        }
        // Writing to a String cannot fail.
        let _ = match step {
            PathStep::Index(index) => write!(text, "[{index}]"),
            PathStep::Key(key) if is_name(key) => write!(text, ".{key}"),
            PathStep::Key(key) => write!(text, "[{:?}]", key.chars().take(64).collect::<String>()),
        };
    }
    text
}

fn is_name(key: &str) -> bool {
    key.len() <= 64
        && key.starts_with(|first: char| first == '_' || first.is_ascii_alphabetic())
        && key
            .chars()
            .all(|char| char == '_' || char.is_ascii_alphanumeric())
}

fn instead_of(value: &Bound<'_, PyAny>, name: &str) -> &'static str {
    if value.is_instance_of::<PyDateTime>() {
        "an aware one, such as value.replace(tzinfo=datetime.UTC), because without an offset it is no instant"
    } else if value.is_instance_of::<PyDate>() || name == "time" {
        "value.isoformat()"
    } else if value.is_instance_of::<PySet>() || value.is_instance_of::<PyFrozenSet>() {
        "sorted(value), which is a list"
    } else if name == "Emit" {
        "AdapterResult(emitted=[Emit(...)]), for it is no value but what to emit"
    } else if name == "coroutine" {
        "await value, which nobody has awaited"
    } else if name == "generator" || name == "async_generator" {
        "AdapterResult(emitted=value) to emit its elements, or a list of them"
    } else if name == "timedelta" {
        "value.total_seconds()"
    } else if matches!(
        name,
        "Decimal" | "UUID" | "PosixPath" | "WindowsPath" | "Path" | "Fraction"
    ) {
        "str(value)"
    } else if value.hasattr("model_dump").unwrap_or(false) {
        "value.model_dump()"
    } else if value.hasattr("__dataclass_fields__").unwrap_or(false) {
        "dataclasses.asdict(value)"
    } else if value.hasattr("keys").unwrap_or(false) {
        "dict(value)"
    } else if value.hasattr("__iter__").unwrap_or(false) {
        "list(value)"
    } else {
        "None, bool, int, float, str, bytes, list, dict, Timestamp, Ext or an aware datetime"
    }
}
