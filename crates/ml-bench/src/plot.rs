//! Plots as inline SVG: lines over two axes, and bars with their intervals. Colours come from the page's style.

mod axis;
mod bars;

use self::axis::Axis;
use crate::html::escape;

pub(crate) use axis::Scale;
pub(crate) use bars::Bars;

/// The size of a plot, in the units of its view box.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;

/// The room around the frame.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 48.0;

/// The height of a line of the legend.
const LEGEND: f64 = 18.0;

/// The colours that the page's style has.
const COLOURS: usize = 8;

/// A plot of lines.
pub(crate) struct Plot {
    title: String,
    x: (String, Scale),
    y: (String, Scale),
    series: Vec<Series>,
}

struct Series {
    name: String,
    class: &'static str,
    colour: usize,
    points: Vec<(f64, f64)>,
}

impl Plot {
    pub(crate) fn new(title: &str, x: &str, y: &str) -> Self {
        let (title, x, y) = (title.to_owned(), x.to_owned(), y.to_owned());
        Self { title, x: (x, Scale::Linear), y: (y, Scale::Linear), series: Vec::new() }
    }

    pub(crate) fn x_scale(mut self, scale: Scale) -> Self {
        self.x.1 = scale;
        self
    }

    pub(crate) fn y_scale(mut self, scale: Scale) -> Self {
        self.y.1 = scale;
        self
    }

    /// Adds a line through points.
    pub(crate) fn line(self, name: &str, points: Vec<(f64, f64)>) -> Self {
        self.add(name, "line", points)
    }

    /// Adds a dashed line, for what is not measured but compared with.
    pub(crate) fn dashed(self, name: &str, points: Vec<(f64, f64)>) -> Self {
        self.add(name, "line dashed", points)
    }

    fn add(mut self, name: &str, class: &'static str, points: Vec<(f64, f64)>) -> Self {
        let colour = self.series.len() % COLOURS;
        self.series.push(Series { name: name.to_owned(), class, colour, points });
        self
    }

    /// Returns the plot as SVG; `None` when there is no point in it.
    pub(crate) fn svg(&self) -> Option<String> {
        let all = || self.series.iter().flat_map(|series| &series.points);
        let x = Axis::fit(self.x.1, all().map(|point| point.0))?;
        let y = Axis::fit(self.y.1, all().map(|point| point.1))?;
        let frame = self.frame(&x, &y);
        let lines: String = self.series.iter().map(|series| series.svg(&x, &y)).collect();
        let legend: String = self.series.iter().enumerate().map(|(row, series)| series.legend(row)).collect();
        let height = HEIGHT + LEGEND * self.series.len() as f64;
        Some(document(height, &self.title, &format!("{frame}{lines}{legend}")))
    }

    fn frame(&self, x: &Axis, y: &Axis) -> String {
        let (left, right, top, bottom) = (LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM);
        let columns = x.ticks().into_iter().map(|(at, label)| {
            let at = across(at);
            format!(
                "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{top}\" y2=\"{bottom}\"/>{}",
                text(at, bottom + 16.0, "middle", "soft", &label)
            )
        });
        let rows = y.ticks().into_iter().map(|(at, label)| {
            let at = up(at);
            format!(
                "<line class=\"grid\" x1=\"{left}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>{}",
                text(left - 6.0, at + 4.0, "end", "soft", &label)
            )
        });
        let ticks: String = columns.chain(rows).collect();
        let (width, height) = (right - left, bottom - top);
        let frame =
            format!("<rect class=\"frame\" x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\"/>");
        let x_label = text(f64::midpoint(left, right), bottom + 36.0, "middle", "", &self.x.0);
        let y_label = text(left - 60.0, top - 8.0, "start", "", &self.y.0);
        format!("{ticks}{frame}{x_label}{y_label}")
    }
}

impl Series {
    fn svg(&self, x: &Axis, y: &Axis) -> String {
        let place =
            |(to_right, to_top): &(f64, f64)| Some((across(x.place(*to_right)?), up(y.place(*to_top)?)));
        let places: Vec<(f64, f64)> = self.points.iter().filter_map(place).collect();
        let line: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let mut svg = format!(
            "<g class=\"s{}\"><polyline class=\"{}\" points=\"{}\"/>",
            self.colour,
            self.class,
            line.join(" ")
        );
        // Where points are few, each was measured by itself and is worth seeing.
        if self.class == "line" && places.len() <= 32 {
            for (x, y) in places {
                svg += &format!("<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>");
            }
        }
        svg + "</g>"
    }

    fn legend(&self, row: usize) -> String {
        let y = HEIGHT + LEGEND * row as f64;
        let (class, colour) = (self.class, self.colour);
        let name = text(LEFT + 34.0, y + 4.0, "start", "", &self.name);
        let end = LEFT + 26.0;
        format!(
            "<g class=\"s{colour}\"><line class=\"{class}\" x1=\"{LEFT}\" x2=\"{end}\" y1=\"{y}\" y2=\"{y}\"/></g>{name}"
        )
    }
}

/// Returns how far from the left a place of 0 to 1 is.
fn across(place: f64) -> f64 {
    LEFT + place * (WIDTH - LEFT - RIGHT)
}

/// Returns how far from the top a place of 0 to 1 is.
fn up(place: f64) -> f64 {
    HEIGHT - BOTTOM - place * (HEIGHT - TOP - BOTTOM)
}

fn text(x: f64, y: f64, anchor: &str, class: &str, text: &str) -> String {
    let text = escape(text);
    format!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>")
}

/// Wraps a drawing: the title is both shown and read out.
fn document(height: f64, title: &str, drawing: &str) -> String {
    let shown = text(LEFT, 14.0, "start", "title", title);
    let title = escape(title);
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" \
         aria-label=\"{title}\">{shown}{drawing}</svg>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_drawn_where_they_belong() {
        // The axes end at the last tick at or above the largest value: here 100 and 10.
        let plot = Plot::new("t", "x", "y").line("a", vec![(0.0, 0.0), (50.0, 5.0), (100.0, 10.0)]);
        let svg = plot.svg().unwrap();
        assert!(svg.contains("points=\"70.0,312.0 345.0,173.0 620.0,34.0\""), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 3);
    }

    #[test]
    fn names_are_escaped_and_an_empty_plot_is_none() {
        assert_eq!(Plot::new("t", "x", "y").line("a", Vec::new()).svg(), None);
        let svg = Plot::new("<t>", "x", "y").line("a&b", vec![(1.0, 1.0)]).svg().unwrap();
        assert!(svg.contains("&lt;t&gt;") && svg.contains("a&amp;b") && !svg.contains("<t>"), "{svg}");
    }

    #[test]
    fn a_value_that_an_axis_cannot_hold_is_left_out() {
        let points = vec![(0.0, 0.0), (1.0, f64::NAN), (2.0, 10.0)];
        let svg = Plot::new("t", "x", "y").y_scale(Scale::Log).line("a", points).svg().unwrap();
        assert_eq!(svg.matches("<circle").count(), 1, "{svg}");
    }
}
