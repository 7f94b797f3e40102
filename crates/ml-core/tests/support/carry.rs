//! Arrays there and back, through a model that returns what it is given.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::PathBuf;

use ml_core::{Element, Model, ModelOptions, Tensor};
use ndarray::{Array1, s};

use crate::onnx;

/// Writes a file that is removed when the test ends.
pub struct TemporaryFile(pub PathBuf);

impl TemporaryFile {
    pub fn new(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("ml-core-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).expect("the temporary folder takes files");
        Self(path)
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// Sends an array through a model that returns it unchanged.
pub fn round_trip<T>(options: &ModelOptions, data_type: u64, values: &Array1<T>)
where
    T: Element + PartialEq + std::fmt::Debug,
    for<'a> Tensor<'a>: From<&'a Array1<T>> + From<ndarray::ArrayView1<'a, T>>,
{
    let name = format!("{:?}-{}-{data_type}.onnx", options.runtime, options.device);
    let file = TemporaryFile::new(&name, &onnx::model("Identity", data_type, 17));
    let model = Model::load(&file.0, options).expect("the model loads");
    returns(&model, values);

    let none = Array1::from(Vec::<T>::new());
    let outputs = model.run(vec![("x", (&none).into())]).expect("the model takes no rows");
    assert_eq!(outputs.get::<T>("y").expect("the same type").into_owned(), none.into_dyn());
}

/// Checks that a model returns an array unchanged.
pub fn returns<T>(model: &Model, values: &Array1<T>)
where
    T: Element + PartialEq + std::fmt::Debug,
    for<'a> Tensor<'a>: From<&'a Array1<T>> + From<ndarray::ArrayView1<'a, T>>,
{
    let outputs = model.run(vec![("x", values.into())]).expect("the model runs");
    assert_eq!(outputs.get::<T>("y").expect("the same type").into_owned(), values.clone().into_dyn());

    // A view with gaps has to be put in order first.
    let outputs = model.run(vec![("x", values.slice(s![..;2]).into())]).expect("the model runs");
    let every_other = values.slice(s![..;2]).to_owned().into_dyn();
    assert_eq!(outputs.get::<T>("y").expect("the same type").into_owned(), every_other);
}
