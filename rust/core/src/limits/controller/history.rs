//! `History`: a limit's past in brief, in a space that does not grow with it.

/// Limits below this have a bucket each; from there on each power of two has four.
const EXACT: u32 = 8;
const BUCKETS: usize = 76;
/// Reasons that there is room for from the beginning, so that a call allocates nothing: more than any algorithm has.
const REASONS: usize = 20;

/// Least, median and greatest limit over time, and its changes by reason.
///
/// The median is by time: for half of the time the limit was no higher. It comes from a histogram, so that it is exact below
/// a limit of 8 and within an eighth beyond.
#[derive(Clone, Debug)]
pub struct History {
    limit: u32,
    least: u32,
    greatest: u32,
    since_ns: Option<u64>,
    changes: Vec<(&'static str, u64)>,
    /// Time at each bucket, in units of 2^`shift` ns; `rest_ns` is what makes no whole unit yet.
    spent: [u16; BUCKETS],
    rest_ns: u64,
    shift: u8,
}

impl History {
    pub(super) fn new(limit: u32) -> Self {
        Self {
            limit,
            least: limit,
            greatest: limit,
            since_ns: None,
            changes: Vec::with_capacity(REASONS),
            spent: [0; BUCKETS],
            shift: 0,
            rest_ns: 0,
        }
    }

    /// Note the time, if it is the first one.
    pub(super) fn begin(&mut self, now_ns: u64) {
        if self.since_ns.is_none() {
            self.since_ns = Some(now_ns);
        }
    }

    /// Note a change of the limit.
    pub(super) fn change(&mut self, limit: u32, reason: &'static str, now_ns: u64) {
        self.spend(now_ns);
        self.limit = limit;
        self.least = self.least.min(limit);
        self.greatest = self.greatest.max(limit);
        match self.changes.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => self.changes.push((reason, 1)), // there are as many as an algorithm has reasons
        }
    }

    /// Add the time at the present limit.
    fn spend(&mut self, now_ns: u64) {
        let since_ns = self.since_ns.replace(now_ns).unwrap_or(now_ns);
        let spent_ns = now_ns.saturating_sub(since_ns).saturating_add(self.rest_ns);
        let bucket = bucket_of(self.limit);
        loop {
            let units = u64::from(self.spent[bucket]) + (spent_ns >> self.shift);
            if let Ok(units) = u16::try_from(units) {
                self.spent[bucket] = units;
                break;
            }
            self.shift += 1;
            for units in &mut self.spent {
                *units /= 2;
            }
        }
        self.rest_ns = spent_ns & ((1 << self.shift) - 1);
    }

    /// Return the least limit so far.
    #[must_use]
    pub const fn least(&self) -> u32 {
        self.least
    }

    /// Return the greatest limit so far.
    #[must_use]
    pub const fn greatest(&self) -> u32 {
        self.greatest
    }

    /// Return the median of the limit over the time until now.
    #[must_use]
    pub fn median(&self, now_ns: u64) -> u32 {
        let mut past = self.clone();
        past.spend(now_ns);
        let all: u64 = past.spent.iter().map(|units| u64::from(*units)).sum();
        let mut passed = 0;
        for (bucket, units) in past.spent.iter().enumerate() {
            passed += u64::from(*units);
            if passed * 2 >= all && passed > 0 {
                return middle_of(bucket).clamp(self.least, self.greatest);
            }
        }
        self.limit
    }

    /// Return the number of changes for each reason, in the order in which the reasons came.
    #[must_use]
    pub fn changes(&self) -> &[(&'static str, u64)] {
        &self.changes
    }
}

fn bucket_of(limit: u32) -> usize {
    if limit < EXACT {
        return limit as usize;
    }
    let power = limit.ilog2();
    let quarter = (limit >> (power - 2)) & 3;
    ((EXACT + (power - 3) * 4 + quarter) as usize).min(BUCKETS - 1)
}

/// Return the middle of a bucket, rounded down.
fn middle_of(bucket: usize) -> u32 {
    let bucket = u32::try_from(bucket).unwrap_or(0);
    if bucket <= EXACT {
        return bucket; // the one from 8 on has 8 and 9
    }
    let (power, quarter) = ((bucket - EXACT) / 4 + 3, (bucket - EXACT) % 4);
    let width = 1 << (power - 2);
    (1 << power) + quarter * width + (width - 1) / 2
}
