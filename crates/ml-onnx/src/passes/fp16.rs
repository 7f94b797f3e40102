//! Half precision: numbers in 16 bits, with `half`.
//!
//! The method is that of ONNX Runtime's `transformers/float16.py`: values become 16-bit, operators of a block list stay in
//! 32 bits between casts, and what callers see stays as it was. Constants that 16 bits do not hold, such as the smallest
//! number that a division is kept away from zero with, keep their node in 32 bits as well.

mod types;

use std::collections::{HashMap, HashSet};

use half::f16;

use super::{Pass, PassError, graph_of};
use crate::proto::Value;
use crate::{DataType, Graph, Model, Node, Tensor};

use types::{Kind, kind_of_output};

/// Whether computing is done in 16 bits too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fp16Form {
    /// Weights and computing: for accelerators.
    Compute,
    /// Only weights: half the file, and the same speed where a runtime makes 32 bits of them when it loads the model.
    Weights,
}

/// Halves the precision.
#[derive(Debug, Clone)]
pub struct Fp16 {
    /// What becomes 16-bit.
    pub form: Fp16Form,
    /// Operators that compute in 32 bits nonetheless.
    pub blocked: Vec<String>,
}

/// Operators that add many numbers up, or are rarely there in 16 bits.
const BLOCKED: [&str; 12] = [
    "CumSum",
    "NonMaxSuppression",
    "Range",
    "ReduceL2",
    "ReduceMean",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
    "Resize",
    "TopK",
    "Upsample",
    "RoiAlign",
];

/// Smaller tensors are not worth a node that casts them.
const NUMBERS_MIN: usize = 1024;

impl Fp16 {
    /// The form, with the usual block list.
    pub fn new(form: Fp16Form) -> Self {
        Self { form, blocked: BLOCKED.map(str::to_owned).to_vec() }
    }
}

impl Pass for Fp16 {
    fn name(&self) -> &'static str {
        "fp16"
    }

    fn apply(&self, model: &mut Model) -> Result<(), PassError> {
        let graph = graph_of(self, model)?;
        if self.form == Fp16Form::Weights {
            store(graph);
            return Ok(());
        }
        let mut halved = Halved::new(self, graph);
        for node in &graph.nodes {
            halved.node(node).map_err(|reason| PassError::new(self, node.label(), reason))?;
        }
        let (nodes, constants) = halved.finish();
        graph.nodes = nodes;
        graph.initializers.extend(constants);
        graph.value_infos.clear();
        crate::edit::remove_unused(graph);
        Ok(())
    }
}

/// Returns a constant in 16 bits; none when a number is too large for them, or so small that nothing would be left of it.
fn halve(tensor: &Tensor) -> Option<Tensor> {
    let floats = tensor.floats().ok()?;
    let held = |number: &f32| {
        let half = f16::from_f32(*number);
        half.is_finite() && (*number == 0.0 || half != f16::ZERO)
    };
    // In a large matrix single numbers may vanish: they are nothing beside the others.
    let many = floats.len() >= NUMBERS_MIN;
    let fits = |number: &f32| if many { f16::from_f32(*number).is_finite() } else { held(number) };
    floats.iter().all(fits).then(|| Tensor::of_array(&tensor.name, &floats.mapv(f16::from_f32)))
}

/// Stores large constants in 16 bits, each with a cast back at the beginning of the graph.
fn store(graph: &mut Graph) {
    let inputs: HashSet<String> = graph.inputs.iter().map(|input| input.name.clone()).collect();
    let mut casts = Vec::new();
    for tensor in &mut graph.initializers {
        let large = tensor.count().is_ok_and(|count| count >= NUMBERS_MIN) && !inputs.contains(&tensor.name);
        if tensor.element() != Some(DataType::Float) || !large {
            continue;
        }
        let Some(mut half) = halve(tensor) else { continue };
        half.name = format!("{}.fp16", tensor.name);
        casts.push(cast(&half.name, &tensor.name, DataType::Float));
        *tensor = half;
    }
    graph.nodes.splice(0..0, casts);
}

fn cast(from: &str, to: &str, element: DataType) -> Node {
    let node = Node::new("Cast", &[from], to).with("to", Value::Int(element.number().into()));
    // The node that makes the value may be named after it.
    Node { name: format!("{to}.cast"), ..node }
}

