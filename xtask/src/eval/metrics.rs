//! Precision, recall and the like, from what was labelled and what was read.

use super::labelled::Polarity;

/// How often each label was read as what.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// By label, then by what was read, both in the order of [`Polarity::ALL`].
    counts: [[u32; 3]; 3],
}

impl FromIterator<(Polarity, Polarity)> for Metrics {
    /// From pairs of label and what was read.
    fn from_iter<I: IntoIterator<Item = (Polarity, Polarity)>>(pairs: I) -> Self {
        let mut metrics = Self::default();
        for (label, read) in pairs {
            metrics.counts[label as usize][read as usize] += 1;
        }
        metrics
    }
}

impl Metrics {
    /// The number of sentences.
    pub fn total(&self) -> u32 {
        self.counts.as_flattened().iter().sum()
    }

    /// The share that was read as labelled; not a number without sentences.
    pub fn accuracy(&self) -> f64 {
        let right: u32 = (0..3).map(|class| self.counts[class][class]).sum();
        ratio(right, self.total())
    }

    /// Of what was read so, the share that is; not a number where nothing was.
    pub fn precision(&self, class: Polarity) -> f64 {
        let read = self.counts.iter().map(|label| label[class as usize]).sum();
        ratio(self.right(class), read)
    }

    /// Of what is so, the share that was read so; not a number where nothing is.
    pub fn recall(&self, class: Polarity) -> f64 {
        ratio(self.right(class), self.counts[class as usize].iter().sum())
    }

    /// The harmonic mean of precision and recall; 0 where nothing was read right.
    pub fn f1(&self, class: Polarity) -> f64 {
        if self.right(class) == 0 {
            return 0.0;
        }
        let (precision, recall) = (self.precision(class), self.recall(class));
        2.0 * precision * recall / (precision + recall)
    }

    /// The mean F1 of the classes.
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

    /// Of four good ones three are found; of three bad ones one, another is taken for good.
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
    fn each_class_has_its_precision_recall_and_f1() {
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
    fn all_classes_weigh_the_same_in_the_macro_f1_and_all_sentences_in_the_accuracy() {
        let metrics = metrics();
        assert_eq!(metrics.total(), 8);
        assert_eq!(metrics.accuracy(), 5.0 / 8.0);
        assert!((metrics.macro_f1() - (0.75 + 0.5 + 0.5) / 3.0).abs() < 1e-12);
    }

    #[test]
    fn what_was_never_read_has_no_precision_and_an_f1_of_zero() {
        let metrics: Metrics = [(Positive, Neutral)].into_iter().collect();
        assert!(metrics.precision(Positive).is_nan());
        assert_eq!(metrics.f1(Positive), 0.0);
        assert_eq!(metrics.macro_f1(), 0.0);
    }
}
