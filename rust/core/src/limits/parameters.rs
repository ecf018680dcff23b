//! Parameters of an algorithm by name, taken one by one, checked, and all of them used.

use std::collections::BTreeMap;
use std::fmt;

use super::Jitter;

/// A parameter's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number.
    Number(f64),
    /// Parameters of a part, such as a window.
    Table(BTreeMap<String, Value>),
}

/// A parameter that cannot be used; its text says what was expected, and what was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterError {
    message: String,
}

impl ParameterError {
    pub(super) fn new(message: String) -> Self {
        Self { message }
    }
}

impl fmt::Display for ParameterError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for ParameterError {}

/// Parameters of one algorithm. Each is taken once; those that are left are unknown to it.
pub struct Parameters {
    of: String,
    given: BTreeMap<String, Value>,
    known: Vec<&'static str>,
    jitter: Option<Jitter>,
    seed: u64,
    /// True to leave aside what is unknown.
    is_offer: bool,
}

impl Parameters {
    /// Prepare; `of` names the algorithm in errors, and `seed` stands in for `jitter` if that is not given.
    #[must_use]
    pub fn new(
        of: &str,
        given: BTreeMap<String, Value>,
        jitter: Option<Jitter>,
        seed: u64,
    ) -> Self {
        Self {
            of: of.to_owned(),
            given,
            known: Vec::new(),
            jitter,
            seed,
            is_offer: false,
        }
    }

    /// Prepare parameters of which an algorithm takes those that it has.
    pub(super) fn offered(of: &str, given: BTreeMap<String, Value>, seed: u64) -> Self {
        Self {
            is_offer: true,
            ..Self::new(of, given, None, seed)
        }
    }

    /// Take a number within closed bounds.
    pub(super) fn number(
        &mut self,
        name: &'static str,
        default: f64,
        (low, high): (f64, f64),
    ) -> Result<f64, ParameterError> {
        self.known.push(name);
        match self.given.remove(name) {
            None => Ok(default),
            Some(Value::Number(number)) if number >= low && number <= high => Ok(number),
            Some(Value::Number(number)) => Err(self.error(
                name,
                &format!("a number from {low} to {high}"),
                &number.to_string(),
            )),
            Some(Value::Table(_)) => Err(self.error(name, "a number", "a mapping")),
        }
    }

