//! `preprocessor_config.json`: from pixels of any size to those that the model takes.

use ::image::RgbImage;
use fast_image_resize::images::Image;
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use ml_core::Rejection;
use serde::Deserialize;

use crate::folder::PREPROCESSOR;
use crate::{Folder, TaskError};

/// How many times as long as the shorter side of an image its longer one may be.
const RATIO_MAX: u32 = 256;

/// Below this size ConvNeXt's images are cut, not squeezed.
const CROPPED_BELOW: usize = 384;

/// The file, as far as it is of use; what it leaves out is as Hugging Face's processors have it.
#[derive(Debug, Deserialize)]
struct Settings {
    #[serde(default = "yes")]
    do_resize: bool,
    size: Option<Size>,
    /// As Pillow numbers its filters.
    #[serde(default = "bilinear")]
    resample: u8,
    #[serde(default)]
    do_center_crop: bool,
    crop_size: Option<Size>,
    /// The part of the image that stays, where it is first made larger and then cut.
    crop_pct: Option<f64>,
    #[serde(default = "yes")]
    do_rescale: bool,
    #[serde(default = "per_level")]
    rescale_factor: f32,
    #[serde(default = "yes")]
    do_normalize: bool,
    image_mean: Option<[f32; 3]>,
    image_std: Option<[f32; 3]>,
}

fn yes() -> bool {
    true
}

fn bilinear() -> u8 {
    2
}

fn per_level() -> f32 {
    1.0 / 255.0
}

/// A size, in one of the ways in which it is written.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Size {
    Exact { height: usize, width: usize },
    Shortest { shortest_edge: usize },
    Number(usize),
}

/// What is done to an image.
#[derive(Debug, Clone)]
pub(super) struct Preparation {
    resize: Resize,
    filter: ResizeAlg,
    /// Width and height of what the model takes.
    size: (usize, usize),
    /// For each channel, what a level is multiplied with, and what is added.
    scales: [(f32, f32); 3],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resize {
    Never,
    /// To this width and height.
    Exact(usize, usize),
    /// The shorter side to this, and the other with it.
    Shortest(usize),
}

impl Preparation {
    /// Reads the file; `height` and `width` are those that the graph fixes.
    ///
    /// # Errors
    /// When it is missing, broken, or leaves the size of images open.
    pub fn read(folder: &Folder, height: Option<usize>, width: Option<usize>) -> Result<Self, TaskError> {
        let wrong = |reason: &str| folder.refuse(PREPROCESSOR, reason);
        let settings: Settings = folder
            .read(PREPROCESSOR)?
            .ok_or_else(|| wrong("there is none, and it says how images are prepared"))?;
        let (resize, cut) = sizes(&settings).map_err(|reason| wrong(&reason))?;
        let graph = width.zip(height);
        let size = match (cut, resize) {
            (Some(cut), _) => Some(cut),
            (None, Resize::Exact(width, height)) => Some((width, height)),
            (None, _) => graph,
        };
        let size =
            size.ok_or_else(|| wrong("neither it nor the graph say how large images are in the end"))?;
        let fits = |wanted: Option<usize>, made: usize| wanted.is_none_or(|wanted| wanted == made);
        if !fits(width, size.0) || !fits(height, size.1) || size.0 == 0 || size.1 == 0 {
            let reason = format!(
                "it makes images of {} x {} pixels, the graph takes {width:?} x {height:?}",
                size.0, size.1
            );
            return Err(wrong(&reason));
        }
        let filter =
            filter(settings.resample).ok_or_else(|| wrong("the number of resample is none of Pillow's"))?;
        Ok(Self { resize, filter, size, scales: scales(&settings) })
    }

    /// Returns width and height of what is made.
    pub fn size(&self) -> (usize, usize) {
        self.size
    }

