//! From conditions to a table: normal form, a census of what could be filed where, a choice for each conjunction.

use std::collections::HashMap;

use aho_corasick::BuildError;
use rustc_hash::FxBuildHasher;

use crate::conditions::predicate::Predicate;
use crate::conditions::{Node, Scope};

use super::access::{Cover, covers};
use super::cost::{Census, Ticket, numbered};
use super::error::TableError;
use super::field::FieldIndex;
use super::hit::{Candidate, Hit};
use super::levels::Levels;
use super::normal::normalise;
use super::table::{Conjunction, Statistics, Table};

/// A conjunction before it is filed.
struct Draft {
    rule: u32,
    parts: Vec<Part>,
}

/// A part of a conjunction, and what it can be filed under.
struct Part {
    node: Node,
    options: Vec<Filing>,
}

/// Entries under which a part can be filed.
struct Filing {
    tickets: Vec<Ticket>,
    /// As [`Cover::exact`].
    exact: bool,
}

/// Conjunctions, and where each of them is filed.
struct Files {
    conjunctions: Vec<Conjunction>,
    /// Lists of parts that were met, each with its number.
    tests: HashMap<Vec<u32>, u32, FxBuildHasher>,
    parts: Vec<Node>,
    /// By question: the part that asks exactly that.
    shared: Vec<Option<u32>>,
    /// By question: the conjunctions that are filed under it.
    keys: Vec<Vec<u32>>,
    /// An interval, and the conjunction that is filed under it.
    intervals: Vec<(u32, u32)>,
    /// Conjunctions that are filed under nothing.
    always: Vec<u32>,
    /// By rule: whether a conjunction of it is kept.
    is_kept: Vec<bool>,
}

/// Build the table of these conditions, which were compiled in this scope. Fails if there is more text in them than
/// an automaton can count.
pub fn build(rules: Vec<Node>, scope: Scope) -> Result<Table, TableError> {
    let count = rules.len();
    let mut census = Census::new(scope.slots());
    let mut levels = Levels::new(scope.slots());
    let mut drafts = Vec::with_capacity(count);
    for (rule, node) in rules.into_iter().enumerate() {
        for branch in branches(normalise(node)) {
            drafts.push(draft(numbered(rule), branch, &mut levels, &mut census));
        }
    }
    census.close();

    let mut files = Files {
        conjunctions: Vec::with_capacity(drafts.len()),
        tests: HashMap::default(),
        parts: Vec::new(),
        shared: vec![None; census.keys()],
        keys: vec![Vec::new(); census.keys()],
        intervals: Vec::new(),
        always: Vec::new(),
        is_kept: vec![false; count],
    };
    for draft in drafts {
        files.add(draft, &census);
    }
    let statistics = files.statistics();
    let (levels, level_of_slot) = levels.into_parts();
    let mut table = Table {
        field_of_slot: Vec::with_capacity(level_of_slot.len()),
        scope,
        levels,
        level_of_slot,
        lists: vec![0],
        members: Vec::new(),
        tests: Vec::with_capacity(files.tests.len()),
        remaining: Vec::new(),
        parts: files.parts,
        always: files
            .always
            .iter()
            .map(|&number| files.conjunctions[number as usize].candidate)
            .collect(),
        conjunctions: files.conjunctions,
        statistics,
    };
    let mut tests: Vec<_> = files.tests.into_iter().collect();
    tests.sort_unstable_by_key(|&(_, number)| number);
    for (mut parts, _) in tests {
        let begin = numbered(table.remaining.len());
        table.remaining.append(&mut parts);
        table.tests.push((begin, numbered(table.remaining.len())));
    }
    index(&mut table, census, &files.keys, &files.intervals)?;
    Ok(table)
}

impl Files {
    /// File a conjunction under its cheapest part; drop it if it can hold for no message.
    fn add(&mut self, Draft { rule, mut parts }: Draft, census: &Census) {
        let number = numbered(self.conjunctions.len());
        let cost = |filing: &Filing| {
            let costs = filing.tickets.iter().map(|&ticket| census.cost(ticket));
            (costs.sum::<u64>(), !filing.exact)
        };
        let mut best = None;
        for (at, part) in parts.iter().enumerate() {
            for (option, filing) in part.options.iter().enumerate() {
                let this = (cost(filing), at, option);
                if best.is_none_or(|best| this < best) {
                    best = Some(this);
                }
            }
        }
        let mut is_repeated = false;
        let filed = best.map(|(_, at, option)| (at, parts[at].options.swap_remove(option)));
        match filed {
            None => self.always.push(number),
            // A part that holds for no message: nor does the conjunction.
            Some((_, Filing { tickets, .. })) if tickets.is_empty() => return,
            Some((at, Filing { tickets, exact })) => {
                is_repeated = tickets.len() > 1;
                for ticket in tickets {
                    is_repeated |= census.is_repeated(ticket);
                    match ticket {
                        Ticket::Key(key) => self.keys[key as usize].push(number),
                        Ticket::Interval(interval) => self.intervals.push((interval, number)),
                    }
                }
                if exact {
                    parts.swap_remove(at);
                }
            }
        }
        self.is_kept[rule as usize] = true;
        parts.sort_by_key(|part| effort(&part.node));
        let asked: Vec<u32> = parts.into_iter().map(|part| self.place(part)).collect();
        let next = numbered(self.tests.len());
        let test = *self.tests.entry(asked).or_insert(next);
        self.conjunctions.push(Conjunction {
            candidate: Candidate { rule, test },
            is_repeated,
        });
    }

