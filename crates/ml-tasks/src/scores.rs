//! From raw scores to labels.

use std::cmp::Ordering;

use ml_core::{Model, ModelError, Outputs, Tensor};
use ndarray::{CowArray, IxDyn};
use serde::Serialize;

use crate::folder::CONFIG;
use crate::{Folder, TaskError, TaskOptions};

/// A label and how certain it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelScore {
    /// The label, as the model's settings name it.
    pub label: String,
    /// Its probability, or its raw score where that was asked for.
    pub score: f32,
}

/// What makes probabilities of raw scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    /// One label is right.
    Softmax,
    /// Each label is right or wrong for itself.
    Sigmoid,
    /// They are what they are: probabilities already, or numbers that a regression gives.
    Identity,
}

impl Activation {
    /// Makes probabilities, in place.
    pub fn apply(self, scores: &mut [f32]) {
        match self {
            Self::Identity => {}
            Self::Sigmoid => scores.iter_mut().for_each(|score| *score = 1.0 / (1.0 + (-*score).exp())),
            Self::Softmax => {
                let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                scores.iter_mut().for_each(|score| *score = (*score - most).exp());
                let total: f32 = scores.iter().sum();
                scores.iter_mut().for_each(|score| *score /= total);
            }
        }
    }
}

/// The labels of a model, and how its scores are read.
#[derive(Debug, Clone)]
pub(crate) struct Labels {
    pub names: Vec<String>,
    pub activation: Activation,
    /// The output that has the scores.
    pub output: String,
}

impl Labels {
    /// Finds the output, and its labels: those of the options, of `config.json`, of the graph's notes, or numbers.
    ///
    /// # Errors
    /// When the graph has no such output, or when labels and output differ in number.
    pub fn find(
        model: &Model,
        folder: &Folder,
        options: &TaskOptions,
        rank: usize,
    ) -> Result<Self, TaskError> {
        let config = folder.model_config()?;
        let output = scores_output(model, rank)?;
        let noted = || model.signature().metadata.get("labels").map(|labels| split(labels));
        let configured = config.labels().map_err(|reason| folder.refuse(CONFIG, reason))?;
        let names = options.labels.clone().or(configured).or_else(noted);
        let width = output.width;
        let names = match (names, width) {
            (Some(names), Some(width)) if names.len() != width => {
                let reason = format!(
                    "there are {} labels, and the graph's {} has {width} columns",
                    names.len(),
                    output.name
                );
                return Err(TaskError::Graph { path: model.path().to_owned(), reason });
            }
            (Some(names), _) => names,
            (None, Some(width)) => (0..width).map(|number| format!("LABEL_{number}")).collect(),
            (None, None) => {
                let reason =
                    format!("neither settings nor the graph say how many labels {} has", output.name);
                return Err(TaskError::Graph { path: model.path().to_owned(), reason });
            }
        };
        let activation = if output.are_probabilities {
            Activation::Identity
        } else {
            match config.problem_type.as_deref() {
                Some("regression") => Activation::Identity,
                Some("multi_label_classification") => Activation::Sigmoid,
                _ if names.len() == 1 => Activation::Sigmoid,
                _ => Activation::Softmax,
            }
        };
        Ok(Self { names, activation, output: output.name })
    }

    /// Names the scores, the highest first.
    pub fn named(&self, mut scores: Vec<f32>, raw: bool) -> Vec<LabelScore> {
        if !raw {
            self.activation.apply(&mut scores);
        }
        let mut named: Vec<LabelScore> = self
            .names
            .iter()
            .zip(scores)
            .map(|(label, score)| LabelScore { label: label.clone(), score })
            .collect();
        named.sort_by(|one, other| other.score.partial_cmp(&one.score).unwrap_or(Ordering::Equal));
        named
    }
}

struct ScoresOutput {
    name: String,
    are_probabilities: bool,
    width: Option<usize>,
}

/// Finds the output of scores: `probabilities`, `logits`, or the only one of this rank.
fn scores_output(model: &Model, rank: usize) -> Result<ScoresOutput, TaskError> {
    let fits = |info: &&ml_core::TensorInfo| info.shape.as_ref().is_none_or(|shape| shape.len() == rank);
    let outputs: Vec<_> = model.signature().outputs.iter().filter(fits).collect();
    let named = |name: &str| outputs.iter().find(|info| info.name == name).copied();
    let only = || if let [one] = *outputs { Some(one) } else { None };
    let Some(info) = named("probabilities").or_else(|| named("logits")).or_else(only) else {
        let reason = format!("no output of scores with {rank} sizes: {}", model.signature());
        return Err(TaskError::Graph { path: model.path().to_owned(), reason });
    };
    let width = info.shape.as_ref().and_then(|shape| match shape.last()? {
        ml_core::Dimension::Fixed(width) => Some(*width),
        ml_core::Dimension::Dynamic(_) => None,
    });
    Ok(ScoresOutput { name: info.name.clone(), are_probabilities: info.name == "probabilities", width })
}

fn split(labels: &str) -> Vec<String> {
    labels.split(',').map(|label| label.trim().to_owned()).collect()
}

/// Views an output as 32-bit floats; those of other widths are converted.
pub(crate) fn floats<'a>(outputs: &'a Outputs, name: &str) -> Result<CowArray<'a, f32, IxDyn>, ModelError> {
    match outputs.tensor(name)? {
        Tensor::F32(array) => Ok(array),
        Tensor::F16(array) => Ok(array.mapv(half::f16::to_f32).into()),
        Tensor::BF16(array) => Ok(array.mapv(half::bf16::to_f32).into()),
        Tensor::F64(array) => Ok(array.mapv(|number| number as f32).into()),
        other => Err(ModelError::new(format!("output {name} is {}, not floats", other.element()))),
    }
}

/// Returns the rows of an output of scores: one for each item, each with a number for each label.
pub(crate) fn rows(
    outputs: &Outputs,
    name: &str,
    items: usize,
    width: usize,
) -> Result<Vec<Vec<f32>>, ModelError> {
    let scores = floats(outputs, name)?;
    if scores.shape() != [items, width] {
        let reason = format!("output {name} is {:?}, not {items} rows of {width}", scores.shape());
        return Err(ModelError::new(reason));
    }
    Ok(scores.outer_iter().map(|row| row.iter().copied().collect()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_become_probabilities_without_overflow() {
        for (activation, given, expected) in [
            (Activation::Softmax, [1000.0, 1000.0], [0.5, 0.5]),
            (Activation::Softmax, [0.0, f32::ln(3.0)], [0.25, 0.75]),
            (Activation::Sigmoid, [0.0, -1000.0], [0.5, 0.0]),
            (Activation::Identity, [-7.0, 3.0], [-7.0, 3.0]),
        ] {
            let mut scores = given;
            activation.apply(&mut scores);
            assert!(scores.iter().zip(expected).all(|(one, other)| (one - other).abs() < 1e-6), "{scores:?}");
        }
    }

    #[test]
    fn the_most_certain_label_comes_first() {
        let names = ["a", "b", "c"].map(str::to_owned).to_vec();
        let labels = Labels { names, activation: Activation::Softmax, output: String::new() };
        let order = |raw| labels.named(vec![1.0, 3.0, 2.0], raw);
        assert_eq!(order(true).iter().map(|one| one.label.as_str()).collect::<Vec<_>>(), ["b", "c", "a"]);
        assert_eq!(order(true)[0].score, 3.0);
        assert!((order(false).iter().map(|one| one.score).sum::<f32>() - 1.0).abs() < 1e-6);
    }
}
