//! A report as one HTML file: text, tables and plots, with nothing to be loaded from elsewhere.

use crate::grid::Grid;
use crate::plot::{Bars, Plot};

/// Readable on white and on black: the colours follow what the reader's system is set to.
const STYLE: &str = include_str!("html/style.css");

/// A page being written.
pub(crate) struct Page {
    title: String,
    body: String,
}

impl Page {
    pub(crate) fn new(title: &str) -> Self {
        Self { title: title.to_owned(), body: String::new() }
    }

    pub(crate) fn heading(mut self, text: &str) -> Self {
        self.body += &format!("<h2>{}</h2>\n", escape(text));
        self
    }

    pub(crate) fn paragraph(mut self, text: &str) -> Self {
        self.body += &format!("<p>{}</p>\n", escape(text));
        self
    }

    pub(crate) fn grid(mut self, grid: &Grid) -> Self {
        let cells = |tag: &str, cells: &[String]| {
            let cells = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell)));
            format!("<tr>{}</tr>\n", cells.collect::<String>())
        };
        let rows: String = grid.rows().iter().map(|row| cells("td", row)).collect();
        let heading = cells("th", grid.heading());
        self.body += &format!("<div class=\"wide\"><table>\n{heading}{rows}</table></div>\n");
        self
    }

    /// Adds a plot, unless it has no point.
    pub(crate) fn plot(mut self, plot: &Plot) -> Self {
        if let Some(svg) = plot.svg() {
            self.body += &format!("<figure>{svg}</figure>\n");
        }
        self
    }

    /// Adds bars, unless there are none.
    pub(crate) fn bars(mut self, bars: &Bars) -> Self {
        if let Some(svg) = bars.svg() {
            self.body += &format!("<figure>{svg}</figure>\n");
        }
        self
    }

    pub(crate) fn finish(self) -> String {
        let (title, body) = (escape(&self.title), self.body);
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
             <style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{body}</body>\n</html>\n"
        )
    }
}

/// Returns text as HTML and SVG show it: nothing that came from a server or a file is taken for markup.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_from_elsewhere_is_text() {
        let mut grid = Grid::new(["<b>"]);
        grid.row(["a & b".to_owned()]);
        let page = Page::new("<script>").paragraph("\"x\"").grid(&grid).finish();
        assert!(!page.contains("<script>") && !page.contains("<b>"), "{page}");
        for text in ["&lt;script&gt;", "&lt;b&gt;", "a &amp; b", "&quot;x&quot;"] {
            assert!(page.contains(text), "{text}");
        }
    }

    #[test]
    fn a_page_loads_nothing() {
        let page = Page::new("t").plot(&Plot::new("p", "x", "y")).finish();
        for outside in ["src=", "href=", "url(", "@import", "<script", "<figure"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}