/// The graph being made: which values are floats, and under which name each is there in 16 and in 32 bits.
struct Halved<'a> {
    pass: &'a Fp16,
    graph: &'a Graph,
    constants: HashMap<&'a str, &'a Tensor>,
    kinds: HashMap<String, Kind>,
    wide: HashMap<String, String>,
    narrow: HashMap<String, String>,
    nodes: Vec<Node>,
    added: Vec<Tensor>,
}

impl<'a> Halved<'a> {
    fn new(pass: &'a Fp16, graph: &'a Graph) -> Self {
        let constants: HashMap<_, _> =
            graph.initializers.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        let inputs = graph.inputs.iter().map(|input| (input.name.clone(), Kind::of(input.element())));
        let tensors =
            graph.initializers.iter().map(|tensor| (tensor.name.clone(), Kind::of(tensor.element())));
        let kinds: HashMap<_, _> = tensors.chain(inputs).collect();
        let floats = kinds.iter().filter(|(_, kind)| **kind == Kind::Float);
        let wide = floats.map(|(name, _)| (name.clone(), name.clone())).collect();
        Self {
            pass,
            graph,
            constants,
            kinds,
            wide,
            narrow: HashMap::new(),
            nodes: Vec::new(),
            added: Vec::new(),
        }
    }

    fn finish(mut self) -> (Vec<Node>, Vec<Tensor>) {
        for output in &self.graph.outputs {
            // A value that is a float in 16 bits only has another name than the output.
            if !self.wide.contains_key(&output.name)
                && let Some(narrow) = self.narrow.get(&output.name)
            {
                self.nodes.push(cast(narrow, &output.name, DataType::Float));
            }
        }
        (self.nodes, self.added)
    }

    fn node(&mut self, node: &Node) -> Result<(), String> {
        let kind = kind_of_output(node, &self.kinds, self.graph);
        let kind = kind.ok_or("the type of its output is not known")?;
        let narrow = self.computes_narrow(node);
        let mut changed = node.clone();
        for input in &mut changed.inputs {
            if self.kinds.get(input) != Some(&Kind::Float) {
                continue;
            }
            *input = if narrow { self.narrowed(input)? } else { self.widened(input)? };
        }
        for output in changed.outputs.iter_mut().filter(|name| !name.is_empty()) {
            self.kinds.insert(output.clone(), kind);
            if kind == Kind::Float && narrow {
                let name = format!("{output}.fp16");
                self.narrow.insert(output.clone(), name.clone());
                *output = name;
            } else if kind == Kind::Float {
                self.wide.insert(output.clone(), output.clone());
            }
        }
        if narrow && kind == Kind::Float && node.is("Cast") {
            let to = changed.attributes.iter_mut().find(|attribute| attribute.name == "to");
            to.into_iter().for_each(|to| to.i = Some(DataType::Float16.number().into()));
        }
        self.nodes.push(changed);
        Ok(())
    }

    fn computes_narrow(&self, node: &Node) -> bool {
        let held = |name: &String| match self.constants.get(name.as_str()) {
            Some(tensor) if tensor.element() == Some(DataType::Float) => halve(tensor).is_some(),
            _ => true,
        };
        let blocked = self.pass.blocked.contains(&node.op_type) || node.graphs().next().is_some();
        !blocked && node.inputs.iter().all(held)
    }

    fn narrowed(&mut self, name: &str) -> Result<String, String> {
        if let Some(narrow) = self.narrow.get(name) {
            return Ok(narrow.clone());
        }
        let narrow = format!("{name}.fp16");
        match self.constants.get(name) {
            Some(tensor) => {
                let half = halve(tensor).ok_or_else(|| format!("{name} does not fit into 16 bits"))?;
                self.added.push(Tensor { name: narrow.clone(), ..half });
            }
            None => self.nodes.push(cast(name, &narrow, DataType::Float16)),
        }
        self.narrow.insert(name.to_owned(), narrow.clone());
        Ok(narrow)
    }

    fn widened(&mut self, name: &str) -> Result<String, String> {
        if let Some(wide) = self.wide.get(name) {
            return Ok(wide.clone());
        }
        let narrow = self.narrow.get(name).ok_or_else(|| format!("nothing is known of {name}"))?;
        // Under the value's own name, which is free, and is the output's where it is one.
        self.nodes.push(cast(narrow, name, DataType::Float));
        self.wide.insert(name.to_owned(), name.to_owned());
        Ok(name.to_owned())
    }
}