    /// Take a whole number within closed bounds.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be whole, and within bounds that are exact in both"
    )]
    pub(super) fn whole(
        &mut self,
        name: &'static str,
        default: u64,
        (low, high): (u64, u64),
    ) -> Result<u64, ParameterError> {
        let number = self.number(
            name,
            super::float(default),
            (super::float(low), super::float(high)),
        )?;
        if number.fract() == 0.0 {
            Ok(number as u64)
        } else {
            Err(self.error(name, "a whole number", &number.to_string()))
        }
    }

    /// Take a whole number within closed bounds; None if it is not given.
    pub(super) fn given_whole(
        &mut self,
        name: &'static str,
        (low, high): (u64, u64),
    ) -> Result<Option<u64>, ParameterError> {
        let is_given = self.given.contains_key(name);
        let number = self.whole(name, low, (low, high))?;
        Ok(is_given.then_some(number))
    }

    /// Take a limit: a whole number of calls, 1 at least.
    pub(super) fn limit(
        &mut self,
        name: &'static str,
        default: u32,
    ) -> Result<u32, ParameterError> {
        let number = self.whole(name, u64::from(default), (1, u64::from(MOST_CALLS)))?;
        Ok(u32::try_from(number).unwrap_or(MOST_CALLS))
    }

    /// Take the first limit and its bounds, each by its name; `min` is None if there is no such parameter. A default that a
    /// given bound excludes is moved to that bound. No limit is 0: a `min` of 0, which the originals take, is one of 1.
    pub(super) fn bounds(
        &mut self,
        initial: u32,
        min: Option<u32>,
        max: u32,
    ) -> Result<LimitRange, ParameterError> {
        let given = self.given_limit("initial", 1)?;
        let low = match min {
            None => None,
            Some(_) => self.given_limit("min", 0)?.map(|low| low.max(1)),
        };
        let high = self.given_limit("max", 1)?;
        let max = high.unwrap_or_else(|| max.max(low.unwrap_or(1)));
        let min = low.unwrap_or_else(|| min.unwrap_or(1).min(max));
        Ok(LimitRange {
            initial: given.unwrap_or_else(|| initial.max(min).min(max)),
            min,
            max,
        })
    }

    /// Take the same, and refuse bounds that contradict each other, which the originals take.
    pub(super) fn ordered_bounds(
        &mut self,
        initial: u32,
        min: u32,
        max: u32,
    ) -> Result<LimitRange, ParameterError> {
        let range = self.bounds(initial, Some(min), max)?;
        if range.min > range.max {
            let expected = format!("at most max, which is {}", range.max);
            return Err(self.error("min", &expected, &range.min.to_string()));
        }
        Ok(range)
    }

    fn given_limit(&mut self, name: &'static str, low: u64) -> Result<Option<u32>, ParameterError> {
        let limit = self.given_whole(name, (low, u64::from(MOST_CALLS)))?;
        Ok(limit.map(|limit| u32::try_from(limit).unwrap_or(MOST_CALLS)))
    }

    /// Take the parameters of a part; None if it is not wanted.
    pub(super) fn part(&mut self, name: &'static str) -> Result<Option<Self>, ParameterError> {
        self.known.push(name);
        match self.given.remove(name) {
            None => Ok(None),
            Some(Value::Table(given)) => Ok(Some(Self::new(
                &format!("{}, {name}", self.of),
                given,
                None,
                self.seed,
            ))),
            Some(Value::Number(number)) => Err(self.error(name, "a mapping", &number.to_string())),
        }
    }

    /// Take the injected randomness; by default the seed's, from `from` up to 1.
    pub(super) fn jitter(&mut self, from: f64) -> Result<Jitter, ParameterError> {
        self.known.push("probe_jitter");
        let jitter = self.jitter.take();
        if let Some(Jitter::Cycle(numbers, _)) = &jitter {
            let outside = numbers
                .iter()
                .find(|number| !(**number >= 0.0 && **number <= 1.0));
            if numbers.is_empty() || outside.is_some() {
                let got = outside.map_or_else(|| "an empty list".to_owned(), f64::to_string);
                return Err(self.error("probe_jitter", "numbers from 0 to 1, one at least", &got));
            }
        }
        Ok(jitter.unwrap_or(Jitter::Seeded {
            from,
            seed: self.seed,
            drawn: 0,
        }))
    }

    /// True if a parameter was given, and not taken so far.
    pub(super) fn has(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// Return the names that were asked for.
    pub(super) fn known(&self) -> &[&'static str] {
        &self.known
    }

    /// Return the seed of the algorithm's randomness.
    pub(super) const fn seed(&self) -> u64 {
        self.seed
    }

    /// Refuse what was not taken, unless it was only offered.
    pub(super) fn end(self) -> Result<(), ParameterError> {
        if self.is_offer {
            return Ok(());
        }
        let unknown = self.given.keys().next().map(String::as_str);
        match unknown.or(self.jitter.as_ref().map(|_| "probe_jitter")) {
            None => Ok(()),
            Some(name) => Err(ParameterError::new(format!(
                "{}: unknown parameter {name:?}; it has {}",
                self.of,
                if self.known.is_empty() {
                    "none".to_owned()
                } else {
                    self.known.join(", ")
                }
            ))),
        }
    }

    fn error(&self, name: &str, expected: &str, got: &str) -> ParameterError {
        ParameterError::new(format!(
            "{}, {name}: expected {expected}, got {got}",
            self.of
        ))
    }
}

/// First limit of an algorithm, and the least and the greatest one that it chooses.
pub(super) struct LimitRange {
    pub initial: u32,
    pub min: u32,
    pub max: u32,
}

impl LimitRange {
    /// Return the nearest limit within the bounds; `max` wins if they contradict each other.
    pub(super) fn clamp(&self, limit: u32) -> u32 {
        limit.max(self.min).min(self.max)
    }
}

/// Highest limit that can be configured.
const MOST_CALLS: u32 = 1_000_000;
/// Longest duration that can be configured.
pub(super) const MOST_NS: u64 = i64::MAX.unsigned_abs();
