//! A table with a heading and columns, for a terminal and as Markdown.

use std::fmt;

/// Rows of cells under a heading.
#[derive(Debug, Clone, Default)]
pub(crate) struct Grid {
    heading: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Grid {
    pub(crate) fn new<T: Into<String>>(heading: impl IntoIterator<Item = T>) -> Self {
        Self { heading: heading.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(crate) fn heading(&self) -> &[String] {
        &self.heading
    }

    pub(crate) fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    /// Returns the table as Markdown, names on the left and figures on the right.
    pub(crate) fn markdown(&self) -> String {
        let escaped = |cell: &String| cell.replace('|', "\\|");
        let line = |cells: &Vec<String>| {
            format!("| {} |\n", cells.iter().map(escaped).collect::<Vec<_>>().join(" | "))
        };
        let rule: String = self
            .heading
            .iter()
            .enumerate()
            .map(|(column, _)| if column == 0 { "---|" } else { "---:|" })
            .collect();
        let rows: String = self.rows.iter().map(line).collect();
        format!("{}|{rule}\n{rows}", line(&self.heading))
    }
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = || std::iter::once(&self.heading).chain(&self.rows);
        let width = |column| {
            lines()
                .filter_map(|line| line.get(column))
                .map(|cell: &String| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.heading.len()).map(width).collect();
        for line in lines() {
            let cells = line.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
                if column == 0 { format!("{cell:width$}") } else { format!("{cell:>width$}") }
            });
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let mut grid = Grid::new(["name", "items/s"]);
        grid.row(["ours".to_owned(), "250.0".to_owned()]);
        grid.row(["a | b".to_owned(), "7".to_owned()]);
        grid
    }

    #[test]
    fn columns_are_aligned() {
        assert_eq!(grid().to_string(), "name   items/s\nours     250.0\na | b        7\n");
    }

    #[test]
    fn markdown_escapes_its_own_rule() {
        let expected = "| name | items/s |\n|---|---:|\n| ours | 250.0 |\n| a \\| b | 7 |\n";
        assert_eq!(grid().markdown(), expected);
    }
}
