//! `Frame`: a message's header beside a reference to its payload.
//!
//! The payload is the `bytes` object that was given or decoded, shared by every frame made from this one, so that
//! forwarding and retrying copy no payload. Headers stay encoded, shared likewise, and are decoded for each reader
//! anew, so that no reader sees another's change of a nested list.

use core::fmt::Write;

use factflow_core::frames::{
    self, DEFAULT_MAX_BYTES, Header, MAX_HEADERS_BYTES, MAX_KEY_BYTES, MAX_PAYLOAD_BYTES,
};
use factflow_core::ids;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyMappingProxy, PyString};

use crate::{codec, errors};

pub type Id = [u8; 16];

/// The parts of a frame. Queues hold these, and make a Python object only on request.
pub struct Fields {
    pub message_id: Id,
    pub correlation_id: Id,
    pub parent_id: Option<Id>,
    pub attempt: u32,
    pub time_ns: i64,
    pub key: Option<Py<PyString>>,
    /// A valid map, not empty.
    pub headers: Option<Py<PyBytes>>,
    pub payload: Py<PyBytes>,
}

impl Fields {
    /// Return another reference to the same message and payload.
    pub fn clone_ref(&self, py: Python<'_>) -> Self {
        Self {
            message_id: self.message_id,
            correlation_id: self.correlation_id,
            parent_id: self.parent_id,
            attempt: self.attempt,
            time_ns: self.time_ns,
            key: self.key.as_ref().map(|key| key.clone_ref(py)),
            headers: self.headers.as_ref().map(|headers| headers.clone_ref(py)),
            payload: self.payload.clone_ref(py),
        }
    }

    /// Return a child message; `payload` and `headers` of None are this message's own.
    pub fn child(
        &self,
        py: Python<'_>,
        label: u64,
        ordinal: u64,
        payload: Option<&Py<PyBytes>>,
        headers: Option<&Headers>,
    ) -> Self {
        let said = self.unlike(py, payload);
        let message_id = ids::derive(&self.message_id, label, ordinal, said);
        self.named(py, message_id, payload, headers)
    }

    /// Return the bytes of a child's payload that its id derives from: None for this message's own.
    pub fn unlike<'a>(&self, py: Python<'a>, payload: Option<&'a Py<PyBytes>>) -> Option<&'a [u8]> {
        payload
            .filter(|payload| !payload.is(&self.payload))
            .map(|payload| payload.as_bytes(py))
            .filter(|bytes| *bytes != self.payload.as_bytes(py))
    }

    /// Return a child message of this id; see `child`.
    pub fn named(
        &self,
        py: Python<'_>,
        message_id: Id,
        payload: Option<&Py<PyBytes>>,
        headers: Option<&Headers>,
    ) -> Self {
        Self {
            message_id,
            correlation_id: self.correlation_id,
            parent_id: Some(self.message_id),
            attempt: 1,
            time_ns: self.time_ns,
            key: self.key.as_ref().map(|key| key.clone_ref(py)),
            headers: match headers {
                Some(Headers(headers)) => headers,
                None => &self.headers,
            }
            .as_ref()
            .map(|headers| headers.clone_ref(py)),
            payload: payload.unwrap_or(&self.payload).clone_ref(py),
        }
    }
}

/// Encoded headers that replace a message's; None if there are none any more.
pub struct Headers(Option<Py<PyBytes>>);

impl Headers {
    /// Encode headers; those of an adapter or a publisher are bounded.
    pub fn of(headers: &Bound<'_, PyAny>) -> PyResult<Self> {
        bounded_headers_of(headers).map(Self)
    }

    pub fn clone_ref(&self, py: Python<'_>) -> Self {
        Self(self.0.as_ref().map(|headers| headers.clone_ref(py)))
    }

    pub fn read<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyMappingProxy>> {
        read_headers(py, self.0.as_ref())
    }
}

/// One message as it moves between queues; immutable.
#[pyclass(frozen, module = "factflow_engine._native")]
pub struct Frame(pub Fields);

