//! A histogram as the text that plotters of HdrHistogram read: its percentile distribution.
//!
//! The form is that of `outputPercentileDistribution` of the Java implementation: a line for each
//! step, five steps for each halving of the distance to 100 %, and three lines in brackets behind.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

/// Steps for each halving of what is left to 100 %.
const STEPS_PER_HALF: u32 = 5;

/// The distribution, in the histogram's own unit.
pub fn to_hgrm(histogram: &Histogram<u64>) -> String {
    let mut out = String::new();
    // Written to memory, which never fails.
    let _ = writeln!(
        out,
        "{:>12} {:>14} {:>10} {:>14}\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let mut count = 0;
    for step in histogram.iter_quantiles(STEPS_PER_HALF) {
        count += step.count_since_last_iteration();
        let (value, quantile) = (step.value_iterated_to(), step.quantile_iterated_to());
        let _ = write!(out, "{value:>8}.000 {quantile:.12} {count:>10}");
        // Behind the last one stands nothing: it would be infinite.
        if quantile < 1.0 {
            let _ = write!(out, " {:>14.2}", 1.0 / (1.0 - quantile));
        }
        out.push('\n');
    }
    let sub_buckets = (2 * 10_u64.pow(histogram.sigfig().into())).next_power_of_two();
    let _ = writeln!(
        out,
        "#[Mean    = {:>12.3}, StdDeviation   = {:>12.3}]",
        histogram.mean(),
        histogram.stdev()
    );
    let _ = writeln!(
        out,
        "#[Max     = {:>8}.000, Total count    = {:>12}]",
        histogram.max(),
        histogram.len()
    );
    let _ = writeln!(
        out,
        "#[Buckets = {:>12}, SubBuckets     = {sub_buckets:>12}]",
        histogram.buckets()
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::latency::{Latency, record};

    #[test]
    fn the_text_is_the_one_that_plotters_read() {
        let mut latency = Latency::new();
        for (ns, frames) in [(1_000, 50), (2_000, 40), (30_000, 9), (1_234_567, 1)] {
            record(&mut latency.wire, ns, frames);
        }
        insta::assert_snapshot!(to_hgrm(&latency.wire));
        insta::assert_snapshot!("of_nothing", to_hgrm(&latency.copy));
    }
}