    /// Makes the model's numbers of an image: channel by channel, row by row.
    ///
    /// # Errors
    /// When its sides are so unlike that it cannot be made smaller.
    pub fn prepare(&self, image: RgbImage) -> Result<Vec<f32>, Rejection> {
        let image = self.resized(image)?;
        let (width, height) = (image.width() as usize, image.height() as usize);
        let levels = image.as_raw();
        let (columns, rows) = (offset(width, self.size.0), offset(height, self.size.1));
        let mut numbers = Vec::with_capacity(3 * self.size.0 * self.size.1);
        for (channel, (factor, summand)) in self.scales.into_iter().enumerate() {
            for row in 0..self.size.1 {
                let row = row.checked_add_signed(rows).filter(|row| *row < height);
                for column in 0..self.size.0 {
                    let column = column.checked_add_signed(columns).filter(|column| *column < width);
                    // Where a smaller image ends there is black.
                    let level = match (row, column) {
                        (Some(row), Some(column)) => {
                            levels.get((row * width + column) * 3 + channel).copied().unwrap_or(0)
                        }
                        _ => 0,
                    };
                    numbers.push(f32::from(level) * factor + summand);
                }
            }
        }
        Ok(numbers)
    }

    fn resized(&self, image: RgbImage) -> Result<RgbImage, Rejection> {
        let (width, height) = (image.width(), image.height());
        let size = match self.resize {
            Resize::Never => (width, height),
            Resize::Exact(width, height) => (pixels(width), pixels(height)),
            Resize::Shortest(side) => shortest(width, height, pixels(side)),
        };
        if size == (width, height) {
            return Ok(image);
        }
        let wrong = |error: String| Rejection::new("image", "resizes").value(error);
        // An image of unlike sides may grow on the longer one, without bound if there were none.
        if size.0.max(size.1) / size.0.min(size.1).max(1) > RATIO_MAX {
            let (value, limit) =
                (format!("{width} x {height} pixels"), format!("one side {RATIO_MAX} times the other"));
            return Err(Rejection::new("image", "ratio").value(value).limit(limit));
        }
        let source = Image::from_vec_u8(width, height, image.into_raw(), PixelType::U8x3);
        let source = source.map_err(|error| wrong(error.to_string()))?;
        let mut target = Image::new(size.0, size.1, PixelType::U8x3);
        let options = ResizeOptions::new().resize_alg(self.filter);
        // Of this type of pixel only: of all of them the resizer takes minutes to build.
        let views = source.typed_image::<U8x3>().zip(target.typed_image_mut());
        let (source, mut view) = views.ok_or_else(|| wrong("its pixels are of another type".to_owned()))?;
        let resized = Resizer::new().resize_typed(&source, &mut view, &options);
        resized.map_err(|error| wrong(error.to_string()))?;
        RgbImage::from_raw(size.0, size.1, target.into_vec())
            .ok_or_else(|| wrong("a size is lost".to_owned()))
    }
}

/// How images are resized, and to which width and height they are cut.
fn sizes(settings: &Settings) -> Result<(Resize, Option<(usize, usize)>), String> {
    let cut = settings.crop_size.filter(|_| settings.do_center_crop).map(|size| match size {
        Size::Exact { height, width } => (width, height),
        Size::Shortest { shortest_edge: side } | Size::Number(side) => (side, side),
    });
    if !settings.do_resize {
        return Ok((Resize::Never, cut));
    }
    let size = settings.size.ok_or("it resizes images, and has no size")?;
    if let (Some(part), Size::Shortest { shortest_edge: side } | Size::Number(side)) =
        (settings.crop_pct, size)
    {
        if side >= CROPPED_BELOW || part <= 0.0 {
            return Ok((Resize::Exact(side, side), cut));
        }
        return Ok((Resize::Shortest((side as f64 / part) as usize), Some((side, side))));
    }
    let resize = match size {
        Size::Exact { height, width } => Resize::Exact(width, height),
        Size::Shortest { shortest_edge } => Resize::Shortest(shortest_edge),
        // Of processors that cut, a number is the shorter side; of others, both.
        Size::Number(side) if settings.do_center_crop => Resize::Shortest(side),
        Size::Number(side) => Resize::Exact(side, side),
    };
    Ok((resize, cut))
}

fn scales(settings: &Settings) -> [(f32, f32); 3] {
    let factor = if settings.do_rescale { settings.rescale_factor } else { 1.0 };
    let normal = |values: Option<[f32; 3]>, or| values.filter(|_| settings.do_normalize).unwrap_or([or; 3]);
    let (means, deviations) = (normal(settings.image_mean, 0.0), normal(settings.image_std, 1.0));
    std::array::from_fn(|channel| (factor / deviations[channel], -means[channel] / deviations[channel]))
}

fn filter(number: u8) -> Option<ResizeAlg> {
    Some(match number {
        0 => ResizeAlg::Nearest,
        1 => ResizeAlg::Convolution(FilterType::Lanczos3),
        2 => ResizeAlg::Convolution(FilterType::Bilinear),
        3 => ResizeAlg::Convolution(FilterType::CatmullRom),
        4 => ResizeAlg::Convolution(FilterType::Box),
        5 => ResizeAlg::Convolution(FilterType::Hamming),
        _ => return None,
    })
}

/// The size of which the shorter side is `side`; the longer one is rounded down, as Hugging Face's processors do it.
fn shortest(width: u32, height: u32, side: u32) -> (u32, u32) {
    let longer = |long: u32, short: u32| {
        u32::try_from(u64::from(side) * u64::from(long) / u64::from(short.max(1))).unwrap_or(u32::MAX)
    };
    if width <= height { (side, longer(height, width)) } else { (longer(width, height), side) }
}

/// What is added to a place in the cut to find it in the image; less than 0 where the image is smaller.
fn offset(size: usize, cut: usize) -> isize {
    let (size, cut) = (size.cast_signed(), cut.cast_signed());
    (size - cut).div_euclid(2)
}

fn pixels(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(json: &str) -> Settings {
        serde_json::from_str(json).expect("it is JSON")
    }

    #[test]
    fn sizes_are_as_the_processors_have_them() {
        for (json, resize, cut) in [
            (r#"{"size": {"height": 224, "width": 112}}"#, Resize::Exact(112, 224), None),
            (r#"{"size": 224}"#, Resize::Exact(224, 224), None),
            (
                r#"{"size": {"shortest_edge": 256}, "do_center_crop": true, "crop_size": {"height": 224, "width": 200}}"#,
                Resize::Shortest(256),
                Some((200, 224)),
            ),
            (
                r#"{"size": 256, "do_center_crop": true, "crop_size": 224}"#,
                Resize::Shortest(256),
                Some((224, 224)),
            ),
            (
                r#"{"size": {"shortest_edge": 224}, "crop_pct": 0.875}"#,
                Resize::Shortest(256),
                Some((224, 224)),
            ),
            (r#"{"size": {"shortest_edge": 384}, "crop_pct": 1.0}"#, Resize::Exact(384, 384), None),
            (r#"{"do_resize": false}"#, Resize::Never, None),
        ] {
            assert_eq!(sizes(&settings(json)), Ok((resize, cut)), "{json}");
        }
        assert!(sizes(&settings("{}")).is_err());
        assert_eq!((shortest(640, 480, 256), shortest(480, 641, 256)), ((341, 256), (256, 341)));
    }

    #[test]
    fn levels_are_scaled_channel_by_channel() {
        let json = r#"{"do_resize": false, "image_mean": [0.5, 0, 1], "image_std": [0.5, 1, 2]}"#;
        let preparation = Preparation {
            resize: Resize::Never,
            filter: ResizeAlg::Nearest,
            size: (1, 1),
            scales: scales(&settings(json)),
        };
        let image = RgbImage::from_raw(1, 1, vec![255, 0, 51]).expect("one pixel");
        let numbers = preparation.prepare(image).expect("it is one");
        let expected = [1.0, 0.0, (0.2 - 1.0) / 2.0];
        assert!(numbers.iter().zip(expected).all(|(one, other)| (one - other).abs() < 1e-6), "{numbers:?}");
    }

    #[test]
    fn the_middle_is_cut_out_and_what_is_missing_is_black() {
        let preparation = |size| Preparation {
            resize: Resize::Never,
            filter: ResizeAlg::Nearest,
            size,
            scales: [(1.0, 0.0); 3],
        };
        // Levels are the numbers of the pixels, row by row.
        let image =
            RgbImage::from_raw(4, 3, (0..12).flat_map(|level| [level; 3]).collect()).expect("12 pixels");
        let cut = preparation((2, 1)).prepare(image.clone()).expect("it is cut");
        assert_eq!(cut, [5.0, 6.0].repeat(3));
        let filled = preparation((5, 1)).prepare(image).expect("it is filled up");
        assert_eq!(filled, [0.0, 4.0, 5.0, 6.0, 7.0].repeat(3));
    }
}
