//! Numbers of entries by sentiment.

use serde::Serialize;

/// Numbers of entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Totals {
    total_entries: i64,
    positive_entries: i64,
    negative_entries: i64,
    neutral_entries: i64,
}

impl Totals {
    /// Counts as neutral what is neither positive nor negative.
    pub fn new(total: impl Into<i64>, positive: impl Into<i64>, negative: impl Into<i64>) -> Self {
        let (total, positive, negative) = (total.into(), positive.into(), negative.into());
        Self {
            total_entries: total,
            positive_entries: positive,
            negative_entries: negative,
            neutral_entries: total - positive - negative,
        }
    }
}
