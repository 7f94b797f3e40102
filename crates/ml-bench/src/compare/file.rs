//! The file of a comparison: which targets, under which loads. Paths in it are relative to it.

mod path;

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::limit::Order;
use crate::load::{Arrivals, Goal, MAX_IN_FLIGHT, Pace, Window};
use crate::{Error, Start, Target};

/// The targets and the scenarios of a comparison.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What is compared; the heading of its report.
    pub title: String,
    /// The data file of targets that name none.
    #[serde(default)]
    pub data: Option<PathBuf>,
    /// The model's name at targets that name none.
    #[serde(default)]
    pub model: Option<String>,
    /// The targets; ratios are to the first.
    pub targets: Vec<PlanTarget>,
    /// The loads.
    pub scenarios: Vec<Scenario>,
}

/// One target: a server, or the model in a bare loop.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanTarget {
    /// Its name in the report.
    pub name: String,
    /// How it is started; left out for a server that runs already.
    #[serde(default)]
    pub start: Option<Start>,
    /// The path that is answered with 2xx once it is ready.
    #[serde(default)]
    pub ready: Option<String>,
    /// The address of the server.
    #[serde(default)]
    pub url: Option<String>,
    /// How its requests and answers look: a description, or the path of one.
    #[serde(default)]
    pub target: Option<Described>,
    /// The model's name.
    #[serde(default)]
    pub model: Option<String>,
    /// The data file.
    #[serde(default)]
    pub data: Option<PathBuf>,
    /// Whether it runs idle while others are measured; otherwise it is started and stopped around its turn.
    #[serde(default = "yes")]
    pub keep: bool,
    /// The scenarios that it takes part in; all when left out.
    #[serde(default)]
    pub only: Option<Vec<String>>,
    /// The model in a bare loop instead of a server.
    #[serde(default)]
    pub limit: Option<LimitTarget>,
}

/// A target description, or where it is.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Described {
    /// In a file.
    File(PathBuf),
    /// Here.
    Here(Box<Target>),
}

/// A model in a bare loop.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitTarget {
    /// The ONNX file.
    pub model: PathBuf,
    /// The tokenizer of a text model.
    #[serde(default)]
    pub tokenizer: Option<PathBuf>,
    /// The field of an item that is the text.
    #[serde(default = "text")]
    pub field: String,
    /// Sessions.
    pub sessions: NonZeroUsize,
    /// Threads inside each.
    pub threads: NonZeroUsize,
    /// Items in one run.
    pub batch: NonZeroUsize,
    /// How items are put into batches.
    pub order: Order,
    /// Items in one pass; passes are repeated for as long as the scenario counts.
    #[serde(default = "items")]
    pub items: NonZeroUsize,
    /// Whether the optimised copy runs, with operators of ours, as in a server; else the file as it is.
    #[serde(default = "optimised_copy")]
    pub optimised_copy: bool,
}

/// A load.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name in the report.
    pub name: String,
    /// Closed loop: so many clients.
    #[serde(default)]
    pub clients: Option<NonZeroUsize>,
    /// Open loop: so many requests a second.
    #[serde(default)]
    pub rate: Option<f64>,
    /// Items in one request.
    #[serde(default = "one")]
    pub batch: NonZeroUsize,
    /// Threads of the client.
    #[serde(default = "one")]
    pub threads: NonZeroUsize,
    /// The counted time of one turn.
    pub duration_s: f64,
    /// The time before it.
    #[serde(default = "warm_up")]
    pub warm_up_s: f64,
    /// The latency up to which an answer counts as goodput.
    #[serde(default)]
    pub goal_ms: Option<f64>,
    /// The share of requests that equal one in flight.
    #[serde(default)]
    pub duplicates: f64,
    /// Connections that are open beside the load, without a request.
    #[serde(default)]
    pub idle: Option<NonZeroUsize>,
}

fn yes() -> bool {
    true
}

fn text() -> String {
    "text".to_owned()
}

fn one() -> NonZeroUsize {
    NonZeroUsize::MIN
}

fn optimised_copy() -> bool {
    true
}

fn items() -> NonZeroUsize {
    const ITEMS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(511);
    ITEMS
}

fn warm_up() -> f64 {
    2.0
}

impl Plan {
    /// Reads and checks a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or what it asks for cannot be measured.
    pub fn read(file: &Path) -> Result<Self, Error> {
        let text =
            fs::read_to_string(file).map_err(|source| Error::Read { path: file.to_owned(), source })?;
        let broken = |reason: String| Error::Plan { path: file.to_owned(), reason };
        let mut plan: Self = serde_json::from_str(&text).map_err(|error| broken(error.to_string()))?;
        plan.check().map_err(broken)?;
        plan.resolve(file.parent().unwrap_or(Path::new("")));
        Ok(plan)
    }

