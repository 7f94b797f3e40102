//! Image classification: a picture, as a file has it, gets a label.

mod decode;
mod prepare;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use ml_core::{Dimension, ElementType, Facts, Model, ModelError, Pipeline, Rejection};
use ndarray::Array4;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use self::prepare::Preparation;
use crate::scores::{Labels, rows};
use crate::{Folder, LabelScore, TaskError, TaskOptions};

/// Pixels of an image as it is sent: what cameras make, some 100 MB while it is decoded.
const PIXELS_MAX: usize = 32 << 20;

/// Labels of an answer, where a caller does not say.
const TOP_K: usize = 5;

/// What a caller sends.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageInput {
    /// A JPEG, PNG or WebP file; in JSON as base64, of which a data URL's beginning may be a part.
    #[serde(deserialize_with = "of_base64")]
    pub image: Arc<[u8]>,
    /// How many labels are wanted, the most likely first. 5 by default.
    #[serde(default)]
    pub top_k: Option<usize>,
}

/// A picture of one grey pixel in base64, as an item has it.
pub const EXAMPLE_IMAGE_BASE64: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==";

/// Padding may be missing, as some write it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn of_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<[u8]>, D::Error> {
    let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
    let data = match text.strip_prefix("data:").and_then(|url| url.split_once(";base64,")) {
        Some((_, data)) => data,
        None => &text,
    };
    BASE64.decode(data).map(Arc::from).map_err(|error| D::Error::custom(format!("not base64: {error}")))
}

/// What the caller gets back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Classified {
    /// The most likely label.
    pub label: String,
    /// Its probability.
    pub score: f32,
    /// The most likely labels, the likeliest first.
    pub scores: Vec<LabelScore>,
}

/// An image as the model eats it: channel by channel, row by row.
pub struct Pixels {
    numbers: Vec<f32>,
    top_k: usize,
}

/// The model's scores of one image.
pub struct RawImage {
    scores: Vec<f32>,
    top_k: usize,
}

/// The pipeline.
pub struct ImageClassification {
    model: Model,
    input: String,
    preparation: Preparation,
    labels: Labels,
    pixels_max: usize,
}

impl ImageClassification {
    /// Makes the pipeline of a loaded model, and the preparation and labels in a folder.
    ///
    /// # Errors
    /// When files are missing or broken, or the graph does not take what they prepare.
    pub fn new(model: Model, folder: &Folder, options: &TaskOptions) -> Result<Self, TaskError> {
        let graph = |reason: String| TaskError::Graph { path: model.path().to_owned(), reason };
        let inputs = &model.signature().inputs;
        let [info] = inputs.as_slice() else {
            return Err(graph(format!("an image is one input: {}", model.signature())));
        };
        let sizes = info.shape.clone().unwrap_or_default();
        if info.element != ElementType::F32 || sizes.len() != 4 {
            return Err(graph(format!("the input is no batch of pixels in 32-bit floats: {info}")));
        }
        if let Dimension::Fixed(images) = sizes[0] {
            return Err(graph(format!(
                "every batch has {images} images; export it with a batch of any size"
            )));
        }
        if matches!(sizes[1], Dimension::Fixed(channels) if channels != 3) {
            return Err(graph(format!("the input has not three channels, before height and width: {info}")));
        }
        let fixed = |dimension: &Dimension| match dimension {
            Dimension::Fixed(size) => Some(*size),
            Dimension::Dynamic(_) => None,
        };
        let preparation = Preparation::read(folder, fixed(&sizes[2]), fixed(&sizes[3]))?;
        let labels = Labels::find(&model, folder, options, 2)?;
        let input = info.name.clone();
        let pixels_max = options.image_pixels_max.map_or(PIXELS_MAX, usize::from);
        Ok(Self { model, input, preparation, labels, pixels_max })
    }

    /// Returns the model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Returns what is worth knowing about the pipeline.
    pub fn details(&self) -> Vec<(&'static str, Value)> {
        let (width, height) = self.preparation.size();
        vec![
            ("labels", json!(self.labels.names)),
            ("size", json!({"width": width, "height": height})),
            ("image_pixels_max", json!(self.pixels_max)),
        ]
    }
}

impl Pipeline for ImageClassification {
    type Input = ImageInput;
    type Features = Pixels;
    type Prediction = RawImage;
    type Output = Classified;

    fn validate(&self, input: &ImageInput) -> Result<(), Rejection> {
        if input.image.is_empty() {
            return Err(Rejection::new("image", "not_empty"));
        }
        if input.top_k == Some(0) {
            return Err(Rejection::new("top_k", "range").value(0).limit("1 or more"));
        }
        Ok(())
    }

    fn clean(&self, input: ImageInput, _: &Facts) -> Result<Pixels, Rejection> {
        let image = decode::decode(&input.image, self.pixels_max)?;
        let numbers = self.preparation.prepare(image)?;
        Ok(Pixels { numbers, top_k: input.top_k.unwrap_or(TOP_K) })
    }

    fn predict_batch(&self, batch: &[Pixels]) -> Result<Vec<RawImage>, ModelError> {
        let (width, height) = self.preparation.size();
        let mut numbers = Vec::with_capacity(batch.len() * 3 * width * height);
        batch.iter().for_each(|image| numbers.extend_from_slice(&image.numbers));
        let pixels = Array4::from_shape_vec((batch.len(), 3, height, width), numbers)?;
        let outputs = self.model.run(vec![(&self.input, pixels.into())])?;
        let scores = rows(&outputs, &self.labels.output, batch.len(), self.labels.names.len())?;
        Ok(scores
            .into_iter()
            .zip(batch)
            .map(|(scores, image)| RawImage { scores, top_k: image.top_k })
            .collect())
    }

    fn format(&self, raw: RawImage) -> Classified {
        let mut scores = self.labels.named(raw.scores, false);
        scores.truncate(raw.top_k);
        let (label, score) =
            scores.first().map_or((String::new(), 0.0), |first| (first.label.clone(), first.score));
        Classified { label, score, scores }
    }

    /// A picture of one grey pixel, as a file of 67 bytes.
    fn models(&self) -> Vec<&Model> {
        vec![&self.model]
    }

    fn example(&self) -> Option<ImageInput> {
        Some(ImageInput { image: Arc::from(decode::ONE_PIXEL), top_k: None })
    }
}
