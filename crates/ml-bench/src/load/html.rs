//! The plots of a load report.

use super::{LoadReport, SweepReport};
use crate::html::Page;
use crate::memory::mib;
use crate::plot::{Plot, Scale};
use crate::stats::Estimate;

/// Adds tables and plots of runs.
pub(super) fn fill(page: Page, runs: &[LoadReport]) -> Page {
    let page = page
        .grid(&SweepReport::grid(runs))
        .paragraph("In brackets: 95 % intervals. Latency runs from the instant at which a request was due.")
        .heading("Latency")
        .plot(&distribution(runs));
    let page = if runs.len() > 1 { page.plot(&against_throughput(runs)) } else { page };
    let open = runs.iter().filter(|run| run.rate.is_some()).count();
    let page = if open > 1 { page.heading("Overload").plot(&overload(runs)) } else { page };
    let page = if runs.iter().any(|run| run.memory.is_some()) {
        page.heading("Memory of the server").plot(&memory(runs))
    } else {
        page
    };
    errors(page, runs)
}

/// The latency distribution, one line a run.
fn distribution(runs: &[LoadReport]) -> Plot {
    let plot = Plot::new("Latency distribution", "share of the answers", "latency, ms");
    runs.iter().fold(plot.x_scale(Scale::Nines).y_scale(Scale::Log), |plot, run| {
        let points = run.distribution.iter().map(|point| (point.quantile, point.ms));
        plot.line(&run.pace(), points.collect())
    })
}

/// Throughput against latency: each point is a run.
fn against_throughput(runs: &[LoadReport]) -> Plot {
    let of = |quantile: fn(&LoadReport) -> Option<f64>| {
        runs.iter().filter_map(|run| Some((run.requests_per_s.mean, quantile(run)?))).collect()
    };
    Plot::new("Throughput against latency", "answers/s", "latency, ms")
        .y_scale(Scale::Log)
        .line("p50", of(|run| run.latency_ms.map(|latency| latency.p50)))
        .line("p99", of(|run| run.latency_ms.map(|latency| latency.p99)))
}

/// Goodput under overload: what comes back of what is offered.
fn overload(runs: &[LoadReport]) -> Plot {
    let of = |value: fn(&LoadReport) -> Option<Estimate>| {
        runs.iter().filter_map(|run| Some((run.rate?, value(run)?.mean))).collect()
    };
    let goal = runs.iter().find_map(|run| run.goal_ms);
    let offered = runs.iter().filter_map(|run| run.rate).map(|rate| (rate, rate)).collect();
    let plot = Plot::new("Goodput under overload", "offered requests/s", "requests/s")
        .line("answered", of(|run| Some(run.requests_per_s)));
    let plot = match goal {
        Some(goal) => plot.line(&format!("answered within {goal} ms"), of(|run| run.good_per_s)),
        None => plot,
    };
    plot.dashed("offered", offered)
}

fn memory(runs: &[LoadReport]) -> Plot {
    let plot = Plot::new("Resident memory", "seconds", "MiB");
    runs.iter().fold(plot, |plot, run| {
        let points = run.memory_over_time.iter().map(|(second, bytes)| (*second, mib(*bytes)));
        plot.line(&run.pace(), points.collect())
    })
}

fn errors(mut page: Page, runs: &[LoadReport]) -> Page {
    for run in runs.iter().filter(|run| run.errors.total() > 0) {
        page = page.heading(&format!("Errors: {}", run.pace()));
        for (kind, count) in run.errors.iter() {
            page = page.paragraph(&format!("{kind}: {} (first: {})", count.count, count.example));
        }
    }
    page
}
