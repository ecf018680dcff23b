//! Texts that conditions repeat, kept once: keys, operators and fields stand in each rule of a table.

use std::sync::Arc;

use super::texts::hash;

/// Number of places; a power of two.
const PLACES: usize = 512;
/// Longest text that is cached: longer ones are hardly repeated.
const LONGEST: usize = 32;

/// Cache of texts that are repeated soon. Each text has one possible place, which the latest text takes: so the cache
/// never grows, and texts that each rule has are nearly always in it.
///
/// ```
/// use factflow_core::conditions::TextCache;
///
/// let mut texts = TextCache::default();
/// let (one, two) = (texts.get("field"), texts.get("field"));
/// assert_eq!(&*one, "field");
/// assert!(std::sync::Arc::ptr_eq(&one, &two));
/// ```
#[derive(Debug)]
pub struct TextCache(Vec<Option<Arc<str>>>);

impl Default for TextCache {
    fn default() -> Self {
        Self(vec![None; PLACES])
    }
}

impl TextCache {
    /// Return the text, shared with an earlier one if that is still here.
    pub fn get(&mut self, text: &str) -> Arc<str> {
        if text.len() > LONGEST {
            return text.into();
        }
        #[expect(clippy::cast_possible_truncation, reason = "a few bits are needed")]
        let place = &mut self.0[hash(text.as_bytes()) as usize % PLACES];
        match place {
            Some(known) if **known == *text => Arc::clone(known),
            _ => Arc::clone(place.insert(text.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::TextCache;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_text_is_returned_as_it_was_given(texts in proptest::collection::vec("[a-c]{0,40}", 0..2_000)) {
            let mut cache = TextCache::default();
            for text in &texts {
                prop_assert_eq!(&*cache.get(text), text);
            }
        }
    }
}
