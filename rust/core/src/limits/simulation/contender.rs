//! `contender`: an algorithm with the settings that all have in a comparison.

use std::collections::BTreeMap;

use super::scenario::Scenario;
use crate::limits::{Limit, ParameterError, Parameters, Value, new_limit};

/// First limit of all.
const INITIAL: f64 = 10.0;
/// Greatest limit of all, unless five times the oracle's is more.
const MAX: f64 = 200.0;

/// Make an algorithm for a route of a scenario: each gets the same first limit and bounds and the scenario's target, as far
/// as it has parameters for them, and then its own.
///
/// # Errors
///
/// [`ParameterError`] if there is none of this name, or one of its own parameters is unknown or outside its bounds.
pub fn contender(
    name: &str,
    own: &BTreeMap<String, Value>,
    scenario: &Scenario,
    seed: u64,
) -> Result<Box<dyn Limit>, ParameterError> {
    new_limit(name, Parameters::new(name, own.clone(), None, seed))?; // refuses what it does not know
    let target_ns = u32::try_from(scenario.target_ns).unwrap_or(u32::MAX);
    let mut given: BTreeMap<String, Value> = [
        ("limit", INITIAL),
        ("initial", INITIAL),
        ("min", 1.0),
        ("max", (5.0 * f64::from(scenario.most())).max(MAX)),
        ("target_latency_ns", f64::from(target_ns)),
    ]
    .into_iter()
    .map(|(parameter, number)| (parameter.to_owned(), Value::Number(number)))
    .collect();
    given.extend(own.clone());
    new_limit(name, Parameters::offered(name, given, seed))
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::scenario;
    use super::*;
    use crate::limits::NAMES;

    #[test]
    fn all_begin_alike() {
        let scenario = scenario("cold_start", 1.0).expect("it is in the catalogue");
        for name in NAMES {
            let limit = contender(name, &BTreeMap::new(), &scenario, 1).expect("none is needed");
            assert_eq!(limit.limit(), 10, "{name}");
        }
    }

    #[test]
    fn own_parameters_come_before_those_of_all_and_have_to_be_known() {
        let scenario = scenario("steady", 1.0).expect("it is in the catalogue");
        let own = |name: &str, number| [(name.to_owned(), Value::Number(number))].into();
        let limit = contender("aimd", &own("initial", 30.0), &scenario, 1).expect("it has that");
        assert_eq!(limit.limit(), 30);
        assert!(contender("aimd", &own("limit", 30.0), &scenario, 1).is_err());
    }
}
