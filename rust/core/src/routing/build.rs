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
use super::table::{Conjunction, FAR, Statistics, Table};

/// All rules before they are filed, their parts one after another: one list for all costs less than lists in lists.
struct Drafts {
    /// Rule and number of parts of each conjunction.
    conjunctions: Vec<(u32, u32)>,
    parts: Vec<Part>,
    filings: Vec<Filing>,
    tickets: Vec<Ticket>,
    /// Part that asks exactly one question, by question.
    exact: Vec<Option<Node>>,
    levels: Levels,
    census: Census,
}

/// A part of a conjunction, and what it can be filed under.
struct Part {
    asked: Asked,
    /// Estimated effort of asking it; see [`effort`].
    effort: u32,
    /// Range of the drafts' filings under which it can be filed.
    filings: (u32, u32),
}

/// The node that asks a part.
enum Asked {
    /// A node of its own.
    Node(Node),
    /// The shared node of all parts that ask exactly one question.
    Question(u32),
}

/// Entries under which a part can be filed.
struct Filing {
    /// A range of the drafts' tickets.
    tickets: (u32, u32),
    /// True if finding an entry suffices; see [`Cover::exact`].
    exact: bool,
}

/// Conjunctions, and where each of them is filed.
struct Files {
    conjunctions: Vec<Conjunction>,
    /// Lists of parts that were met, each with its number.
    tests: HashMap<Box<[u32]>, u32, FxBuildHasher>,
    parts: Vec<Node>,
    /// Part that asks exactly one question, by question.
    shared: Vec<Option<u32>>,
    /// A question, and the conjunction that is filed under it.
    keys: Vec<(u32, u32)>,
    /// An interval, and the conjunction that is filed under it.
    intervals: Vec<(u32, u32)>,
    /// Conjunctions that are filed under nothing.
    always: Vec<u32>,
    /// True for each rule of which a conjunction is kept.
    is_kept: Vec<bool>,
    /// Room for the parts of the conjunction at hand, and for their places.
    room: Vec<Part>,
    asked: Vec<u32>,
}

/// Build the table of these conditions, which were compiled in this scope. Fails if there is more text in them than
/// an automaton can count.
pub fn build(rules: Vec<Node>, scope: Scope) -> Result<Table, TableError> {
    let count = rules.len();
    let mut drafts = Drafts::new(scope.slots());
    for (rule, node) in rules.into_iter().enumerate() {
        match normalise(node) {
            // Each branch suffices for the rule.
            Node::Any(branches) => {
                for branch in branches {
                    drafts.add(numbered(rule), branch);
                }
            }
            other => drafts.add(numbered(rule), other),
        }
    }
    drafts.census.close();

    let questions = drafts.census.keys();
    let mut files = Files {
        conjunctions: Vec::with_capacity(drafts.conjunctions.len()),
        tests: HashMap::default(),
        parts: Vec::new(),
        shared: vec![None; questions],
        keys: Vec::with_capacity(drafts.conjunctions.len()),
        intervals: Vec::new(),
        always: Vec::new(),
        is_kept: vec![false; count],
        room: Vec::new(),
        asked: Vec::new(),
    };
    let (census, levels) = files.add_all(drafts);
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
        is_far: false,
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
    for (parts, _) in tests {
        let begin = numbered(table.remaining.len());
        table.remaining.extend_from_slice(&parts);
        table.tests.push((begin, numbered(table.remaining.len())));
    }
    let keys = Lists::new(&files.keys, questions);
    index(&mut table, census, &keys, &files.intervals)?;
    let fields = table.field_of_slot.iter().flatten();
    table.is_far = fields.map(FieldIndex::size).sum::<usize>() > FAR;
    Ok(table)
}

impl Drafts {
    fn new(message_slots: usize) -> Self {
        Self {
            conjunctions: Vec::new(),
            parts: Vec::new(),
            filings: Vec::new(),
            tickets: Vec::new(),
            exact: Vec::new(),
            levels: Levels::new(message_slots),
            census: Census::new(message_slots),
        }
    }

    /// Add a conjunction of a rule.
    fn add(&mut self, rule: u32, branch: Node) {
        let before = self.parts.len();
        match branch {
            Node::All(parts) => {
                for part in parts {
                    self.add_part(part);
                }
            }
            other => self.add_part(other),
        }
        let count = numbered(self.parts.len() - before);
        self.conjunctions.push((rule, count));
    }

    fn add_part(&mut self, node: Node) {
        let begin = self.filings.len();
        for Cover { entries, exact } in covers(&node, &mut self.levels) {
            let first = numbered(self.tickets.len());
            let tickets = entries.into_iter().map(|entry| self.census.file(entry));
            self.tickets.extend(tickets);
            self.filings.push(Filing {
                tickets: (first, numbered(self.tickets.len())),
                exact,
            });
        }
        let effort = effort(&node);
        let asked = self.asked(node, begin);
        self.parts.push(Part {
            asked,
            effort,
            filings: (numbered(begin), numbered(self.filings.len())),
        });
    }

    /// Share a node with an equal one of another part, if equality can be decided.
    fn asked(&mut self, node: Node, filings: usize) -> Asked {
        let [
            Filing {
                tickets: (begin, end),
                exact: true,
            },
        ] = self.filings[filings..]
        else {
            return Asked::Node(node);
        };
        let [Ticket::Key(question)] = self.tickets[begin as usize..end as usize] else {
            return Asked::Node(node);
        };
        let at = question as usize;
        if self.exact.len() <= at {
            self.exact.resize_with(at + 1, || None);
        }
        self.exact[at].get_or_insert(node);
        Asked::Question(question)
    }
}

