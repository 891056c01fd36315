//! What many runs of one thing come to.

use std::time::Duration;

use serde::Serialize;

/// The figures of one contender, one per round and in the rounds' order.
#[derive(Debug, Clone, Default)]
pub struct Series {
    values: Vec<f64>,
}

/// What is told of a series, in the unit of its values.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Summary {
    /// Half of the runs were better.
    pub median: f64,
    /// The best.
    pub min: f64,
    /// All but one in twenty were better.
    pub p95: f64,
    /// All but one in a hundred were better.
    pub p99: f64,
    /// How many runs.
    pub runs: usize,
}

impl Series {
    /// One more run, in milliseconds.
    pub fn push(&mut self, time: Duration) {
        self.values.push(time.as_secs_f64() * 1e3);
    }

    /// One more figure.
    pub fn push_value(&mut self, value: f64) {
        self.values.push(value);
    }

    /// Its figures.
    pub fn summary(&self) -> Summary {
        let mut values = self.values.clone();
        values.sort_by(f64::total_cmp);
        Summary {
            median: quantile(&values, 0.5),
            min: quantile(&values, 0.0),
            p95: quantile(&values, 0.95),
            p99: quantile(&values, 0.99),
            runs: values.len(),
        }
    }

    /// How many times as much as `base`: the median over the rounds, in each of which both met the same noise.
    pub fn ratio_to(&self, base: &Series) -> f64 {
        let mut ratios: Vec<f64> =
            self.values.iter().zip(&base.values).map(|(own, base)| own / base).collect();
        ratios.sort_by(f64::total_cmp);
        quantile(&ratios, 0.5)
    }
}

/// The value below which this part of sorted values lies; not a number when there are none.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = part * last as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[f64]) -> Series {
        Series { values: values.to_vec() }
    }

    #[test]
    fn summaries_tell_the_middle_the_best_and_the_tail() {
        let summary = series(&[5.0, 1.0, 2.0, 4.0, 3.0]).summary();
        assert_eq!((summary.median, summary.min, summary.runs), (3.0, 1.0, 5));
        assert!((summary.p95 - 4.8).abs() < 1e-9);
        assert_eq!(series(&[1.0, 3.0]).summary().median, 2.0);
        assert!(series(&[]).summary().median.is_nan());
    }

    #[test]
    fn ratios_are_taken_within_each_round() {
        // One round was slow for both: the medians' ratio would be 10 / 2.
        assert_eq!(series(&[10.0, 100.0, 10.0]).ratio_to(&series(&[1.0, 10.0, 2.0])), 10.0);
    }
}
