//! The suite that compares concurrency limits: scenarios, and their runs on threads.
//!
//! `scenario` makes what is simulated, `contender` the algorithms, built-in or Python's, `cells` turns results into Python's.

mod cells;
mod contender;
mod scenario;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use factflow_core::limits::simulation::{Cell, Controlled, Measured, Series, cell, run_unless};
use pyo3::prelude::*;

use self::contender::{Contender, Foreign};
pub use self::scenario::LimitScenario;
use self::scenario::Task;
use crate::errors;

/// Longest time between two looks for signals.
const LOOK: Duration = Duration::from_millis(20);

/// A run of one contender in one scenario, or of the oracle.
struct Done {
    scenario: usize,
    /// None for the oracle.
    contender: Option<usize>,
    cell: Cell,
    series: Option<Series>,
}

/// Scenarios and contenders to run.
struct Suite {
    tasks: Vec<Task>,
    contenders: Vec<Contender>,
    bins: Option<usize>,
}

impl Suite {
    fn oracle(
        &self,
        place: usize,
        stops: &mut dyn FnMut() -> bool,
    ) -> Option<(Measured, Option<Series>)> {
        let task = &self.tasks[place];
        run_unless(
            stops,
            &task.scenario,
            task.seed,
            Controlled::Oracle,
            self.bins,
        )
    }

    fn done(
        &self,
        scenario: usize,
        contender: Option<usize>,
        (measured, series): (&Measured, Option<Series>),
        oracle: &Measured,
    ) -> Done {
        Done {
            scenario,
            contender,
            cell: cell(&self.tasks[scenario].scenario, measured, oracle),
            series,
        }
    }

    /// Run the oracle and the built-in algorithms in one scenario; None if it was stopped.
    fn natives(
        &self,
        place: usize,
        stops: &mut dyn FnMut() -> bool,
        done: &Sender<Done>,
    ) -> Option<()> {
        let task = &self.tasks[place];
        let (oracle, series) = self.oracle(place, stops)?;
        done.send(self.done(place, None, (&oracle, series), &oracle))
            .ok()?;
        for (number, contender) in self.contenders.iter().enumerate() {
            let Contender::Native(native) = contender else {
                continue;
            };
            let mut make = native.maker(&task.scenario);
            let by = Controlled::By(&mut make);
            let (measured, series) = run_unless(stops, &task.scenario, task.seed, by, self.bins)?;
            done.send(self.done(place, Some(number), (&measured, series), &oracle))
                .ok()?;
        }
        Some(())
    }

    /// Run the program's own algorithms in one scenario, on a thread that is attached to the interpreter.
    fn foreign(
        &self,
        py: Python<'_>,
        place: usize,
        told: &mut dyn FnMut(Python<'_>, &Done) -> PyResult<()>,
    ) -> PyResult<()> {
        let task = &self.tasks[place];
        let mut oracle = None;
        for (number, contender) in self.contenders.iter().enumerate() {
            let Contender::Foreign(factory) = contender else {
                continue;
            };
            let failure = contender::Failure::default();
            let mut stops = || failure.has_one() || failure.note(py.check_signals());
            if oracle.is_none() {
                oracle = self.oracle(place, &mut stops);
            }
            let mut make = || Foreign::boxed(py, factory, &failure);
            let by = Controlled::By(&mut make);
            let ended = run_unless(&mut stops, &task.scenario, task.seed, by, self.bins);
            if let Some(error) = failure.take() {
                return Err(error);
            }
            if let (Some((measured, series)), Some((oracle, _))) = (ended, &oracle) {
                told(
                    py,
                    &self.done(place, Some(number), (&measured, series), oracle),
                )?;
            }
        }
        Ok(())
    }

    /// Run the built-in algorithms in all scenarios on threads; the calling thread tells, and looks for signals.
    fn on_threads(
        &self,
        threads: usize,
        told: &mut (dyn FnMut(Python<'_>, &Done) -> PyResult<()> + Send),
    ) -> PyResult<()> {
        let (next, is_stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (sender, receiver) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..threads.clamp(1, self.tasks.len().max(1)) {
                let sender = sender.clone();
                let (next, is_stopped) = (&next, &is_stopped);
                scope.spawn(move || {
                    let mut stops = || is_stopped.load(Ordering::Relaxed);
                    loop {
                        let place = next.fetch_add(1, Ordering::Relaxed);
                        if place >= self.tasks.len()
                            || self.natives(place, &mut stops, &sender).is_none()
                        {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            loop {
                let one = receiver.recv_timeout(LOOK);
                if matches!(one, Err(RecvTimeoutError::Disconnected)) {
                    return Ok(());
                }
                let step = Python::attach(|py| {
                    py.check_signals()?;
                    one.map_or(Ok(()), |done| told(py, &done))
                });
                if step.is_err() {
                    is_stopped.store(true, Ordering::Relaxed);
                    return step;
                }
            }
        })
    }
}

/// Run contenders in scenarios and tell each result, in the order in which they end.
#[pyfunction]
#[pyo3(signature = (scenarios, contenders, *, threads, bins, done))]
pub fn compare_limits(
    py: Python<'_>,
    scenarios: Vec<PyRef<'_, LimitScenario>>,
    contenders: Vec<Bound<'_, PyAny>>,
    threads: usize,
    bins: Option<usize>,
    done: Bound<'_, PyAny>,
) -> PyResult<()> {
    let suite = Suite {
        tasks: scenarios
            .iter()
            .map(|scenario| scenario.task.clone())
            .collect(),
        contenders: contenders
            .into_iter()
            .map(Contender::from_python)
            .collect::<PyResult<_>>()?,
        bins,
    };
    drop(scenarios);
    for task in &suite.tasks {
        for contender in &suite.contenders {
            if let Contender::Native(native) = contender {
                native.check(&task.scenario)?;
            }
        }
    }
    let done = done.unbind();
    let mut told = |py: Python<'_>, result: &Done| -> PyResult<()> {
        let document = cells::document(py, &result.cell, result.series.as_ref())?;
        done.call1(py, (result.scenario, result.contender, document))?;
        Ok(())
    };
    errors::guarded(py, || {
        py.detach(|| suite.on_threads(threads, &mut told))?;
        for place in 0..suite.tasks.len() {
            suite.foreign(py, place, &mut told)?;
        }
        Ok(())
    })
}

/// Add the functions and the names of the suite to the module.
pub fn add_suite(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<LimitScenario>()?;
    module.add_function(wrap_pyfunction!(compare_limits, module)?)?;
    scenario::add_names(module)
}
