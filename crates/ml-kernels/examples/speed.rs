//! Prints how fast layers of the sizes of MiniLM's are, in billions of products a second: `cargo run --release -p ml-kernels --example speed`.
#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use ml_kernels::{
    Activation, Arena, Attention, FloatLinear, FloatParts, Int8Linear, LinearError, Parts, Path, Tokens,
};

/// As many layers of a size as the model has, so that weights come from where they come from there.
const LAYERS: usize = 6;

fn main() -> Result<(), LinearError> {
    for (width, widths, activation, outliers) in [
        (384, &[384, 384, 384][..], Activation::None, 3),
        (384, &[384], Activation::None, 0),
        (384, &[1536], Activation::Gelu, 8),
        (384, &[1536], Activation::None, 0),
        (1536, &[384], Activation::None, 10),
    ] {
        let columns: usize = widths.iter().sum();
        let weights: Vec<i8> = (0..width * columns).map(|at| (at * 31 % 255) as i8).collect();
        let parts = Parts {
            width_in: width,
            widths_out: widths,
            weights: &weights,
            scales: &vec![0.01; columns],
            bias: &vec![0.1; columns],
            outliers: &(0..outliers).collect::<Vec<_>>(),
            outlier_weights: &vec![0.5; outliers * columns],
            activation,
        };
        let layers = (0..LAYERS).map(|_| Int8Linear::new(&parts)).collect::<Result<Vec<_>, _>>()?;
        for rows in [1, 10, 27, 108, 432] {
            let floats: Vec<f32> =
                (0..rows * width).map(|at| (at * 37 % 1000) as f32 / 500.0 - 1.0).collect();
            let mut outputs: Vec<Vec<f32>> = widths.iter().map(|width| vec![0.0; rows * width]).collect();
            let took = fastest(&layers, rows, |layer| {
                let mut places: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
                layer.run(black_box(&floats), &mut places)
            })?;
            let products = (rows * width * columns) as f64 / took.as_secs_f64() / 1e9;
            println!(
                "{width} x {widths:?} {activation:?}, {outliers} outliers, {rows} rows: {took:?}, {products:.1}"
            );
        }
    }
    // Together, as in a model: more weights than a core's own cache has room for.
    let (mut encoder, mut arena) =
        (Vec::new(), Arena::with_capacity(LAYERS * 12 * 384 * 384 * size_of::<f32>()));
    for (width_in, width_out, activation, count) in [
        (384, 384, Activation::None, 4),
        (384, 1536, Activation::Gelu, 1),
        (384, 1536, Activation::None, 0),
        (1536, 384, Activation::None, 1),
    ] {
        let weights: Vec<f32> = (0..width_in * width_out).map(|at| (at * 31 % 255) as f32 / 500.0).collect();
        let parts =
            FloatParts { width_in, width_out, weights: &weights, activation, ..FloatParts::default() };
        let layers = (0..LAYERS).map(|_| FloatLinear::new(&parts)).collect::<Result<Vec<_>, _>>()?;
        print_floats(&format!("{width_in} x {width_out} floats {activation:?}"), &layers)?;
        for _ in 0..LAYERS * count {
            encoder.push(FloatLinear::new_in(&parts, &mut arena)?);
        }
    }
    print_floats("all layers of MiniLM in floats", &encoder)?;
    for length in [10, 27, 64, 128] {
        let rows = vec![0.5; length * 384];
        let tokens = Tokens { queries: &rows, keys: &rows, values: &rows, width: 384 };
        let attention = Attention { heads: 12, scale: 0.2, path: Path::Fastest };
        let (mut output, mut least) = (vec![0.0; length * 384], Duration::MAX);
        for _ in 0..300 {
            let begin = Instant::now();
            attention.run(&[length], black_box(&tokens), &mut output)?;
            least = least.min(begin.elapsed());
        }
        println!("attention of {length} tokens: {least:?}");
    }
    Ok(())
}

fn print_floats(name: &str, layers: &[FloatLinear]) -> Result<(), LinearError> {
    let products: usize = layers.iter().map(|layer| layer.width_in() * layer.width_out()).sum();
    for rows in [1, 10, 27, 108, 432] {
        let (floats, mut output) = (vec![0.5; rows * 1536], vec![0.0; rows * 1536]);
        let took = fastest(layers, rows, |layer| {
            let mut split = layer.split(&mut output[..rows * layer.width_out()], 1);
            let floats = &floats[..rows * layer.width_in()];
            split.iter_mut().try_for_each(|columns| layer.run(black_box(floats), columns))
        })?;
        let rate = (rows * products / layers.len()) as f64 / took.as_secs_f64() / 1e9;
        println!("{name}, {rows} rows: {took:?}, {rate:.1}");
    }
    Ok(())
}

/// Returns the least time a layer that was seen.
fn fastest<L>(
    layers: &[L],
    rows: usize,
    mut run: impl FnMut(&L) -> Result<(), LinearError>,
) -> Result<Duration, LinearError> {
    let mut least = Duration::MAX;
    for _ in 0..(50_000 / rows).clamp(30, 1000) {
        let begin = Instant::now();
        layers.iter().try_for_each(&mut run)?;
        least = least.min(begin.elapsed() / layers.len() as u32);
    }
    Ok(least)
}
