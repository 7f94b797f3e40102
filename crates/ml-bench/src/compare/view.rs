//! A comparison as a table, as Markdown and as a page.

use std::fmt;

use super::report::{CompareReport, ScenarioReport, TargetReport};
use crate::grid::Grid;
use crate::html::Page;
use crate::memory::mib;
use crate::plot::Bars;
use crate::stats::Estimate;

impl CompareReport {
    /// Returns the tables as Markdown.
    pub fn markdown(&self) -> String {
        let scenarios = self.scenarios.iter();
        let tables: String = scenarios
            .map(|scenario| format!("### {}\n\n{}\n", scenario.name, grid(scenario).markdown()))
            .collect();
        format!("{tables}{}\n", self.summary())
    }

    /// Returns the report as one HTML page with its plots in it.
    pub fn html(&self) -> String {
        let page = Page::new(&self.title).paragraph(&self.summary());
        let page = self.scenarios.iter().fold(page, |page, scenario| {
            let speeds = scenario.targets.iter().map(|target| (target.name.clone(), target.items_per_s));
            let ratios =
                scenario.targets.iter().filter_map(|target| Some((target.name.clone(), ratio(target)?)));
            page.heading(&scenario.name)
                .grid(&grid(scenario))
                .bars(&Bars::new("Items per second", speeds.collect()))
                .bars(&Bars::new("Items per second as a ratio to the first target", ratios.collect()))
        });
        page.finish()
    }

    fn summary(&self) -> String {
        format!(
            "{} interleaved rounds: medians; ratios are paired within the rounds and to the first row, in brackets \
             their 95 % intervals; memory is the most that was resident, with all processes of the server.",
            self.rounds
        )
    }
}

impl fmt::Display for CompareReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}", self.title, self.summary())?;
        for scenario in &self.scenarios {
            write!(f, "\n{}\n{}", scenario.name, grid(scenario))?;
        }
        Ok(())
    }
}

fn grid(scenario: &ScenarioReport) -> Grid {
    let goodput = scenario.targets.iter().any(|target| target.good_per_s.is_some());
    let columns = [
        "target",
        "items/s",
        "ratio",
        "goodput/s",
        "p50 ms",
        "p99 ms",
        "errors",
        "memory MiB",
        "first answer s",
    ];
    let shown = |column: &str| goodput || column != "goodput/s";
    let mut grid = Grid::new(columns.into_iter().filter(|column| shown(column)));
    for target in &scenario.targets {
        let cells = columns.into_iter().zip(row(target)).filter(|(column, _)| shown(column));
        grid.row(cells.map(|(_, cell)| cell));
    }
    grid
}

fn row(target: &TargetReport) -> [String; 9] {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
    let ratio = match (target.ratios, ratio(target)) {
        (None, _) => "1".to_owned(),
        (Some(_), Some(ratio)) => format!("{ratio:.2}"),
        (Some(_), None) => "-".to_owned(),
    };
    [
        target.name.clone(),
        format!("{:.1}", target.items_per_s_median),
        ratio,
        number(target.good_per_s),
        number(target.p50_ms),
        number(target.p99_ms),
        target.errors.to_string(),
        target.memory_bytes.map_or_else(|| "-".to_owned(), |bytes| format!("{:.0}", mib(bytes))),
        number(target.first_answer_s),
    ]
}

fn ratio(target: &TargetReport) -> Option<Estimate> {
    target.ratios?.items_per_s
}
