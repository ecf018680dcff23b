//! `LimitScenario`: what is simulated, of the catalogue or described by a program.

use std::sync::Arc;

use factflow_core::limits::simulation::{
    FURTHER, Load, Phase, RecordedLevel, SCALES, SCENARIOS, Scenario, ServerModel, Service, Steps,
    best_limits, scenario, variant,
};
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

/// A scenario and the seed of its randomness.
#[derive(Clone)]
pub(super) struct Task {
    pub scenario: Arc<Scenario>,
    pub seed: u64,
}

/// A scenario with its seed.
#[pyclass(frozen, module = "factflow_engine._native")]
pub struct LimitScenario {
    pub(super) task: Task,
}

impl LimitScenario {
    fn of(scenario: Scenario, seed: u64) -> Self {
        let scenario = Arc::new(scenario);
        Self {
            task: Task { scenario, seed },
        }
    }
}

#[pymethods]
impl LimitScenario {
    /// Return one of the catalogue.
    #[staticmethod]
    #[pyo3(signature = (name, scale, /, *, seed = 1))]
    fn published(name: &str, scale: f64, seed: u64) -> PyResult<Self> {
        if !(scale > 0.0 && scale <= 1000.0) {
            let text = format!("scale: expected a number above 0 and up to 1000, got {scale}");
            return Err(PyValueError::new_err(text));
        }
        scenario(name, scale)
            .map(|scenario| Self::of(scenario, seed))
            .ok_or_else(|| {
                let known = [&SCENARIOS[..], &FURTHER].concat().join(", ");
                PyValueError::new_err(format!("no scenario {name:?}; there are {known}"))
            })
    }

    /// Return a variant of one of the catalogue.
    #[staticmethod]
    #[pyo3(signature = (name, scale, /, *, seed, number))]
    fn varied(name: &str, scale: f64, seed: u64, number: u64) -> PyResult<Self> {
        let Self { task } = Self::published(name, scale, seed)?;
        let varied = variant(&task.scenario.name, scale, seed, number);
        varied
            .map(|varied| Self::of(varied.scenario, varied.seed))
            .ok_or_else(|| PyValueError::new_err(format!("no variants of {name:?}")))
    }

    /// Return one that was checked and described: see the stub.
    #[staticmethod]
    fn described(description: &Bound<'_, PyDict>) -> PyResult<Self> {
        let server = server(&dict(description, "server")?)?;
        let oracle = match optional::<Vec<(u64, u32)>>(description, "limits")? {
            None => best_limits(&server),
            Some(limits) => limits
                .into_iter()
                .map(|(from_ns, limit)| Phase { from_ns, limit })
                .collect(),
        };
        let load = match optional::<Bound<'_, PyDict>>(description, "load")? {
            None => Load::Saturating,
            Some(given) => load(&given)?,
        };
        let name: String = item(description, "name")?;
        let scenario = Scenario {
            name: name.into(),
            scale: 1.0,
            duration_ns: item(description, "duration_ns")?,
            server,
            load,
            joins: item(description, "joins")?,
            leaves: item(description, "leaves")?,
            timeout_ns: optional(description, "timeout_ns")?,
            target_ns: item(description, "target_ns")?,
            oracle,
        };
        if scenario.oracle.is_empty() || scenario.joins.is_empty() {
            return Err(PyValueError::new_err("expected a limit and a route"));
        }
        Ok(Self::of(scenario, item(description, "seed")?))
    }

    #[getter]
    fn name(&self) -> &str {
        &self.task.scenario.name
    }

    #[getter]
    fn scale(&self) -> f64 {
        self.task.scenario.scale
    }

    #[getter]
    fn duration_ns(&self) -> u64 {
        self.task.scenario.duration_ns
    }

    #[getter]
    fn target_ns(&self) -> u64 {
        self.task.scenario.target_ns
    }

    /// Oracle's limits of a route: nanoseconds and limit.
    #[getter]
    fn limits(&self) -> Vec<(u64, u32)> {
        let phases = self.task.scenario.oracle.iter();
        phases.map(|phase| (phase.from_ns, phase.limit)).collect()
    }
}

fn item<'py, T: FromPyObjectOwned<'py>>(of: &Bound<'py, PyDict>, name: &str) -> PyResult<T> {
    optional(of, name)?.ok_or_else(|| PyKeyError::new_err(name.to_owned()))
}

