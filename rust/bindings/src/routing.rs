//! `RouteTable`: many compiled conditions, asked together about messages' bytes.

use std::sync::{Mutex, TryLockError};

use factflow_core::conditions::{Compiler, Finding, NoOperators, Operators};
use factflow_core::routing::{Scratch, Table, build};
use pyo3::PyTraverseError;
use pyo3::exceptions::PyTypeError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use crate::conditions::{Binder, Callables, PatternBudget, SourceReader};
use crate::errors;

/// Many compiled conditions, each under an id.
#[pyclass(frozen, generic, module = "factflow_engine._native")]
pub struct RouteTable {
    table: Table,
    ids: Vec<Py<PyAny>>,
    callables: Callables,
    /// Scratch memory. A caller that finds it taken (another thread, or an operator that asks this table) uses its
    /// own.
    room: Mutex<Room>,
}

#[derive(Default)]
struct Room {
    scratch: Scratch,
    rules: Vec<u32>,
}

impl RouteTable {
    fn with_room<R>(&self, call: impl FnOnce(&mut Room) -> R) -> R {
        match self.room.try_lock() {
            Ok(mut room) => call(&mut room),
            // A poisoned lock is harmless: matching begins by clearing the scratch memory.
            Err(TryLockError::Poisoned(poisoned)) => call(&mut poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => call(&mut Room::default()),
        }
    }

    /// Call `collect` with the places of all rules that hold for a message, in order.
    pub fn all<'py, R>(
        &self,
        payload: &Bound<'py, PyBytes>,
        collect: impl FnOnce(Python<'py>, &[u32]) -> PyResult<R>,
    ) -> PyResult<R> {
        let py = payload.py();
        self.with_room(|room| {
            room.rules.clear();
            self.table
                .all(
                    payload.as_bytes(),
                    &mut room.scratch,
                    &self.callables.host(py),
                    &mut room.rules,
                )
                .map_err(|fault| fault.into_error(py))?;
            collect(py, &room.rules)
        })
    }

    /// Return the place of the first rule that holds for a message.
    pub fn first(&self, payload: &Bound<'_, PyBytes>) -> PyResult<Option<u32>> {
        let py = payload.py();
        self.with_room(|room| {
            self.table.first(
                payload.as_bytes(),
                &mut room.scratch,
                &self.callables.host(py),
            )
        })
        .map_err(|fault| fault.into_error(py))
    }
}

#[pymethods]
impl RouteTable {
    /// Compile a table of pairs of an id and a condition.
    #[new]
    #[pyo3(signature = (rules, operators = None, budget = None))]
    fn new<'py>(
        rules: &Bound<'py, PyAny>,
        operators: Option<&Bound<'py, PyAny>>,
        budget: Option<&Bound<'py, PatternBudget>>,
    ) -> PyResult<Self> {
        errors::guarded(rules.py(), || {
            let py = rules.py();
            let (ids, conditions) = unzip(rules)?;
            let mut binder = operators
                .map(|operators| Binder::new(operators, conditions.as_any()))
                .transpose()?;
            let compiled = match &mut binder {
                Some(binder) => compile(&conditions, binder, budget)?,
                None => compile(&conditions, &mut NoOperators, budget)?,
            };
            let callables = binder.map_or_else(|| Ok(Callables::default()), Binder::finish)?;
            let table = compiled.map_err(|findings| errors::conditions(py, &findings))?;
            Ok(Self {
                table,
                ids,
                callables,
                room: Mutex::default(),
            })
        })
    }