#[pymethods]
impl Frame {
    #[staticmethod]
    #[pyo3(signature = (payload, *, message_id, correlation_id=None, parent_id=None, attempt=1, time_ns=0, key=None, headers=None))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keywords of the Python signature"
    )]
    fn create(
        payload: Bound<'_, PyBytes>,
        message_id: &Bound<'_, PyBytes>,
        correlation_id: Option<&Bound<'_, PyBytes>>,
        parent_id: Option<&Bound<'_, PyBytes>>,
        attempt: i64,
        time_ns: i64,
        key: Option<Bound<'_, PyString>>,
        headers: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let message_id = id_of(message_id, "message_id")?;
        fits(
            payload.py(),
            "payload",
            payload.as_bytes().len(),
            MAX_PAYLOAD_BYTES,
        )?;
        Ok(Self(Fields {
            message_id,
            correlation_id: correlation_id
                .map_or(Ok(message_id), |id| id_of(id, "correlation_id"))?,
            parent_id: parent_id.map(|id| id_of(id, "parent_id")).transpose()?,
            attempt: attempt_of(payload.py(), attempt)?,
            time_ns,
            key: key.map(key_of).transpose()?,
            headers: headers.map_or(Ok(None), bounded_headers_of)?,
            payload: plain(payload),
        }))
    }

    #[staticmethod]
    #[pyo3(signature = (data, *, max_bytes=DEFAULT_MAX_BYTES), text_signature = "(data, *, max_bytes=67108864)")]
    fn decode(data: &Bound<'_, PyBytes>, max_bytes: u64) -> PyResult<Self> {
        errors::guarded(data.py(), || {
            let py = data.py();
            let frame = frames::decode(data.as_bytes(), max_bytes, &codec::LIMITS)
                .map_err(|error| errors::not_a_frame(py, &error))?;
            Ok(Self::of(py, &frame))
        })
    }

    pub fn encode<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        errors::guarded(py, || {
            let header = Header {
                message_id: self.0.message_id,
                correlation_id: self.0.correlation_id,
                parent_id: self.0.parent_id,
                attempt: self.0.attempt,
                time_ns: self.0.time_ns,
                key: self.0.key.as_ref().map(|key| key.to_str(py)).transpose()?,
                headers: self.0.headers.as_ref().map(|headers| headers.as_bytes(py)),
            };
            codec::with_buffer(|out| {
                frames::encode(out, &header, self.0.payload.as_bytes(py))
                    .map_err(|error| errors::refused(py, error.to_string()))?;
                Ok(PyBytes::new(py, out))
            })
        })
    }

    #[pyo3(signature = (label, ordinal, *, payload=None, headers=None, time_ns=None))]
    fn child(
        &self,
        py: Python<'_>,
        label: u64,
        ordinal: u64,
        payload: Option<Bound<'_, PyBytes>>,
        headers: Option<&Bound<'_, PyAny>>,
        time_ns: Option<i64>,
    ) -> PyResult<Self> {
        // Headers of the engine's own, as in `restamp`: a dead letter may have more than its message was allowed.
        let headers = headers.map(headers_of).transpose()?.map(Headers);
        let mut child = self.0.child(
            py,
            label,
            ordinal,
            payload.map(plain).as_ref(),
            headers.as_ref(),
        );
        child.time_ns = time_ns.unwrap_or(child.time_ns);
        Ok(Self(child))
    }

    #[pyo3(signature = (*, attempt=None, headers=None, time_ns=None))]
    fn restamp(
        &self,
        py: Python<'_>,
        attempt: Option<i64>,
        headers: Option<&Bound<'_, PyAny>>,
        time_ns: Option<i64>,
    ) -> PyResult<Self> {
        let mut fields = self.0.clone_ref(py);
        if let Some(attempt) = attempt {
            fields.attempt = attempt_of(py, attempt)?;
        }
        if let Some(headers) = headers {
            fields.headers = headers_of(headers)?;
        }
        fields.time_ns = time_ns.unwrap_or(fields.time_ns);
        Ok(Self(fields))
    }

    fn value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        errors::guarded(py, || codec::build(py, self.0.payload.as_bytes(py)))
    }

    #[getter]
    fn message_id<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.message_id)
    }

    #[getter]
    fn correlation_id<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.correlation_id)
    }

    #[getter]
    fn parent_id<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0.parent_id.map(|id| PyBytes::new(py, &id))
    }

    #[getter]
    fn key<'py>(&self, py: Python<'py>) -> Option<&Bound<'py, PyString>> {
        self.0.key.as_ref().map(|key| key.bind(py))
    }

    #[getter]
    fn payload<'py>(&self, py: Python<'py>) -> &Bound<'py, PyBytes> {
        self.0.payload.bind(py)
    }

    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyMappingProxy>> {
        read_headers(py, self.0.headers.as_ref())
    }

    #[getter]
    fn attempt(&self) -> u32 {
        self.0.attempt
    }

    #[getter]
    fn time_ns(&self) -> i64 {
        self.0.time_ns
    }

    fn __eq__(&self, py: Python<'_>, other: &Self) -> PyResult<bool> {
        let bytes =
            |field: &Option<Py<PyBytes>>| field.as_ref().map(|bytes| bytes.as_bytes(py).to_vec());
        let text = |field: &Option<Py<PyString>>| {
            field
                .as_ref()
                .map(|text| text.to_str(py).map(str::to_owned))
                .transpose()
        };
        Ok(self.0.message_id == other.0.message_id
            && self.0.correlation_id == other.0.correlation_id
            && self.0.parent_id == other.0.parent_id
            && self.0.attempt == other.0.attempt
            && self.0.time_ns == other.0.time_ns
            && self.0.payload.as_bytes(py) == other.0.payload.as_bytes(py)
            && bytes(&self.0.headers) == bytes(&other.0.headers)
            && text(&self.0.key)? == text(&other.0.key)?)
    }

    fn __hash__(&self) -> u64 {
        // Equal frames have equal ids, and the later half of an id is random or a hash.
        let [left, right] = [0, 8].map(|from| {
            self.0.message_id[from..]
                .first_chunk()
                .map_or(0, |half| u64::from_le_bytes(*half))
        });
        left ^ right ^ u64::from(self.0.attempt)
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let mut text = format!("<Frame {}", hex(&self.0.message_id));
        if self.0.correlation_id != self.0.message_id {
            text.push_str(" of ");
            text.push_str(&hex(&self.0.correlation_id));
        }
        if let Some(parent) = &self.0.parent_id {
            text.push_str(" from ");
            text.push_str(&hex(parent));
        }
        let headers = self
            .0
            .headers
            .as_ref()
            .map_or(0, |headers| headers.as_bytes(py).len());
        let payload = self.0.payload.as_bytes(py).len();
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            " attempt={} headers={headers}B payload={payload}B>",
            self.0.attempt
        );
        text
    }
}

