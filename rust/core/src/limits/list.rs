//! The list of algorithms by name: the one place to add a new one to.

use std::collections::BTreeMap;

use super::Limit;
use super::adaptive::Adaptive;
use super::aimd::Aimd;
use super::arc::Arc;
use super::bbr::Bbr;
use super::brpc::Brpc;
use super::fixed::Fixed;
use super::gradient::Gradient;
use super::gradient2::Gradient2;
use super::parameters::{ParameterError, Parameters};
use super::plateau::Plateau;
use super::vegas::Vegas;
use super::windowed::Windowed;

type Attempt = Result<Box<dyn Limit>, ParameterError>;
type Maker = fn(&mut Parameters) -> Attempt;

const ALGORITHMS: [(&str, Maker); 10] = [
    ("adaptive", |parameters| boxed(Adaptive::new(parameters))),
    ("fixed", |parameters| boxed(Fixed::new(parameters))),
    ("aimd", |parameters| boxed(Aimd::new(parameters))),
    ("vegas", |parameters| boxed(Vegas::new(parameters))),
    ("gradient", |parameters| boxed(Gradient::new(parameters))),
    ("gradient2", |parameters| boxed(Gradient2::new(parameters))),
    ("arc", |parameters| boxed(Arc::new(parameters))),
    ("plateau", |parameters| boxed(Plateau::new(parameters))),
    ("brpc", |parameters| boxed(Brpc::new(parameters))),
    ("bbr", |parameters| boxed(Bbr::new(parameters))),
];

fn boxed<L: Limit + 'static>(made: Result<L, ParameterError>) -> Attempt {
    Ok(Box::new(made?))
}

/// Names of the algorithms, in the order of their documentation.
pub const NAMES: [&str; ALGORITHMS.len()] = {
    let mut names = [""; ALGORITHMS.len()];
    let mut place = 0;
    while place < names.len() {
        names[place] = ALGORITHMS[place].0;
        place += 1;
    }
    names
};

/// Return the names of an algorithm's parameters, without those of a window; None if there is no such algorithm.
#[must_use]
pub fn parameter_names(name: &str) -> Option<Vec<&'static str>> {
    let (_, make) = ALGORITHMS.iter().find(|(known, _)| *known == name)?;
    let mut parameters = Parameters::new(name, BTreeMap::new(), None, 0);
    make(&mut parameters).ok()?; // each default is within its bounds
    Some(parameters.known().to_vec())
}

/// Make an algorithm by its name; the parameter `window` puts windows of samples in front of it.
///
/// # Errors
///
/// [`ParameterError`] if there is none of this name, or a parameter is unknown or outside its bounds.
///
/// # Examples
///
/// ```
/// use factflow_core::limits::{new_limit, Limit, Parameters, Sample};
///
/// let mut limit = new_limit("aimd", Parameters::new("aimd", Default::default(), None, 0))?;
/// limit.sampled(&Sample { start_ns: 0, rtt_ns: 1_000_000, in_flight: 20, dropped: true });
/// assert_eq!(limit.limit(), 20); // 18, but never below its minimum
/// # Ok::<(), factflow_core::limits::ParameterError>(())
/// ```
pub fn new_limit(name: &str, mut parameters: Parameters) -> Attempt {
    let Some((_, make)) = ALGORITHMS.iter().find(|(known, _)| *known == name) else {
        let message = format!(
            "no limit algorithm {name:?}; there are {}",
            NAMES.join(", ")
        );
        return Err(ParameterError::new(message));
    };
    let mut algorithm = make(&mut parameters)?;
    if algorithm.has_windows() {
        if parameters.has("window") {
            let message = format!("{name}, window: it has windows of its own; leave it out");
            return Err(ParameterError::new(message));
        }
    } else if let Some(mut window) = parameters.part("window")? {
        algorithm = Box::new(Windowed::new(algorithm, &mut window)?);
        window.end()?;
    }
    parameters.end()?;
    Ok(algorithm)
}