    /// Returns the plan with the named targets and scenarios only; all where no name is given.
    ///
    /// # Errors
    ///
    /// When there is none of a given name.
    pub fn only(mut self, targets: &[String], scenarios: &[String]) -> Result<Self, Error> {
        let names: Vec<String> = self.targets.iter().map(|target| target.name.clone()).collect();
        known("target", targets, &names)?;
        let names: Vec<String> = self.scenarios.iter().map(|scenario| scenario.name.clone()).collect();
        known("scenario", scenarios, &names)?;
        self.targets.retain(|target| targets.is_empty() || targets.contains(&target.name));
        self.scenarios.retain(|scenario| scenarios.is_empty() || scenarios.contains(&scenario.name));
        Ok(self)
    }

    fn check(&self) -> Result<(), String> {
        for target in &self.targets {
            target.check(self).map_err(|reason| format!("target {}: {reason}", target.name))?;
        }
        for scenario in &self.scenarios {
            scenario.check().map_err(|reason| format!("scenario {}: {reason}", scenario.name))?;
        }
        if self.targets.is_empty() || self.scenarios.is_empty() {
            return Err("it has no target or no scenario, at least 1 of each is needed".to_owned());
        }
        Ok(())
    }
}

impl PlanTarget {
    /// Returns whether it takes part in a scenario.
    pub fn takes_part(&self, scenario: &Scenario) -> bool {
        self.only.as_ref().is_none_or(|names| names.contains(&scenario.name))
    }

    fn check(&self, plan: &Plan) -> Result<(), String> {
        if self.data.is_none() && plan.data.is_none() {
            return Err("it has no data".to_owned());
        }
        match (&self.limit, &self.url) {
            (Some(_), Some(_)) => return Err("url and limit exclude each other".to_owned()),
            (None, None) => return Err("it needs a url or a limit".to_owned()),
            (None, Some(_)) if self.model.is_none() && plan.model.is_none() => {
                return Err("it has no model".to_owned());
            }
            _ => {}
        }
        let unknown = |name: &&String| plan.scenarios.iter().all(|scenario| scenario.name != **name);
        match self.only.iter().flatten().find(unknown) {
            Some(name) => Err(format!("there is no scenario {name}")),
            None => Ok(()),
        }
    }
}

impl Scenario {
    /// Returns the warm-up and the counted time.
    pub fn window(&self) -> Window {
        Window {
            warm_up: Duration::from_secs_f64(self.warm_up_s),
            duration: Duration::from_secs_f64(self.duration_s),
        }
    }

    /// Returns when requests are due. Every round has the same arrivals: one thing less that differs.
    pub fn pace(&self) -> Pace {
        match self.rate {
            Some(per_second) => Pace::Rate {
                per_second,
                arrivals: Arrivals::Poisson { seed: 1 },
                max_in_flight: MAX_IN_FLIGHT,
            },
            None => Pace::Clients(self.clients.unwrap_or(NonZeroUsize::MIN)),
        }
    }

    /// Returns the latency up to which an answer counts as goodput.
    pub fn goal(&self) -> Option<Goal> {
        self.goal_ms.map(|ms| Goal(Duration::from_secs_f64(ms / 1000.0)))
    }

    fn check(&self) -> Result<(), String> {
        let within = |value: f64, low: f64, high: f64| value >= low && value <= high;
        if self.clients.is_some() == self.rate.is_some() {
            return Err("it needs either clients or a rate".to_owned());
        }
        let fits = [
            ("duration_s", within(self.duration_s, 0.1, 86_400.0), "0.1 to 86400"),
            ("warm_up_s", within(self.warm_up_s, 0.0, 86_400.0), "0 to 86400"),
            ("rate", self.rate.is_none_or(|rate| within(rate, 1e-3, 1e6)), "0.001 to 1000000"),
            ("goal_ms", self.goal_ms.is_none_or(|ms| within(ms, 1e-3, 1e9)), "0.001 to 1000000000"),
            ("duplicates", within(self.duplicates, 0.0, 1.0), "0 to 1"),
        ];
        match fits.into_iter().find(|(_, fits, _)| !fits) {
            Some((field, _, range)) => Err(format!("{field} must be {range}")),
            None => Ok(()),
        }
    }
}

fn known(what: &'static str, wanted: &[String], names: &[String]) -> Result<(), Error> {
    match wanted.iter().find(|name| !names.contains(name)) {
        Some(name) => Err(Error::NoSuch { what, name: name.clone(), known: names.join(", ") }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
