//! Compilation of a condition as its author wrote it: shape, names, values, and bounds on all of them.
//!
//! Everything that is wrong is reported together, so that an author corrects a file once. A part that cannot be read
//! does not stop its neighbours from being read.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rustc_hash::FxBuildHasher;

use super::finding::{Code, Finding, Findings};
use super::node::{AnyElement, Body, Leaf, Node};
use super::operator::{BUILT_IN, Question, built_in, meant};
use super::path::{self, Segment};
use super::pattern::PatternMemory;
use super::place::Place;
use super::predicate::Predicate;
use super::scope::Scope;
use super::shape::{ELEMENT_KEYS, LEAF_KEYS, Shape, check_keys, get, refuse_other_keys, shape};
use super::source::{PathStep, Source, quote};

/// Greatest depth of a condition.
pub const MAX_DEPTH: usize = 64;
/// Greatest number of parts of a condition: leaves, combinators and `any_element`s.
pub const MAX_NODES: usize = 10_000;
/// Memory that all patterns compiled together may take, in bytes: those of a configuration, of a table, of a
/// condition that is compiled by itself.
pub const MAX_PATTERNS_BYTES: usize = 64 << 20;

/// Operators of the embedding program, bound while a condition is compiled.
pub trait Operators {
    /// Return their names.
    fn names(&self) -> Vec<String>;

    /// True if the operator of this name needs a value; None if it is not among them.
    fn needs_value(&self, name: &str) -> Option<bool>;

    /// Return a number for the operator with the value that stands at `path` of the condition (absent if nothing does),
    /// or why it refuses that value.
    fn bind(&mut self, name: &str, path: &[PathStep]) -> Result<usize, String>;
}

/// No operators but the built-in ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoOperators;

impl Operators for NoOperators {
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn needs_value(&self, _name: &str) -> Option<bool> {
        None
    }

    fn bind(&mut self, name: &str, _path: &[PathStep]) -> Result<usize, String> {
        Err(format!("there is no operator {name}"))
    }
}

/// Compiler of conditions that share a root, so that one walk finds the places of all of them.
///
/// ```
/// use factflow_core::conditions::{Code, Compiler, MAX_PATTERNS_BYTES, NoOperators, PathStep, Source};
///
/// let text = |text: &str| Source::Str(text.into());
/// let source = Source::Map(vec![
///     (text("field"), text("lang")),
///     (text("operator"), text("equals")),
///     (text("value"), text("en")),
/// ]);
/// let mut operators = NoOperators;
/// let mut compiler = Compiler::new(&mut operators, MAX_PATTERNS_BYTES);
/// let findings = compiler.compile_at(3, &source).unwrap_err();
/// assert_eq!(findings[0].code, Code::UnknownOperator);
/// assert_eq!(findings[0].path, [PathStep::Index(3), PathStep::Key("operator".into())]);
/// assert!(findings[0].remedy.contains("eq"));
/// ```
pub struct Compiler<'a> {
    operators: &'a mut dyn Operators,
    /// Memory that further patterns may take.
    patterns: PatternMemory,
    /// Parts that the condition at hand may still have.
    nodes: usize,
    scope: Scope,
    /// Paths from the messages' root, in the order in which they were met.
    fields: Vec<Box<str>>,
    known_fields: HashSet<Box<str>, FxBuildHasher>,
    /// Paths from the messages' root that were read, as their author wrote them: many conditions ask about few fields.
    known_paths: HashMap<Arc<str>, Place, FxBuildHasher>,
}

/// Compile one condition by itself; its patterns take their memory from `pattern_bytes`.
///
/// ```
/// use factflow_core::conditions::{BuiltInOnly, Integer, MAX_PATTERNS_BYTES, NoOperators, Source, compile};
/// use factflow_core::value::{write_int, write_map_len, write_str};
///
/// let text = |text: &str| Source::Str(text.into());
/// let source = Source::Map(vec![
///     (text("field"), text("tokens")),
///     (text("operator"), text("gt")),
///     (text("value"), Source::Int(Integer::Small(100))),
/// ]);
/// let (condition, fields) = compile(&source, &mut NoOperators, &mut { MAX_PATTERNS_BYTES }).unwrap();
/// assert_eq!(&*fields[0], "tokens");
///
/// let mut message = Vec::new();
/// write_map_len(&mut message, 1);
/// write_str(&mut message, "tokens");
/// write_int(&mut message, 120);
/// assert_eq!(condition.holds(&message, 0, &BuiltInOnly), Ok(true));
/// ```
pub fn compile(
    source: &Source,
    operators: &mut dyn Operators,
    pattern_bytes: &mut usize,
) -> Result<(Body, Vec<Box<str>>), Vec<Finding>> {
    let mut compiler = Compiler::new(operators, *pattern_bytes);
    let node = compiler.compile(source);
    *pattern_bytes = compiler.pattern_bytes();
    let node = node?;
    let (scope, fields) = compiler.finish();
    Ok((Body { scope, node }, fields))
}

