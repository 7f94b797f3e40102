//! The rounds: every case runs once in each, in another order each time.

use ml_core::Model;

use super::item::Item;
use super::pass::Pass;
use super::{Case, LimitError, LimitOptions, Width};
use crate::Error;
use crate::progress::Progress;
use crate::random::Random;

/// Runs all cases and returns the items per second of each, one number a round.
pub(super) fn run(
    options: &LimitOptions,
    models: &[(Width, Model)],
    items: &[Item],
) -> Result<Vec<(Case, Vec<f64>)>, Error> {
    let mut passes = passes(options, models, items)?;
    let progress = Progress::new();
    let rounds = options.rounds.get();
    let all = passes.len() * rounds;
    for (_, model, pass, _) in &passes {
        pass.warm_up(model)?;
    }
    let mut order: Vec<usize> = (0..passes.len()).collect();
    for round in 0..rounds {
        // A fixed order would let each case always inherit the same neighbour's heat and memory.
        Random::new(round as u64).shuffle(&mut order);
        for (at, index) in order.iter().enumerate() {
            let done = round * passes.len() + at;
            progress.bar(done as f64 / all as f64, &format!("{done} / {all} passes"));
            let (_, model, pass, speeds) = &mut passes[*index];
            speeds.push(pass.run(model)?.items_per_s());
        }
    }
    Ok(passes.into_iter().map(|(case, _, _, speeds)| (case, speeds)).collect())
}

type Prepared<'a> = (Case, &'a Model, Pass, Vec<f64>);

fn passes<'a>(
    options: &LimitOptions,
    models: &'a [(Width, Model)],
    items: &[Item],
) -> Result<Vec<Prepared<'a>>, LimitError> {
    let mut passes = Vec::new();
    for (width, model) in models {
        for batch in &options.batches {
            for order in &options.orders {
                let case = Case { width: *width, batch: *batch, order: *order };
                passes.push((case, model, Pass::new(model, items, case)?, Vec::new()));
            }
        }
    }
    Ok(passes)
}