    /// Return the ids of the rules that hold for a message, in the table's order.
    #[pyo3(name = "match", signature = (payload, /))]
    fn match_all<'py>(&self, payload: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyList>> {
        errors::guarded(payload.py(), || {
            self.all(payload, |py, rules| {
                PyList::new(
                    py,
                    rules.iter().map(|&rule| self.ids[rule as usize].bind(py)),
                )
            })
        })
    }

    /// Return the places in the table of the rules that hold for a message, in order.
    #[pyo3(signature = (payload, /))]
    fn match_indices<'py>(&self, payload: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyTuple>> {
        errors::guarded(payload.py(), || {
            self.all(payload, |py, rules| PyTuple::new(py, rules))
        })
    }

    /// Return the id of the first rule that holds for a message.
    #[pyo3(signature = (payload, /))]
    fn match_first(&self, payload: &Bound<'_, PyBytes>) -> PyResult<Option<Py<PyAny>>> {
        errors::guarded(payload.py(), || {
            let first = self.first(payload)?;
            Ok(first.map(|rule| self.ids[rule as usize].clone_ref(payload.py())))
        })
    }

    /// Return the numbers of the table's parts.
    fn statistics(&self) -> RouteTableStatistics {
        let statistics = self.table.statistics();
        RouteTableStatistics {
            rules: statistics.rules,
            indexed_rules: statistics.indexed,
            always_asked_rules: statistics.always_asked,
            impossible_rules: statistics.never,
            indexed_fields: statistics.fields,
            automata: statistics.automata,
        }
    }

    fn __len__(&self) -> usize {
        self.ids.len()
    }

    fn __repr__(&self) -> String {
        format!("RouteTable(<{} rules>)", self.ids.len())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.ids.iter().try_for_each(|id| visit.call(id))?;
        self.callables.traverse(&visit)
    }
}

/// The numbers of a table's parts.
#[pyclass(frozen, get_all, module = "factflow_engine._native")]
pub struct RouteTableStatistics {
    rules: usize,
    indexed_rules: usize,
    always_asked_rules: usize,
    impossible_rules: usize,
    indexed_fields: usize,
    automata: usize,
}

#[pymethods]
impl RouteTableStatistics {
    fn __repr__(&self) -> String {
        format!(
            "RouteTableStatistics(rules={}, indexed_rules={}, always_asked_rules={}, impossible_rules={}, \
             indexed_fields={}, automata={})",
            self.rules,
            self.indexed_rules,
            self.always_asked_rules,
            self.impossible_rules,
            self.indexed_fields,
            self.automata
        )
    }
}

/// Split pairs into ids and conditions.
fn unzip<'py>(rules: &Bound<'py, PyAny>) -> PyResult<(Vec<Py<PyAny>>, Bound<'py, PyList>)> {
    let mut ids = Vec::new();
    let conditions = PyList::empty(rules.py());
    for (index, rule) in rules.try_iter()?.enumerate() {
        let (id, condition): (Py<PyAny>, Bound<'py, PyAny>) = rule?.extract().map_err(|_| {
            PyTypeError::new_err(format!(
                "rule {index} is not a pair: expected (id, condition)"
            ))
        })?;
        ids.push(id);
        conditions.append(condition)?;
    }
    Ok((ids, conditions))
}

fn compile(
    conditions: &Bound<'_, PyList>,
    operators: &mut dyn Operators,
    budget: Option<&Bound<'_, PatternBudget>>,
) -> PyResult<Result<Table, Vec<Finding>>> {
    let mut compiler = Compiler::new(operators, PatternBudget::left_of(budget));
    let mut rules = Vec::with_capacity(conditions.len());
    let mut findings = Vec::new();
    let mut reader = SourceReader::default();
    for (index, condition) in conditions.iter().enumerate() {
        match compiler.compile_at(index, &reader.read(&condition)?) {
            Ok(rule) => rules.push(rule),
            Err(found) => findings.extend(found),
        }
    }
    PatternBudget::leave(budget, compiler.pattern_bytes());
    if !findings.is_empty() {
        return Ok(Err(findings));
    }
    let (scope, _) = compiler.finish();
    build(rules, scope)
        .map(Ok)
        .map_err(|error| errors::refused(conditions.py(), error.to_string()))
}