    /// Return the index of a part, shared with an equal part of another rule if there is one that is known to be equal.
    fn place(&mut self, part: Part) -> u32 {
        let next = numbered(self.parts.len());
        if let [Filing { tickets, exact }] = &part.options[..] {
            if let ([Ticket::Key(key)], true) = (&tickets[..], *exact) {
                if let Some(known) = self.shared[*key as usize] {
                    return known;
                }
                self.shared[*key as usize] = Some(next);
            }
        }
        self.parts.push(part.node);
        next
    }

    /// Return all but what is said of the fields.
    fn statistics(&self) -> Statistics {
        let rules = self.is_kept.len();
        let mut asked: Vec<u32> = self
            .always
            .iter()
            .map(|&number| self.conjunctions[number as usize].candidate.rule)
            .collect();
        asked.dedup();
        let never = self.is_kept.iter().filter(|kept| !**kept).count();
        Statistics {
            rules,
            indexed: rules - asked.len() - never,
            always_asked: asked.len(),
            never,
            ..Statistics::default()
        }
    }
}

/// Make the indices of the table's fields.
fn index(
    table: &mut Table,
    census: Census,
    filed_keys: &[Vec<u32>],
    filed_intervals: &[(u32, u32)],
) -> Result<(), BuildError> {
    let slots = table.level_of_slot.len();
    let (keys, repeated, intervals) = census.into_parts();
    let mut keys_of_slot: Vec<Vec<_>> = vec![Vec::new(); slots];
    for ((slot, key), number) in keys {
        let filed = &filed_keys[number as usize];
        if filed.is_empty() {
            continue;
        }
        let is_repeated = repeated[number as usize];
        let hit = match filed[..] {
            [one] if !is_repeated => {
                let conjunction = table.conjunctions[one as usize];
                if conjunction.is_repeated {
                    Hit::Conjunction(one)
                } else {
                    Hit::One(conjunction.candidate)
                }
            }
            _ => {
                let list = numbered(table.lists.len() - 1);
                table.members.extend_from_slice(filed);
                table.lists.push(numbered(table.members.len()));
                if is_repeated {
                    Hit::RepeatedList(list)
                } else {
                    Hit::List(list)
                }
            }
        };
        keys_of_slot[slot].push((key, hit));
    }
    let mut intervals_of_slot: Vec<Vec<_>> = vec![Vec::new(); slots];
    for &(interval, number) in filed_intervals {
        let (slot, interval) = &intervals[interval as usize];
        intervals_of_slot[*slot].push((interval, number));
    }
    for (keys, intervals) in keys_of_slot.into_iter().zip(intervals_of_slot) {
        table
            .field_of_slot
            .push(if keys.is_empty() && intervals.is_empty() {
                None
            } else {
                let field = FieldIndex::new(keys, &intervals)?;
                table.statistics.fields += 1;
                table.statistics.automata += usize::from(field.has_automaton());
                Some(field)
            });
    }
    Ok(())
}

/// Return the branches of a rule, each of which suffices for it.
fn branches(node: Node) -> Vec<Node> {
    match node {
        Node::Any(branches) => branches.into_vec(),
        other => vec![other],
    }
}

fn draft(rule: u32, branch: Node, levels: &mut Levels, census: &mut Census) -> Draft {
    let nodes = match branch {
        Node::All(parts) => parts.into_vec(),
        other => vec![other],
    };
    let parts = nodes
        .into_iter()
        .map(|node| {
            let file = |Cover { entries, exact }: Cover| Filing {
                tickets: entries
                    .into_iter()
                    .map(|entry| census.file(entry))
                    .collect(),
                exact,
            };
            let options = covers(&node, levels).into_iter().map(file).collect();
            Part { node, options }
        })
        .collect();
    Draft { rule, parts }
}

/// Estimate how long it takes to ask a part.
fn effort(node: &Node) -> u32 {
    match node {
        Node::Leaf(leaf) => {
            let one = match &leaf.predicate {
                Predicate::Exists => 0,
                Predicate::Nil | Predicate::Equal(_) | Predicate::Kind(_) => 1,
                Predicate::Within(_) | Predicate::OneOf(_) | Predicate::Affixes(_) => 2,
                Predicate::Length(_) => 3,
                Predicate::Network(_) => 5,
                Predicate::Contains(_) => 6,
                Predicate::Matches(_) => 10,
                Predicate::Custom(_) => 100,
            };
            one + if leaf.place.rest.is_empty() { 0 } else { 20 }
        }
        Node::Not(inner) => effort(inner),
        Node::All(parts) | Node::Any(parts) => parts.iter().map(effort).sum::<u32>() + 1,
        Node::AnyElement(_) => 50,
    }
}

#[cfg(test)]
mod tests {
    use super::build;
    use crate::conditions::{Compiler, NoOperators, Source};

    fn matches(pattern: &str) -> Source {
        let text = |text: &str| Source::Str(text.to_owned());
        Source::Map(vec![
            (text("field"), text("line")),
            (text("operator"), text("matches")),
            (text("value"), text(pattern)),
        ])
    }

    #[test]
    fn patterns_that_share_their_longest_text_are_filed_under_what_tells_them_apart() {
        let mut operators = NoOperators;
        let mut compiler = Compiler::new(&mut operators, 1 << 20);
        let rules = (10..30)
            .map(|number| matches(&format!("customer.*id{number}")))
            .map(|source| compiler.compile(&source).unwrap())
            .collect();
        let (scope, _) = compiler.finish();
        let table = build(rules, scope).unwrap();
        let most = table.lists.windows(2).map(|list| list[1] - list[0]).max();
        assert_eq!(most, Some(1), "rules under one text");
    }
}
