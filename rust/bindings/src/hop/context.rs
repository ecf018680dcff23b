//! `MessageContext`: one message at one stage, as its adapter sees it.
//!
//! The object is also the state of a message in its route: its frame, its changes, and its stage.

use std::sync::OnceLock;

use pyo3::PyTraverseError;
use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::PyVisit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyMapping, PyMappingProxy, PyString};

use super::visit::{STAGE_PERMIT, Visit};
use crate::codec;
use crate::frame::{Fields, Frame, Headers, hex, read_headers};
use crate::gil_cell::GilCell;

/// Changes that this attempt has made to a message so far.
#[derive(Default)]
pub struct Changes {
    /// None: the frame's own payload.
    pub payload: Option<Py<PyBytes>>,
    /// None: the frame's own headers.
    pub headers: Option<Headers>,
    /// Time at which the attempt began, by the loop's clock.
    pub begun_ns: i64,
}

impl Changes {
    pub fn clone_ref(&self, py: Python<'_>) -> Self {
        Self {
            payload: self.payload.as_ref().map(|payload| payload.clone_ref(py)),
            headers: self.headers.as_ref().map(|headers| headers.clone_ref(py)),
            begun_ns: self.begun_ns,
        }
    }

    /// Return a state without changes.
    pub fn since(begun_ns: i64) -> Self {
        Self {
            begun_ns,
            ..Self::default()
        }
    }
}

/// One message at one stage.
#[pyclass(frozen, module = "factflow_engine._native")]
pub struct MessageContext {
    pub fields: Fields,
    pub changes: Changes,
    /// The stage it is at: its place in the route, and the Python object.
    pub index: usize,
    stage: Option<Py<PyAny>>,
    visit: GilCell<Visit>,
    message: OnceLock<Py<PyAny>>,
}

impl MessageContext {
    pub fn new(
        fields: Fields,
        changes: Changes,
        index: usize,
        stage: Option<Py<PyAny>>,
        visit: Visit,
    ) -> Self {
        Self {
            fields,
            changes,
            index,
            stage,
            visit: GilCell::new(visit),
            message: OnceLock::new(),
        }
    }

    /// Return its visit to the stage.
    pub fn visit(&self, py: Python<'_>) -> Visit {
        // SAFETY: plain data is copied.
        unsafe { self.visit.with(py, |visit| *visit) }
    }

    /// Return the present payload.
    pub fn bytes(&self) -> &Py<PyBytes> {
        self.changes
            .payload
            .as_ref()
            .unwrap_or(&self.fields.payload)
    }

    fn info<'py>(
        &self,
        py: Python<'py>,
        name: &Bound<'py, PyString>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match &self.stage {
            Some(stage) => stage.bind(py).getattr(intern!(py, "info"))?.getattr(name),
            None => Ok(PyString::new(py, "").into_any()),
        }
    }
}

#[pymethods]
impl MessageContext {
    #[getter]
    fn message<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyAny>> {
        if self.message.get().is_none() {
            // Building calls no Python code, so nobody can have come between.
            let _ = self
                .message
                .set(codec::build(py, self.bytes().as_bytes(py))?.unbind());
        }
        self.message
            .get()
            .map(|message| message.bind(py))
            .ok_or_else(|| PyRuntimeError::new_err("a message was decoded and is not there"))
    }

    #[getter]
    fn payload<'py>(&self, py: Python<'py>) -> &Bound<'py, PyBytes> {
        self.bytes().bind(py)
    }

    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyMappingProxy>> {
        match &self.changes.headers {
            Some(headers) => headers.read(py),
            None => read_headers(py, self.fields.headers.as_ref()),
        }
    }

    #[getter]
    fn key<'py>(&self, py: Python<'py>) -> Option<&Bound<'py, PyString>> {
        self.fields.key.as_ref().map(|key| key.bind(py))
    }

    #[getter]
    fn message_id(&self) -> String {
        hex(&self.fields.message_id)
    }

    #[getter]
    fn correlation_id(&self) -> String {
        hex(&self.fields.correlation_id)
    }

    #[getter]
    fn parent_id(&self) -> Option<String> {
        self.fields.parent_id.as_ref().map(hex)
    }

    #[getter]
    fn attempt(&self) -> u32 {
        self.fields.attempt
    }

    #[getter]
    fn execution_id<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.info(py, intern!(py, "execution_id"))
    }

    #[getter]
    fn route<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.info(py, intern!(py, "route"))
    }

    #[getter]
    fn stage<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.info(py, intern!(py, "stage"))
    }

    /// Return the stage object, or None past the last one.
    #[getter]
    pub fn stage_of<'py>(&self, py: Python<'py>) -> Option<&Bound<'py, PyAny>> {
        self.stage.as_ref().map(|stage| stage.bind(py))
    }

    /// Return its place in the route.
    #[getter]
    fn index(&self) -> usize {
        self.index
    }

    /// Return the time at which this attempt began, by the loop's clock.
    #[getter]
    fn begun_ns(&self) -> i64 {
        self.changes.begun_ns
    }

    /// Note that the stage's own limit has let it wait: its visit begins when it has a permit.
    #[pyo3(signature = (waited_ns, /))]
    fn wait_for_permit(&self, py: Python<'_>, waited_ns: i64) {
        // SAFETY: plain data is changed.
        unsafe {
            self.visit.with(py, |visit| {
                visit.since_ns = visit.since_ns.saturating_add(waited_ns);
                visit.waited.add(waited_ns, STAGE_PERMIT);
            });
        }
    }

    /// Return the time at which its visit to the stage began, by the loop's clock; 0 if nobody records it.
    #[getter]
    fn visit_ns(&self, py: Python<'_>) -> i64 {
        self.visit(py).since_ns
    }

    /// Return the frame of the message, without changes.
    #[getter]
    fn frame(&self, py: Python<'_>) -> Frame {
        Frame(self.fields.clone_ref(py))
    }

    /// Return the state with other headers.
    #[pyo3(signature = (headers, /))]
    fn with_headers(&self, headers: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = headers.py();
        let mut changes = self.changes.clone_ref(py);
        changes.headers = Some(Headers::of(headers)?);
        let stage = self.stage.as_ref().map(|stage| stage.clone_ref(py));
        Ok(Self::new(
            self.fields.clone_ref(py),
            changes,
            self.index,
            stage,
            self.visit(py),
        ))
    }

    /// Return the headers with these merged over them; a value of None removes one.
    #[pyo3(signature = (changes, /))]
    pub fn merged<'py>(&self, changes: &Bound<'py, PyMapping>) -> PyResult<Bound<'py, PyDict>> {
        let py = changes.py();
        let merged = self.headers(py)?.call_method0(intern!(py, "copy"))?;
        let merged = merged.cast_into::<PyDict>()?;
        for item in changes.items()? {
            let (name, value): (Bound<'py, PyAny>, Bound<'py, PyAny>) = item.extract()?;
            if !value.is_none() {
                merged.set_item(name, value)?;
            } else if merged.contains(&name)? {
                merged.del_item(name)?;
            }
        }
        Ok(merged)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "<message {} at {}/{}>",
            self.message_id(),
            self.route(py)?,
            self.stage(py)?
        ))
    }

    /// A decoded message is the adapter's to change, so it may hold this context, and so may the adapter, which
    /// the stage holds: the collector must see both. What it then breaks are the message's own containers, or the
    /// stage; there is nothing to clear here.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.stage)?;
        match self.message.get() {
            Some(message) => visit.call(message),
            None => Ok(()),
        }
    }
}
