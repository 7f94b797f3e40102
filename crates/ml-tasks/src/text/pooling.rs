//! How the states of a text's tokens become one embedding, as sentence-transformers does it.

use ndarray::ArrayView2;
use serde::Deserialize;

use crate::folder::Module;
use crate::{Folder, Pooling, TaskError};

/// The steps after the model, as the folder has them.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// `None` where the folder does not say.
    pub pooling: Option<Pooling>,
    /// Whether embeddings are scaled to length one; `None` where the folder does not say.
    pub normalize: Option<bool>,
}

/// `config.json` of a pooling step.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PoolingConfig {
    pooling_mode_cls_token: bool,
    pooling_mode_mean_tokens: bool,
    pooling_mode_max_tokens: bool,
    pooling_mode_mean_sqrt_len_tokens: bool,
    pooling_mode_lasttoken: bool,
    pooling_mode_weightedmean_tokens: bool,
}

impl Steps {
    /// Reads `modules.json` and the pooling that it names.
    ///
    /// # Errors
    /// When a file cannot be read, or names a step that is not served.
    pub fn read(folder: &Folder) -> Result<Self, TaskError> {
        let Some(modules) = folder.modules()? else { return Ok(Self::default()) };
        let mut steps = Self { pooling: None, normalize: Some(false) };
        for module in &modules {
            match module.name() {
                "Transformer" => {}
                "Pooling" => steps.pooling = Some(pooling(folder, module)?),
                "Normalize" => steps.normalize = Some(true),
                other => {
                    let reason =
                        format!("the step {other} is not served; export the model with it in its graph");
                    return Err(folder.refuse("modules.json", reason));
                }
            }
        }
        Ok(steps)
    }
}

fn pooling(folder: &Folder, module: &Module) -> Result<Pooling, TaskError> {
    let file = format!("{}/config.json", module.path);
    let config: PoolingConfig = folder.read(&file)?.unwrap_or_default();
    let modes = [
        (config.pooling_mode_cls_token, Some(Pooling::Cls)),
        (config.pooling_mode_mean_tokens, Some(Pooling::Mean)),
        (config.pooling_mode_max_tokens, Some(Pooling::Max)),
        (config.pooling_mode_mean_sqrt_len_tokens, Some(Pooling::MeanSqrtLength)),
        (config.pooling_mode_lasttoken, Some(Pooling::LastToken)),
        (config.pooling_mode_weightedmean_tokens, None),
    ];
    let mut chosen = modes.into_iter().filter(|(on, _)| *on).map(|(_, mode)| mode);
    match (chosen.next(), chosen.next()) {
        (Some(Some(mode)), None) => Ok(mode),
        (None, _) => Err(folder.refuse(&file, "it names no way of pooling")),
        _ => Err(folder.refuse(&file, "weighted and combined ways of pooling are not served")),
    }
}

impl Pooling {
    /// Pools the states of one text: a row a token, those of padding after the first `tokens`.
    pub(super) fn of(self, states: ArrayView2<'_, f32>, tokens: usize) -> Vec<f32> {
        let tokens = tokens.clamp(1, states.nrows().max(1));
        let row = |index: usize| states.outer_iter().nth(index).map_or_else(Vec::new, |row| row.to_vec());
        let mut pooled = match self {
            Self::LastToken => return row(tokens - 1),
            _ => row(0),
        };
        if self == Self::Cls {
            return pooled;
        }
        for state in states.outer_iter().take(tokens).skip(1) {
            for (pooled, number) in pooled.iter_mut().zip(state) {
                *pooled = if self == Self::Max { pooled.max(*number) } else { *pooled + number };
            }
        }
        let divisor = match self {
            Self::Mean => tokens as f32,
            Self::MeanSqrtLength => (tokens as f32).sqrt(),
            Self::Max | Self::Cls | Self::LastToken => return pooled,
        };
        pooled.iter_mut().for_each(|number| *number /= divisor);
        pooled
    }
}

/// Scales an embedding to length one; one of no length stays as it is.
pub(super) fn normalize(embedding: &mut [f32]) {
    let length = embedding.iter().map(|number| number * number).sum::<f32>().sqrt();
    if length > 0.0 {
        embedding.iter_mut().for_each(|number| *number /= length);
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn padding_is_no_part_of_an_embedding() {
        let states = array![[1.0_f32, -4.0], [3.0, 0.0], [100.0, 100.0]];
        for (pooling, expected) in [
            (Pooling::Cls, [1.0, -4.0]),
            (Pooling::Mean, [2.0, -2.0]),
            (Pooling::Max, [3.0, 0.0]),
            (Pooling::MeanSqrtLength, [4.0 / 2.0_f32.sqrt(), -4.0 / 2.0_f32.sqrt()]),
            (Pooling::LastToken, [3.0, 0.0]),
        ] {
            assert_eq!(pooling.of(states.view(), 2), expected, "{pooling:?}");
        }
        assert_eq!(Pooling::Mean.of(ArrayView2::from_shape((0, 2), &[]).expect("no rows"), 0), [0.0_f32; 0]);
    }

    #[test]
    fn an_embedding_of_no_length_stays_one() {
        let mut numbers = [3.0, 4.0];
        normalize(&mut numbers);
        assert_eq!(numbers, [0.6, 0.8]);
        let mut zeros = [0.0; 2];
        normalize(&mut zeros);
        assert_eq!(zeros, [0.0; 2]);
    }
}
