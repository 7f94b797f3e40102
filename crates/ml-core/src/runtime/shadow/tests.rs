//! What the shadow repeats, and what it leaves alone.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ndarray::{ArrayD, IxDyn, array};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::{Backend, Outputs, RUNS_MAX, Shadow, ShadowMetrics, Signature, Tensor, unpack};
use crate::ModelError;
use crate::runtime::{Device, ElementType, OutputTensor, TensorInfo};

/// How long the shadow's thread may take, on a slow and busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// An original that adds to its input, and runs only when it is let.
struct Gated {
    signature: Signature,
    added: f32,
    gate: Mutex<Receiver<()>>,
}

struct Owned(ArrayD<f32>);

impl OutputTensor for Owned {
    fn view(&self) -> Result<Tensor<'_>, ModelError> {
        Ok(self.0.view().into())
    }

    fn bytes(&self) -> Option<&[u8]> {
        None
    }
}

impl Backend for Gated {
    fn name(&self) -> &str {
        "gated"
    }

    fn device(&self) -> Device {
        Device::Cpu
    }

    fn runs_at_once(&self) -> usize {
        1
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn run(&self, inputs: Vec<(&str, Tensor<'_>)>) -> Result<Outputs, ModelError> {
        self.gate.lock().unwrap().recv().map_err(ModelError::new)?;
        let Some((_, Tensor::F32(x))) = inputs.into_iter().next() else {
            return Err(ModelError::new("no floats"));
        };
        Ok(outputs(x.mapv(|number| number + self.added)))
    }
}

fn outputs(y: ArrayD<f32>) -> Outputs {
    Outputs(vec![("y".to_owned(), Box::new(Owned(y)))])
}

fn signature() -> Signature {
    let info = |name: &str| TensorInfo { name: name.to_owned(), element: ElementType::F32, shape: None };
    Signature { inputs: vec![info("x")], outputs: vec![info("y")], ..Signature::default() }
}

struct Case {
    shadow: Shadow,
    gate: Sender<()>,
    registry: Registry,
}

impl Case {
    fn new(share: f64, added: f32) -> Self {
        let (gate, receiver) = channel();
        let original = Gated { signature: signature(), added, gate: Mutex::new(receiver) };
        let shadow = Shadow::start(share, move || Ok(Box::new(original))).unwrap();
        let (metrics, mut registry) = (ShadowMetrics::default(), Registry::default());
        metrics.register(&mut registry);
        shadow.numbers().set(metrics.of_model("m")).unwrap();
        Self { shadow, gate, registry }
    }

    /// A live run that answers what it was given; returns whether it is repeated.
    fn run(&self, x: &ArrayD<f32>) -> bool {
        let asked = self.shadow.ask(&[("x", x.into())]);
        let repeated = asked.is_some();
        if let Some(asked) = asked {
            self.shadow.repeat(asked, &signature(), &outputs(x.clone()));
        }
        repeated
    }

    fn page(&self) -> String {
        let mut page = String::new();
        encode(&mut page, &self.registry).unwrap();
        page
    }

    /// Waits until the page has this line.
    fn wait_for(&self, line: &str) {
        let started = Instant::now();
        while !self.page().lines().any(|known| known == line) {
            assert!(started.elapsed() < PATIENCE, "no {line} in {}", self.page());
            std::thread::yield_now();
        }
    }
}

fn two_rows() -> ArrayD<f32> {
    array![[1.0_f32, 0.0], [0.0, 0.5]].into_dyn()
}

#[test]
fn a_busy_shadow_takes_no_more_and_holds_nobody_up() {
    let case = Case::new(1.0, 0.0);
    // The gate is shut: were a live run to wait for the original, this would never end.
    let repeated = (0..10).filter(|_| case.run(&two_rows())).count();
    assert_eq!(repeated, RUNS_MAX);
    case.wait_for(r#"shadow_runs_total{model="m",outcome="busy"} 8"#);
    (0..RUNS_MAX).for_each(|_| case.gate.send(()).unwrap());
    case.wait_for(r#"shadow_runs_total{model="m",outcome="compared"} 2"#);
    case.wait_for(r#"shadow_items_total{model="m",outcome="same"} 4"#);
    // Both places are free again, the second a moment after it was counted.
    while Arc::strong_count(&case.shadow.waiting) > 1 {
        std::thread::yield_now();
    }
    assert!(case.run(&two_rows()));
    case.gate.send(()).unwrap();
}

#[test]
fn a_live_run_that_fails_gives_its_place_back() {
    let case = Case::new(1.0, 0.0);
    for _ in 0..10 {
        assert!(case.shadow.ask(&[("x", (&two_rows()).into())]).is_some());
    }
}

#[test]
fn what_differs_is_counted_by_item() {
    let case = Case::new(1.0, 2.0);
    case.gate.send(()).unwrap();
    case.run(&array![[1.0_f32, 0.0], [-1.0, -3.0]].into_dyn());
    case.wait_for(r#"shadow_error_count{model="m"} 2"#);
    case.wait_for(r#"shadow_error_sum{model="m"} 4.0"#);
    // [3, 2] lies 33.7° from [1, 0], and [1, -1] the other way than [-1, -3].
    let page = case.page();
    for line in [r#"shadow_items_total{model="m",outcome="same"} 2"#, r#"shadow_distance_count{model="m"} 2"#]
    {
        assert!(page.lines().any(|known| known == line), "no {line} in {page}");
    }
    let within: Vec<&str> = page.lines().filter(|line| line.starts_with("shadow_distance_bucket")).collect();
    assert!(within.iter().any(|line| line.contains(r#"le="0.1""#) && line.ends_with("} 0")), "{within:?}");
}

#[test]
fn a_run_that_the_original_cannot_repeat_is_counted() {
    let case = Case::new(1.0, 0.0);
    let asked = case.shadow.ask(&[("z", (&two_rows()).into())]).unwrap();
    case.shadow.repeat(asked, &signature(), &outputs(two_rows()));
    case.wait_for(r#"shadow_runs_total{model="m",outcome="failed"} 1"#);
}

#[test]
fn a_share_of_the_runs_is_repeated() {
    let case = Case::new(0.25, 0.0);
    let asked = (0..4000).filter(|_| case.shadow.ask(&[("x", (&two_rows()).into())]).is_some()).count();
    assert!((700..1300).contains(&asked), "{asked}");
}

#[test]
fn packed_inputs_are_laid_out_for_the_original() {
    let info = |name: &str| TensorInfo { name: name.to_owned(), element: ElementType::I64, shape: None };
    let names = ["input_ids", "attention_mask", "token_type_ids"];
    let original = Signature { inputs: names.map(info).into(), ..Signature::default() };
    let owned = |inputs: Vec<(&str, Tensor<'static>)>| -> Vec<(String, Tensor<'static>)> {
        inputs.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect()
    };
    let mask = || array![[1_i64, 1, 1], [1, 0, 0]];
    let packed = |pack: Vec<i64>| {
        owned(vec![
            ("input_ids", array![7_i64, 8, 9, 5].into()),
            ("position_ids", array![0_i64, 1, 2, 0].into()),
            ("unpack", array![[0_i64, 1, 2], [3, 0, 0]].into()),
            ("pack", ArrayD::from_shape_vec(IxDyn(&[pack.len()]), pack).unwrap().into()),
            ("attention_mask", mask().into()),
        ])
    };
    let expected = owned(vec![
        ("input_ids", array![[7_i64, 8, 9], [5, 0, 0]].into()),
        ("attention_mask", mask().into()),
        ("token_type_ids", array![[0_i64, 0, 0], [0, 0, 0]].into()),
    ]);
    assert_eq!(unpack::padded(&original, packed(vec![0, 1, 2, 3])), Ok(expected.clone()));
    for wrong in [vec![0, 1, 2, 6], vec![0, 1, 2, -1], vec![0, 1]] {
        assert!(unpack::padded(&original, packed(wrong)).is_err());
    }
    assert_eq!(
        unpack::padded(&original, expected.clone()),
        Ok(expected),
        "what is not packed stays as it is"
    );
}
