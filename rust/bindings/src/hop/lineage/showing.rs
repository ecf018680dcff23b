//! `ShownValues`: rules on what a row may show of a message.
//!
//! Kept separate from `names` because finding causes needs the rules, and names need causes. The secrets are the spellings
//! of `factflow_engine.config.hiding`, which this does the same as, for a text of which only the beginning is shown.

use std::collections::BTreeMap;

/// Rules of one execution.
pub struct ShownValues {
    /// True to show what a message had where a condition did not hold.
    pub shows: bool,
    /// Texts that are never shown and what is shown instead, by their first byte; the longest first.
    secrets: BTreeMap<u8, Vec<(String, String)>>,
}

impl ShownValues {
    /// Make the rules; a secret that is empty hides nothing.
    pub fn new(shows: bool, mut secrets: Vec<(String, String)>) -> Self {
        secrets.sort_by_key(|(secret, _)| core::cmp::Reverse(secret.len()));
        let mut filed: BTreeMap<u8, Vec<_>> = BTreeMap::new();
        for (secret, shown) in secrets {
            if let Some(first) = secret.bytes().next() {
                filed.entry(first).or_default().push((secret, shown));
            }
        }
        Self {
            shows,
            secrets: filed,
        }
    }

    /// Return the text without secrets, also where they overlap; if that is longer than `most` characters, a beginning of it
    /// which is longer, too. No more of the text is read than that takes: what is hidden makes room for what follows.
    pub fn hidden(&self, text: &str, most: usize) -> String {
        let mut out = String::new();
        let mut shown = 0;
        let mut hidden = 0; // the text before it is in `out`, or not shown
        for (at, character) in text.char_indices() {
            if shown > most {
                break;
            }
            if let Some((secret, instead)) = self.found(&text[at..]) {
                if at >= hidden {
                    out.push_str(instead);
                    shown += instead.chars().count();
                }
                hidden = hidden.max(at + secret.len());
            }
            if at >= hidden {
                out.push(character);
                shown += 1;
            }
        }
        out
    }

    /// Return the longest secret that the text begins with, and what is shown instead.
    fn found(&self, text: &str) -> Option<&(String, String)> {
        let filed = self.secrets.get(text.as_bytes().first()?)?;
        filed
            .iter()
            .find(|(secret, _)| text.starts_with(secret.as_str()))
    }
}
