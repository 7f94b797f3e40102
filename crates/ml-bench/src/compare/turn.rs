//! A turn: one target under one scenario.

use std::time::Duration;

use super::figures::Figures;
use super::file::Scenario;
use super::target::{Contender, Hosted};
use crate::Error;
use crate::limit::Speed;
use crate::load::{LoadOptions, load};

/// Measures a target under a scenario.
pub(super) fn take(contender: &mut Contender, scenario: &Scenario) -> Result<Figures, Error> {
    match contender {
        Contender::Server(hosted) => {
            hosted.begin()?;
            let figures = serve(hosted, scenario);
            hosted.end();
            figures
        }
        Contender::Raw { model, pass, batch } => {
            pass.warm_up(model)?;
            let mut speed = Speed::new()?;
            let duration = Duration::from_secs_f64(scenario.duration_s);
            // Whole passes only: a part of one would have the longest items, or the shortest, more often.
            while speed.elapsed < duration {
                speed.add(&pass.run(model)?);
            }
            Ok(Figures::of_speed(&speed, *batch))
        }
    }
}

fn serve(hosted: &mut Hosted, scenario: &Scenario) -> Result<Figures, Error> {
    let options = LoadOptions {
        pid: hosted.pid()?,
        server: hosted.server.clone(),
        data: hosted.data.clone(),
        pace: scenario.pace(),
        batch: scenario.batch,
        window: scenario.window(),
        threads: scenario.threads,
        goal: scenario.goal(),
        duplicates: scenario.duplicates,
        seed: 1,
        idle: scenario.idle,
    };
    let report = load(&options)?;
    hosted.pid()?;
    Ok(Figures::of_load(&report, hosted.first_answer_s))
}
