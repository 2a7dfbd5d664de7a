//! What every layer makes its metrics with. A layer declares its metrics in one place, so that each
//! series is there, at zero, before anything happens.

use metrics::{Key, Label, Level, Metadata, with_recorder};

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the process ends.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations by their size.
    Histogram,
}

/// A label's name and all the values it can have.
pub type LabelValues<'a> = (&'static str, &'a [&'static str]);

/// Describes a metric, and makes each of its series: one for each combination of the labels'
/// values. Gauges begin at zero, too. Safe to repeat for counters and histograms.
pub fn declare(kind: Kind, name: &'static str, help: &'static str, labels: &[LabelValues<'_>]) {
    static METADATA: Metadata<'static> = Metadata::new("", Level::INFO, None);
    let mut series: Vec<Vec<Label>> = vec![Vec::new()];
    for (label, values) in labels {
        let with = |labels: &Vec<Label>, value| {
            let mut labels = labels.clone();
            labels.push(Label::new(*label, value));
            labels
        };
        series = series.iter().flat_map(|labels| values.iter().map(move |value| with(labels, *value))).collect();
    }
    with_recorder(|recorder| {
        match kind {
            Kind::Counter => recorder.describe_counter(name.into(), None, help.into()),
            Kind::Gauge => recorder.describe_gauge(name.into(), None, help.into()),
            Kind::Histogram => recorder.describe_histogram(name.into(), None, help.into()),
        }
        for labels in series {
            let key = Key::from_parts(name, labels);
            match kind {
                Kind::Counter => recorder.register_counter(&key, &METADATA).increment(0),
                Kind::Gauge => recorder.register_gauge(&key, &METADATA).set(0.0),
                Kind::Histogram => drop(recorder.register_histogram(&key, &METADATA)),
            }
        }
    });
}

/// A number for a metric, which is floating point. One out of range counts as the largest.
#[must_use]
pub fn number(count: impl TryInto<i32>) -> f64 {
    count.try_into().map_or(f64::from(i32::MAX), f64::from)
}