fn optional<'py, T: FromPyObjectOwned<'py>>(
    of: &Bound<'py, PyDict>,
    name: &str,
) -> PyResult<Option<T>> {
    of.get_item(name)?
        .filter(|value| !value.is_none())
        .map(|value| value.extract().map_err(Into::into))
        .transpose()
}

fn dict<'py>(of: &Bound<'py, PyDict>, name: &str) -> PyResult<Bound<'py, PyDict>> {
    let found = of
        .get_item(name)?
        .ok_or_else(|| PyKeyError::new_err(name.to_owned()))?;
    Ok(found.cast_into()?)
}

fn load(given: &Bound<'_, PyDict>) -> PyResult<Load> {
    let (kind, rate): (String, f64) = (item(given, "kind")?, item(given, "rate")?);
    Ok(match kind.as_str() {
        "poisson" => Load::PoissonUntil {
            rate,
            until_ns: item(given, "until_ns")?,
        },
        "pausing" => Load::Pausing {
            rate,
            from_ns: item(given, "from_ns")?,
            until_ns: item(given, "until_ns")?,
        },
        "retrying" => Load::Retrying {
            rate,
            most: item(given, "most")?,
        },
        other => return Err(PyValueError::new_err(format!("no load {other:?}"))),
    })
}

fn server(given: &Bound<'_, PyDict>) -> PyResult<ServerModel> {
    let model: String = item(given, "model")?;
    Ok(match model.as_str() {
        "workers" => ServerModel::Workers {
            workers: Steps(item(given, "workers")?),
            service: service(&dict(given, "service")?)?,
            failing: item(given, "failing")?,
            outage: item(given, "outage")?,
        },
        "knee" => ServerModel::Knee {
            base_ns: item(given, "base_ns")?,
            knee: item(given, "knee")?,
        },
        "usl" => ServerModel::Usl {
            base_ns: item(given, "base_ns")?,
            alpha: item(given, "alpha")?,
            beta: item(given, "beta")?,
        },
        "refusing" => ServerModel::Refusing {
            latency_ns: item(given, "latency_ns")?,
            room: item(given, "room")?,
        },
        "batch" => ServerModel::Batch {
            tick_ns: item(given, "tick_ns")?,
            most: item(given, "most")?,
            service_ns: item(given, "service_ns")?,
        },
        "sharing" => ServerModel::Sharing {
            streams: item(given, "streams")?,
            alone_ns: item(given, "alone_ns")?,
            spread: item(given, "spread")?,
        },
        "breaking" => ServerModel::Breaking {
            workers: item(given, "workers")?,
            service_ns: item(given, "service_ns")?,
            breaks: item(given, "breaks")?,
            share: item(given, "share")?,
        },
        "recorded" => {
            let levels: Vec<(u64, Vec<(u64, bool)>)> = item(given, "levels")?;
            ServerModel::Recorded {
                levels: levels
                    .into_iter()
                    .map(|(in_flight, calls)| RecordedLevel { in_flight, calls })
                    .collect(),
            }
        }
        other => return Err(PyValueError::new_err(format!("no server model {other:?}"))),
    })
}

fn service(given: &Bound<'_, PyDict>) -> PyResult<Service> {
    let kind: String = item(given, "kind")?;
    Ok(match kind.as_str() {
        "steps" => Service::Steps(Steps(item(given, "steps")?)),
        "lognormal" => Service::LogNormal {
            mean_ns: item(given, "mean_ns")?,
            sigma: item(given, "sigma")?,
        },
        "sizes" => Service::Sizes(item(given, "sizes")?),
        "warming" => Service::Warming {
            warm_ns: item(given, "warm_ns")?,
            cold_ns: item(given, "cold_ns")?,
            constant_ns: item(given, "constant_ns")?,
        },
        other => return Err(PyValueError::new_err(format!("no service {other:?}"))),
    })
}

/// Add the names and the scales of the catalogue to the module.
pub(super) fn add_names(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("LIMIT_SCENARIOS", PyTuple::new(py, SCENARIOS)?)?;
    module.add("FURTHER_LIMIT_SCENARIOS", PyTuple::new(py, FURTHER)?)?;
    module.add("LIMIT_SCALES", PyTuple::new(py, SCALES)?)
}