impl<'a> Compiler<'a> {
    /// Return a compiler whose patterns may take so much memory together.
    #[must_use]
    pub fn new(operators: &'a mut dyn Operators, pattern_bytes: usize) -> Self {
        Self {
            operators,
            patterns: PatternMemory::new(pattern_bytes),
            nodes: 0,
            scope: Scope::new(),
            fields: Vec::new(),
            known_fields: HashSet::default(),
            known_paths: HashMap::default(),
        }
    }

    /// Compile one more condition, or return every problem of it. The list is empty if the memory of patterns is used
    /// up and an earlier condition has reported that.
    pub fn compile(&mut self, source: &Source) -> Result<Node, Vec<Finding>> {
        self.compile_under(source, Vec::new())
    }

    /// Compile the condition at this index of a list; its findings' paths begin there.
    pub fn compile_at(&mut self, index: usize, source: &Source) -> Result<Node, Vec<Finding>> {
        self.compile_under(source, vec![PathStep::Index(index)])
    }

    fn compile_under(
        &mut self,
        source: &Source,
        path: Vec<PathStep>,
    ) -> Result<Node, Vec<Finding>> {
        let mut findings = Findings::under_path(path);
        self.nodes = MAX_NODES;
        let mut scope = core::mem::take(&mut self.scope);
        let node = self.node(source, 1, &mut scope, true, &mut findings);
        self.scope = scope;
        match node {
            Some(node) if findings.is_empty() => Ok(node),
            _ => Err(findings.into_vec()),
        }
    }

    /// Return the memory that further patterns may take.
    #[must_use]
    pub const fn pattern_bytes(&self) -> usize {
        self.patterns.left
    }

    /// Return the scope of all conditions, and the top-level fields that they read.
    #[must_use]
    pub fn finish(self) -> (Scope, Vec<Box<str>>) {
        (self.scope, self.fields)
    }

    fn node(
        &mut self,
        source: &Source,
        depth: usize,
        scope: &mut Scope,
        at_root: bool,
        findings: &mut Findings,
    ) -> Option<Node> {
        if depth > MAX_DEPTH || matches!(source, Source::Excess) {
            findings.report(
                Code::TooLarge,
                format!("conditions are nested deeper than {MAX_DEPTH} levels"),
                "flatten it: all_of within all_of is one all_of",
            );
            return None;
        }
        if self.nodes == 0 {
            return None; // reported when the last one was taken
        }
        self.nodes -= 1;
        if self.nodes == 0 {
            findings.report(
                Code::TooLarge,
                format!("the condition has {MAX_NODES} parts or more"),
                "write in with a list instead of many eq, or split it over routes",
            );
            return None;
        }
        let Source::Map(entries) = source else {
            findings.report(
                Code::NotACondition,
                format!("a condition is a mapping, not {}", source.describe()),
                "write {field, operator, value}, or one of all_of, any_of, not and any_element",
            );
            return None;
        };
        refuse_other_keys(entries, findings);
        match shape(entries, findings)? {
            Shape::Leaf => self.leaf(entries, scope, at_root, findings),
            Shape::Combinator(name, value) => findings.under(name, |findings| match name {
                "not" => {
                    let node = self.node(value, depth + 1, scope, at_root, findings)?;
                    Some(Node::Not(Box::new(node)))
                }
                "any_element" => self.any_element(value, depth, scope, at_root, findings),
                _ => {
                    let nodes = self.list(name, value, depth, scope, at_root, findings)?;
                    Some(if name == "all_of" {
                        Node::All(nodes)
                    } else {
                        Node::Any(nodes)
                    })
                }
            }),
        }
    }

    fn list(
        &mut self,
        name: &str,
        value: &Source,
        depth: usize,
        scope: &mut Scope,
        at_root: bool,
        findings: &mut Findings,
    ) -> Option<Box<[Node]>> {
        match value {
            Source::List(items) if items.is_empty() => {
                findings.report(
                    Code::Empty,
                    format!("{name} holds no conditions"),
                    "name at least one, or remove it: an empty list is neither true nor false",
                );
                None
            }
            Source::List(items) => {
                let mut nodes = Some(Vec::with_capacity(items.len()));
                for (index, item) in items.iter().enumerate() {
                    let node = findings.at(index, |findings| {
                        self.node(item, depth + 1, scope, at_root, findings)
                    });
                    nodes = nodes.zip(node).map(|(mut nodes, node)| {
                        nodes.push(node);
                        nodes
                    });
                    if self.nodes == 0 {
                        return None;
                    }
                }
                nodes.map(Vec::into_boxed_slice)
            }
            other => {
                findings.report(
                    Code::NotACondition,
                    format!(
                        "{name} takes a list of conditions, not {}",
                        other.describe()
                    ),
                    "write them as a list, even a single one",
                );
                None
            }
        }
    }

