//! The rounds: in each, every target takes its turn under every scenario.

use std::num::NonZeroUsize;

use super::figures::Figures;
use super::file::Plan;
use super::order::order;
use super::target::Contender;
use super::turn;
use crate::Error;
use crate::progress::Progress;

/// What a turn found, and whose it was.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    pub(super) scenario: usize,
    pub(super) target: usize,
    pub(super) figures: Figures,
}

/// Takes all turns. The turns of a target under a scenario are in the order of the rounds.
pub(super) fn run(plan: &Plan, rounds: NonZeroUsize) -> Result<Vec<Turn>, Error> {
    let contenders = plan.targets.iter().map(|target| Contender::new(plan, target));
    let mut contenders = contenders.collect::<Result<Vec<_>, _>>()?;
    for contender in &mut contenders {
        contender.begin_all()?;
    }
    let progress = Progress::new();
    let mut turns = Vec::new();
    for round in 0..rounds.get() {
        for (scenario, load) in plan.scenarios.iter().enumerate() {
            let takes_part = |target: &usize| plan.targets[*target].takes_part(load);
            for target in order(contenders.len(), round).into_iter().filter(takes_part) {
                let name = &plan.targets[target].name;
                progress.note(&format!("round {} of {rounds}: {}: {name}", round + 1, load.name));
                let figures = turn::take(&mut contenders[target], load)?;
                turns.push(Turn { scenario, target, figures });
            }
        }
    }
    Ok(turns)
}
