//! `ShownValues`: rules on what a row may show of a message.
//!
//! Kept separate from `names` because finding causes needs the rules, and names need causes.

/// Rules of one execution.
pub struct ShownValues {
    /// True to show what a message had where a condition did not hold.
    pub shows: bool,
    /// Texts that are never shown, and what is shown instead.
    pub secrets: Vec<(String, String)>,
}

impl ShownValues {
    /// Return the bytes of the longest secret.
    pub fn longest_secret(&self) -> usize {
        let lengths = self.secrets.iter().map(|(secret, _)| secret.len());
        lengths.max().unwrap_or(0)
    }

    /// Return the text without secrets.
    pub fn hide(&self, text: String) -> String {
        self.secrets
            .iter()
            .filter(|(secret, _)| !secret.is_empty())
            .fold(text, |text, (secret, shown)| {
                if text.contains(secret.as_str()) {
                    text.replace(secret.as_str(), shown)
                } else {
                    text
                }
            })
    }
}
