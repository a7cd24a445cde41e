//! Accuracy, precision, recall and F1, computed from pairs of a label and a result.

use super::labeled::Polarity;

/// A confusion matrix.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Number of sentences by label, then by result, both in the order of [`Polarity::ALL`].
    counts: [[u32; 3]; 3],
}

impl FromIterator<(Polarity, Polarity)> for Metrics {
    /// Counts pairs of label and result.
    fn from_iter<I: IntoIterator<Item = (Polarity, Polarity)>>(pairs: I) -> Self {
        let mut metrics = Self::default();
        for (label, result) in pairs {
            metrics.counts[label as usize][result as usize] += 1;
        }
        metrics
    }
}

impl Metrics {
    /// Returns the number of sentences.
    pub fn total(&self) -> u32 {
        self.counts.as_flattened().iter().sum()
    }

    /// Returns the share of sentences with the right result; NaN without sentences.
    pub fn accuracy(&self) -> f64 {
        let right: u32 = (0..3).map(|class| self.counts[class][class]).sum();
        ratio(right, self.total())
    }

    /// Returns the share of the results of this class that are right; NaN without such results.
    pub fn precision(&self, class: Polarity) -> f64 {
        let results = self.counts.iter().map(|label| label[class as usize]).sum();
        ratio(self.right(class), results)
    }

    /// Returns the share of the sentences of this class with the right result; NaN without such sentences.
    pub fn recall(&self, class: Polarity) -> f64 {
        ratio(self.right(class), self.counts[class as usize].iter().sum())
    }

    /// Returns the harmonic mean of precision and recall: 0 if no result is right, NaN without sentences.
    pub fn f1(&self, class: Polarity) -> f64 {
        if self.right(class) == 0 && self.total() > 0 {
            return 0.0;
        }
        let (precision, recall) = (self.precision(class), self.recall(class));
        2.0 * precision * recall / (precision + recall)
    }

    /// Returns the mean F1 of the classes.
    pub fn macro_f1(&self) -> f64 {
        Polarity::ALL
            .map(|class| self.f1(class))
            .iter()
            .sum::<f64>()
            / 3.0
    }

    fn right(&self, class: Polarity) -> u32 {
        self.counts[class as usize][class as usize]
    }
}

fn ratio(part: u32, whole: u32) -> f64 {
    f64::from(part) / f64::from(whole)
}

#[cfg(test)]
mod tests {
    use super::Polarity::{Negative, Neutral, Positive};
    use super::*;

    /// Three of four positive sentences are found, and one of three negative ones; another of these counts as positive.
    fn metrics() -> Metrics {
        let pairs = [
            (Positive, Positive),
            (Positive, Positive),
            (Positive, Positive),
            (Positive, Neutral),
            (Negative, Negative),
            (Negative, Positive),
            (Negative, Neutral),
            (Neutral, Neutral),
        ];
        pairs.into_iter().collect()
    }

    #[test]
    fn computes_precision_recall_and_f1_per_class() {
        let metrics = metrics();
        assert_eq!(metrics.precision(Positive), 0.75);
        assert_eq!(metrics.recall(Positive), 0.75);
        assert_eq!(metrics.f1(Positive), 0.75);
        assert_eq!(metrics.precision(Negative), 1.0);
        assert_eq!(metrics.recall(Negative), 1.0 / 3.0);
        assert_eq!(metrics.f1(Negative), 0.5);
        assert_eq!(metrics.f1(Neutral), 0.5);
    }

    #[test]
    fn macro_f1_weights_classes_equally_and_accuracy_sentences() {
        let metrics = metrics();
        assert_eq!(metrics.total(), 8);
        assert_eq!(metrics.accuracy(), 5.0 / 8.0);
        assert!((metrics.macro_f1() - (0.75 + 0.5 + 0.5) / 3.0).abs() < 1e-12);
    }

    #[test]
    fn a_class_without_results_has_no_precision_and_an_f1_of_0() {
        let metrics: Metrics = [(Positive, Neutral)].into_iter().collect();
        assert!(metrics.precision(Positive).is_nan());
        assert_eq!(metrics.f1(Positive), 0.0);
        assert_eq!(metrics.macro_f1(), 0.0);
    }
    #[test]
    fn without_sentences_nothing_is_a_number() {
        let metrics = Metrics::default();
        assert!(metrics.f1(Positive).is_nan() && metrics.macro_f1().is_nan());
    }
}