impl Files {
    /// File all conjunctions.
    fn add_all(&mut self, drafts: Drafts) -> (Census, Levels) {
        let Drafts {
            conjunctions,
            parts,
            filings,
            tickets,
            mut exact,
            levels,
            census,
        } = drafts;
        let mut parts = parts.into_iter();
        for (rule, count) in conjunctions {
            self.room.clear();
            self.room.extend(parts.by_ref().take(count as usize));
            self.add(rule, &filings, &tickets, &mut exact, &census);
        }
        (census, levels)
    }

    /// File the conjunction at hand under its cheapest part; drop it if it can hold for no message.
    fn add(
        &mut self,
        rule: u32,
        filings: &[Filing],
        tickets: &[Ticket],
        exact: &mut [Option<Node>],
        census: &Census,
    ) {
        let number = numbered(self.conjunctions.len());
        let tickets_of =
            |filing: &Filing| &tickets[filing.tickets.0 as usize..filing.tickets.1 as usize];
        let cost = |filing: &Filing| {
            let costs = tickets_of(filing).iter().map(|&ticket| census.cost(ticket));
            (costs.sum::<u64>(), !filing.exact)
        };
        let mut best = None;
        for (at, part) in self.room.iter().enumerate() {
            for option in part.filings.0..part.filings.1 {
                let this = (cost(&filings[option as usize]), at, option);
                if best.is_none_or(|best| this < best) {
                    best = Some(this);
                }
            }
        }
        let mut is_repeated = false;
        match best {
            None => self.always.push(number),
            Some((_, at, option)) => {
                let filing = &filings[option as usize];
                let tickets = tickets_of(filing);
                if tickets.is_empty() {
                    return; // a part that holds for no message, and so the conjunction holds for none
                }
                is_repeated = tickets.len() > 1;
                for &ticket in tickets {
                    is_repeated |= census.is_repeated(ticket);
                    match ticket {
                        Ticket::Key(key) => self.keys.push((key, number)),
                        Ticket::Interval(interval) => self.intervals.push((interval, number)),
                    }
                }
                if filing.exact {
                    self.room.swap_remove(at);
                }
            }
        }
        self.is_kept[rule as usize] = true;
        self.room.sort_by_key(|part| part.effort);
        self.asked.clear();
        for part in self.room.drain(..) {
            let next = numbered(self.parts.len());
            let (node, place) = match part.asked {
                Asked::Node(node) => (Some(node), next),
                Asked::Question(question) => {
                    let question = question as usize;
                    let place = *self.shared[question].get_or_insert(next);
                    (exact[question].take(), place)
                }
            };
            self.parts.extend(node);
            self.asked.push(place);
        }
        let next = numbered(self.tests.len());
        let test = self.tests.get(&self.asked[..]).copied().unwrap_or(next);
        if test == next {
            self.tests.insert(self.asked[..].into(), test);
        }
        self.conjunctions.push(Conjunction {
            candidate: Candidate { rule, test },
            is_repeated,
        });
    }

    /// Return the statistics of the rules; those of fields are added by the caller.
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

/// Lists of numbers, one after another.
struct Lists {
    /// Beginning of each list in `members`, and one end more.
    begins: Vec<u32>,
    members: Vec<u32>,
}

impl Lists {
    /// Return so many lists of pairs of a list's number and a member, each in the order of the pairs.
    fn new(pairs: &[(u32, u32)], count: usize) -> Self {
        let mut begins = vec![0; count + 1];
        for &(list, _) in pairs {
            begins[list as usize + 1] += 1;
        }
        for list in 0..count {
            begins[list + 1] += begins[list];
        }
        let mut next = begins.clone();
        let mut members = vec![0; pairs.len()];
        for &(list, member) in pairs {
            members[next[list as usize] as usize] = member;
            next[list as usize] += 1;
        }
        Self { begins, members }
    }

    fn get(&self, list: u32) -> &[u32] {
        let list = list as usize;
        &self.members[self.begins[list] as usize..self.begins[list + 1] as usize]
    }
}

/// Make the indices of the table's fields.
fn index(
    table: &mut Table,
    census: Census,
    filed_keys: &Lists,
    filed_intervals: &[(u32, u32)],
) -> Result<(), BuildError> {
    let slots = table.level_of_slot.len();
    let (keys, repeated, intervals) = census.into_parts();
    let mut keys_of_slot: Vec<Vec<_>> = vec![Vec::new(); slots];
    for ((slot, key), number) in keys {
        let filed = filed_keys.get(number);
        if filed.is_empty() {
            continue;
        }
        let is_repeated = repeated[number as usize];
        let hit = match filed[..] {
            [one] if !is_repeated => table.hit(one),
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
        intervals_of_slot[*slot].push((&**interval, number));
    }
    for (keys, intervals) in keys_of_slot.into_iter().zip(intervals_of_slot) {
        table
            .field_of_slot
            .push(if keys.is_empty() && intervals.is_empty() {
                None
            } else {
                let field = FieldIndex::new(keys, &intervals, |number| table.hit(number))?;
                table.statistics.fields += 1;
                table.statistics.automata += usize::from(field.has_automaton());
                Some(field)
            });
    }
    Ok(())
}

/// Estimate the time to ask a part.
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
        let text = |text: &str| Source::Str(text.into());
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