impl Frame {
    /// Return the frame that was read, with a copy of its payload.
    pub fn of(py: Python<'_>, frame: &frames::FrameRef<'_>) -> Self {
        Self(Fields {
            message_id: frame.header.message_id,
            correlation_id: frame.header.correlation_id,
            parent_id: frame.header.parent_id,
            attempt: frame.header.attempt,
            time_ns: frame.header.time_ns,
            key: frame.header.key.map(|key| PyString::new(py, key).unbind()),
            headers: frame
                .header
                .headers
                .map(|headers| PyBytes::new(py, headers).unbind()),
            payload: PyBytes::new(py, frame.payload).unbind(),
        })
    }
}

/// Return encoded headers as a mapping that nobody can change.
pub fn read_headers<'py>(
    py: Python<'py>,
    headers: Option<&Py<PyBytes>>,
) -> PyResult<Bound<'py, PyMappingProxy>> {
    static EMPTY: PyOnceLock<Py<PyMappingProxy>> = PyOnceLock::new();
    match headers {
        Some(headers) => {
            let map = codec::build(py, headers.as_bytes(py))?.cast_into::<PyDict>()?;
            Ok(PyMappingProxy::new(py, map.as_mapping()))
        }
        None => Ok(EMPTY
            .get_or_init(py, || {
                PyMappingProxy::new(py, PyDict::new(py).as_mapping()).unbind()
            })
            .bind(py)
            .clone()),
    }
}

/// Return 16 bytes, or an error that names what they were given as.
pub fn id_of(id: &Bound<'_, PyBytes>, name: &str) -> PyResult<Id> {
    id.as_bytes().try_into().map_err(|_| {
        errors::refused(
            id.py(),
            format!("{name}: expected 16 bytes, got {}", id.as_bytes().len()),
        )
    })
}

fn attempt_of(py: Python<'_>, attempt: i64) -> PyResult<u32> {
    match u32::try_from(attempt) {
        Ok(attempt @ 1..) => Ok(attempt),
        _ => Err(errors::refused(
            py,
            format!("attempt: expected 1 for the first try, or more, got {attempt}"),
        )),
    }
}

/// Return a key that can be encoded, so that `encode` cannot fail for it.
pub fn key_of(key: Bound<'_, PyString>) -> PyResult<Py<PyString>> {
    let Ok(text) = key.to_str() else {
        return Err(errors::refused(
            key.py(),
            "key: cannot carry a str with a lone surrogate".to_owned(),
        ));
    };
    fits(key.py(), "key", text.len(), MAX_KEY_BYTES)?;
    if key.is_exact_instance_of::<PyString>() {
        return Ok(key.unbind());
    }
    Ok(PyString::new(key.py(), text).unbind()) // copy the text: the destructor of a subclass may run any code
}

/// Return exact `bytes`: the destructor of a subclass may run any code.
fn plain(payload: Bound<'_, PyBytes>) -> Py<PyBytes> {
    if payload.is_exact_instance_of::<PyBytes>() {
        return payload.unbind();
    }
    PyBytes::new(payload.py(), payload.as_bytes()).unbind()
}

/// Refuse parts of a frame that no reader would accept.
fn fits(py: Python<'_>, what: &str, length: usize, most: usize) -> PyResult<()> {
    if length <= most {
        return Ok(());
    }
    Err(errors::refused(
        py,
        format!("{what}: expected at most {most} bytes, got {length}"),
    ))
}

/// Return the headers encoded; None if there are none, and an error if they are longer than a message's may be.
pub fn bounded_headers_of(headers: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyBytes>>> {
    let encoded = headers_of(headers)?;
    if let Some(encoded) = &encoded {
        let length = encoded.as_bytes(headers.py()).len();
        fits(headers.py(), "headers", length, MAX_HEADERS_BYTES)?;
    }
    Ok(encoded)
}

/// Return the headers encoded; None if there are none.
fn headers_of(headers: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyBytes>>> {
    let py = headers.py();
    if headers.is_empty()? {
        return Ok(None);
    }
    codec::with_buffer(|out| {
        codec::pack_mapping(out, headers).map_err(|refusal| refusal.into_error(py, "headers"))?;
        Ok(Some(PyBytes::new(py, out).unbind()))
    })
}

/// Return an id as people and logs see it.
pub fn hex(id: &Id) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(32);
    for byte in id {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}