    fn any_element(
        &mut self,
        value: &Source,
        depth: usize,
        scope: &mut Scope,
        at_root: bool,
        findings: &mut Findings,
    ) -> Option<Node> {
        let Source::Map(entries) = value else {
            findings.report(
                Code::NotACondition,
                format!("any_element takes a mapping, not {}", value.describe()),
                "write {field: items, condition: {...}}; in the condition @ is the element",
            );
            return None;
        };
        refuse_other_keys(entries, findings);
        let sound = check_keys(
            entries,
            &ELEMENT_KEYS,
            &ELEMENT_KEYS,
            "any_element",
            findings,
        );
        let place =
            get(entries, "field").and_then(|field| self.place(field, scope, at_root, findings));
        let body = get(entries, "condition").and_then(|condition| {
            findings.under("condition", |findings| {
                let mut scope = Scope::new();
                let node = self.node(condition, depth + 1, &mut scope, false, findings)?;
                Some(Body { scope, node })
            })
        });
        let (place, body) = (place?, body?);
        sound.then(|| Node::AnyElement(Box::new(AnyElement { place, body })))
    }

    fn leaf(
        &mut self,
        entries: &[(Source, Source)],
        scope: &mut Scope,
        at_root: bool,
        findings: &mut Findings,
    ) -> Option<Node> {
        let needs_value = match get(entries, "operator") {
            Some(Source::Str(name)) => match built_in(name) {
                Some(operator) => !operator.is_flag,
                None => self.operators.needs_value(name).unwrap_or(true),
            },
            _ => true,
        };
        let required: &[&str] = if needs_value {
            &LEAF_KEYS
        } else {
            &LEAF_KEYS[..2]
        };
        let sound = check_keys(entries, &LEAF_KEYS, required, "a condition", findings);
        let place =
            get(entries, "field").and_then(|field| self.place(field, scope, at_root, findings));
        let question = get(entries, "operator").and_then(|operator| {
            self.question(operator, get(entries, "value"), needs_value, findings)
        });
        let (place, (predicate, negated)) = (place?, question?);
        sound.then(|| {
            Node::Leaf(Box::new(Leaf {
                place,
                predicate,
                negated,
            }))
        })
    }

    fn place(
        &mut self,
        field: &Source,
        scope: &mut Scope,
        at_root: bool,
        findings: &mut Findings,
    ) -> Option<Place> {
        if let (true, Source::Str(text)) = (at_root, field) {
            if let Some(place) = self.known_paths.get(text) {
                return Some(place.clone());
            }
        }
        match path::parse(field) {
            Ok(path) => {
                let place = scope.add(&path);
                if at_root {
                    self.remember_field(path.first());
                    if let Source::Str(text) = field {
                        self.known_paths.insert(Arc::clone(text), place.clone());
                    }
                }
                Some(place)
            }
            Err(error) => {
                let report = |findings: &mut Findings| {
                    findings.report(Code::InvalidPath, error.problem(), error.remedy());
                };
                findings.under("field", |findings| match error.index() {
                    Some(index) => findings.at(index, report),
                    None => report(findings),
                });
                None
            }
        }
    }

    fn remember_field(&mut self, first: Option<&Segment>) {
        let Some(Segment::Key(key) | Segment::KeyOrIndex(key, _)) = first else {
            return;
        };
        if self.known_fields.insert(key.clone()) {
            self.fields.push(key.clone());
        }
    }

    fn question(
        &mut self,
        operator: &Source,
        value: Option<&Source>,
        needs_value: bool,
        findings: &mut Findings,
    ) -> Option<Question> {
        let Source::Str(name) = operator else {
            findings.under("operator", |findings| {
                findings.report(
                    Code::UnknownOperator,
                    format!(
                        "an operator is given by its name, not by {}",
                        operator.describe()
                    ),
                    known_operators(&self.operators.names()),
                );
            });
            return None;
        };
        if let Some(operator) = built_in(name) {
            let absent = Source::Bool(true);
            let value = value.or(operator.is_flag.then_some(&absent))?;
            return findings.under("value", |findings| {
                operator.build(value, &mut self.patterns, findings)
            });
        }
        if self.operators.needs_value(name).is_some() {
            if needs_value && value.is_none() {
                return None; // reported as a missing key
            }
            return findings.under("value", |findings| {
                match self.operators.bind(name, findings.path()) {
                    Ok(number) => Some((Predicate::Custom(number), false)),
                    Err(reason) => {
                        let problem = format!("the operator {name} refuses this value: {reason}");
                        findings.report(
                            Code::Refused,
                            problem,
                            "see what the operator's author says that it takes",
                        );
                        None
                    }
                }
            });
        }
        let custom = self.operators.names();
        let remedy = match meant(name, custom.iter().map(String::as_str)) {
            Some(known) => format!("did you mean {known}?"),
            None => known_operators(&custom),
        };
        findings.under("operator", |findings| {
            findings.report(
                Code::UnknownOperator,
                format!("there is no operator {}", quote(name)),
                remedy,
            );
        });
        None
    }
}

fn known_operators(custom: &[String]) -> String {
    let names: Vec<&str> = BUILT_IN
        .iter()
        .map(|operator| operator.name)
        .chain(custom.iter().map(String::as_str))
        .collect();
    format!("the operators are {}", names.join(", "))
}
