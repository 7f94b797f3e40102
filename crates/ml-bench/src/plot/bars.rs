//! Horizontal bars with their intervals.

use super::axis::{Axis, Scale};
use super::{COLOURS, RIGHT, TOP, WIDTH, document, text};
use crate::stats::Estimate;

/// The room for the names, and the height of one bar with the gap below it.
const NAMES: f64 = 250.0;
const ROW: f64 = 26.0;

/// A plot of bars.
pub(crate) struct Bars {
    title: String,
    rows: Vec<(String, Estimate)>,
}

impl Bars {
    pub(crate) fn new(title: &str, rows: Vec<(String, Estimate)>) -> Self {
        Self { title: title.to_owned(), rows }
    }

    /// Returns the plot as SVG; `None` when there is no bar.
    pub(crate) fn svg(&self) -> Option<String> {
        let ends = self.rows.iter().map(|(_, row)| if row.has_interval() { row.high } else { row.mean });
        let axis = Axis::fit(Scale::Linear, ends)?;
        let bottom = TOP + ROW * self.rows.len() as f64;
        let ticks = axis.ticks().into_iter().map(|(at, label)| {
            let x = across(at);
            let label = text(x, bottom + 16.0, "middle", "soft", &label);
            format!("<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>{label}")
        });
        let bars = self
            .rows
            .iter()
            .enumerate()
            .filter_map(|(row, (name, estimate))| bar(&axis, name, estimate, row));
        Some(document(bottom + 28.0, &self.title, &ticks.chain(bars).collect::<String>()))
    }
}

fn bar(axis: &Axis, name: &str, estimate: &Estimate, row: usize) -> Option<String> {
    let top = TOP + ROW * row as f64 + 4.0;
    let (start, end, middle) = (across(0.0), across(axis.place(estimate.mean)?), top + 9.0);
    let name = text(NAMES - 8.0, middle + 4.0, "end", "", name);
    let (width, colour) = ((end - start).max(0.0), row % COLOURS);
    let error = axis.place(estimate.low.max(0.0)).zip(axis.place(estimate.high)).map_or_else(
        String::new,
        |(low, high)| {
            let (low, high) = (across(low), across(high));
            format!(
                "<line class=\"error\" x1=\"{low:.1}\" x2=\"{high:.1}\" y1=\"{middle}\" y2=\"{middle}\"/>"
            )
        },
    );
    Some(format!(
        "{name}<g class=\"s{colour}\"><rect class=\"bar\" x=\"{start}\" y=\"{top}\" width=\"{width:.1}\" \
         height=\"18\"/>{error}</g>"
    ))
}

fn across(place: f64) -> f64 {
    NAMES + place * (WIDTH - NAMES - RIGHT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_mean_and_its_line_as_its_interval() {
        let rows = vec![
            ("a".to_owned(), Estimate { mean: 50.0, low: 25.0, high: 100.0 }),
            ("b".to_owned(), Estimate { mean: 100.0, low: f64::NEG_INFINITY, high: f64::INFINITY }),
        ];
        let svg = Bars::new("t", rows).svg().unwrap();
        // The axis is 370 long, from 250, and ends at 100.
        assert!(svg.contains("width=\"185.0\"") && svg.contains("width=\"370.0\""), "{svg}");
        assert!(svg.contains("x1=\"342.5\" x2=\"620.0\""), "{svg}");
        assert_eq!(svg.matches("class=\"error\"").count(), 1, "one round has no interval");
        assert_eq!(Bars::new("t", Vec::new()).svg(), None);
    }
}
