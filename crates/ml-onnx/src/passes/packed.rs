//! Packed (padding-free) batches: what looks at one token at a time runs on [tokens, …], without padding.
//!
//! The idea is that of ByteTransformer (Zhai et al., 2023), with operators of the standard set. Instead of a text's ids as
//! [batch, sequence] the model takes the ids of all tokens one after the other, and three inputs that say where they belong:
//!
//! | input | shape | is |
//! |---|---|---|
//! | the ids' own names | [tokens] | the tokens, one text after the other |
//! | `position_ids` | [tokens] | the place of each in its text |
//! | `unpack` | [batch, sequence] | which of the tokens stands there; anything where there is none |
//! | `pack` | [tokens] | where each token stands among the batch × sequence places |
//! | the mask's own name | [batch, sequence] | 1 where a token stands |
//!
//! The pass follows the values that begin with [batch, sequence]. A node that treats each token alone takes and gives them
//! packed; before any other node they are unpacked (`Gather` with `unpack`), and before the next linear layer packed again.
//! What stands in padding is then another token's values instead of a padding token's, which a model must not look at either way.

mod node;

use std::collections::HashMap;

use super::clean::rename;
use super::{Pass, PassError, graph_of};
use crate::proto::{Dim, ValueInfo};
use crate::shapes::{Shapes, Size};
use crate::{DataType, Graph, Model, Node, Tensor};

pub(super) const POSITIONS: &str = "position_ids";
pub(super) const UNPACK: &str = "unpack";
pub(super) const PACK: &str = "pack";
const TOKENS: &str = "tokens";

/// Rewrites an encoder of texts for packed batches.
#[derive(Debug, Clone)]
pub struct Packed {
    /// The input that says where tokens are.
    pub mask: String,
    /// Inputs that are zero for every token, and so are no longer taken; only tables may be looked up with them.
    pub zeros: Vec<String>,
}

impl Default for Packed {
    fn default() -> Self {
        Self { mask: "attention_mask".to_owned(), zeros: vec!["token_type_ids".to_owned()] }
    }
}

impl Pass for Packed {
    fn name(&self) -> &'static str {
        "packed"
    }

    fn changes_inputs(&self) -> bool {
        true
    }

    fn apply(&self, model: &mut Model) -> Result<(), PassError> {
        let graph = graph_of(self, model)?;
        let whole = |reason: String| PassError::new(self, "the graph", reason);
        let mask = graph.inputs.iter().find(|input| input.name == self.mask);
        let dims =
            mask.and_then(ValueInfo::dims).ok_or_else(|| whole(format!("it has no input {}", self.mask)))?;
        let [batch, sequence] = dims else { return Err(whole(format!("{} is no matrix", self.mask))) };
        let ends = (Size::from(batch), Size::from(sequence));
        if !matches!(ends, (Size::Named(_), Size::Named(_))) {
            return Err(whole(format!("the sizes of {} do not both vary under names", self.mask)));
        }
        for name in [POSITIONS, UNPACK, PACK] {
            free(graph, name).map_err(whole)?;
        }
        let mut packer = Packer::new(self, graph, ends);
        for node in &graph.nodes {
            packer.node(node).map_err(|reason| PassError::new(self, node.label(), reason))?;
        }
        let (nodes, constants) = packer.finish();
        if !nodes.iter().any(|node| node.inputs.iter().any(|input| input == UNPACK)) {
            return Err(whole("nothing in it treats tokens alone".to_owned()));
        }
        graph.inputs = self.inputs(graph);
        graph.nodes = nodes;
        graph.initializers.extend(constants);
        graph.value_infos.clear();
        crate::edit::remove_unused(graph);
        model.set_metadata("batches", "packed");
        Ok(())
    }
}

/// Lets a new input have its name: a constant of this name gets another one.
fn free(graph: &mut Graph, name: &str) -> Result<(), String> {
    let input = graph.inputs.iter().any(|input| input.name == name);
    let made = graph.nodes.iter().any(|node| node.outputs.iter().any(|output| output == name));
    if input || made {
        return Err(format!("the name {name} is taken"));
    }
    let fresh = crate::edit::Rewrite::new(graph).fresh(&format!("{name}.constant"));
    for tensor in graph.initializers.iter_mut().filter(|tensor| tensor.name == name) {
        tensor.name.clone_from(&fresh);
    }
    graph.nodes.iter_mut().for_each(|node| rename(node, &HashMap::from([(name.to_owned(), fresh.clone())])));
    Ok(())
}

impl Packed {
    fn is_packed(&self, graph: &Graph, input: &ValueInfo) -> bool {
        let dims =
            |name: &str| graph.inputs.iter().find(|input| input.name == name).and_then(ValueInfo::dims);
        input.name != self.mask && input.dims().is_some() && input.dims() == dims(&self.mask)
    }

    fn inputs(&self, graph: &Graph) -> Vec<ValueInfo> {
        let tokens = [Dim::named(TOKENS)];
        let mut inputs = Vec::new();
        for input in graph.inputs.iter().filter(|input| !self.zeros.contains(&input.name)) {
            let packed = self.is_packed(graph, input);
            inputs.push(match input.element().filter(|_| packed) {
                Some(element) => ValueInfo::tensor(&input.name, element, &tokens),
                None => input.clone(),
            });
        }
        let places = graph.inputs.iter().find(|input| input.name == self.mask).and_then(ValueInfo::dims);
        let added = [(POSITIONS, &tokens[..]), (UNPACK, places.unwrap_or_default()), (PACK, &tokens)];
        inputs.extend(added.map(|(name, dims)| ValueInfo::tensor(name, DataType::Int64, dims)));
        inputs
    }
}

/// The names under which a value is there. A value that is in neither map is padded, or has nothing to do with tokens.
#[derive(Default)]
struct Forms {
    packed: HashMap<String, String>,
    padded: HashMap<String, String>,
}

struct Packer<'a> {
    graph: &'a Graph,
    shapes: Shapes,
    /// The sizes that a padded batch begins with.
    ends: (Size, Size),
    forms: Forms,
    /// Inputs that became the constant zero.
    zeros: Vec<String>,
    nodes: Vec<Node>,
    constants: Vec<Tensor>,
}

const ZERO: &str = "packed.zero";

impl<'a> Packer<'a> {
    fn new(pass: &Packed, graph: &'a Graph, ends: (Size, Size)) -> Self {
        let mut forms = Forms::default();
        let inputs = graph.inputs.iter().filter(|input| pass.is_packed(graph, input));
        let mut zeros = Vec::new();
        for ValueInfo { name, .. } in inputs {
            let zero = pass.zeros.contains(name);
            forms.packed.insert(name.clone(), if zero { ZERO } else { name }.to_owned());
            zeros.extend(zero.then(|| name.clone()));
        }
        let constants = vec![Tensor::new(ZERO, &[], [0_i64])];
        Self { graph, shapes: Shapes::of(graph), ends, forms, zeros, nodes: Vec::new(), constants }
    }

    /// Returns the nodes; outputs of the graph that are packed are unpacked under their names.
    fn finish(mut self) -> (Vec<Node>, Vec<Tensor>) {
        for output in &self.graph.outputs {
            if let Some(packed) = self.forms.packed.get(&output.name) {
                let node = Node::new("Gather", &[packed, UNPACK], &output.name);
                // The node that makes the packed value may be named after the output.
                self.nodes.push(Node { name: format!("{}.unpacked", output.name), ..node });
            }
        }
        (self.nodes, self.constants)
    }

    fn is_output(&self, name: &str) -> bool {
        self.graph.outputs.iter().any(|output| output.name == name)
    }

    fn is_constant(&self, name: &str) -> bool {
        self.graph.initializers.iter().any(|tensor| tensor.name == name)
    }

    /// Returns whether a padded value begins with [batch, sequence], or with [1, sequence].
    fn begins(&self, name: &str) -> Option<Beginning> {
        let [first, second, rest @ ..] = self.shapes.get(name)? else { return None };
        if !second.equals(&self.ends.1) {
            return None;
        }
        let rest = rest.iter().map(|size| match size {
            Size::Fixed(size) => Some(*size),
            _ => None,
        });
        let rest = rest.collect::<Option<Vec<_>>>()?;
        match first {
            Size::Fixed(1) => Some(Beginning { each_text: false, rest }),
            first if first.equals(&self.ends.0) => Some(Beginning { each_text: true, rest }),
            _ => None,
        }
    }

    /// Returns the name under which a value is padded.
    fn padded(&mut self, name: &str) -> Result<String, String> {
        let Some(packed) = self.forms.packed.get(name) else { return Ok(name.to_owned()) };
        if self.zeros.iter().any(|zero| zero == name) {
            return Err(format!("{name} is used for more than a lookup"));
        }
        if let Some(padded) = self.forms.padded.get(name) {
            return Ok(padded.clone());
        }
        let padded = format!("{name}.padded");
        self.nodes.push(Node::new("Gather", &[packed, UNPACK], &padded));
        self.forms.padded.insert(name.to_owned(), padded.clone());
        Ok(padded)
    }

    /// Packs a padded value; none where it does not have a place for each token.
    fn pack(&mut self, name: &str) -> Option<String> {
        let Beginning { each_text, rest } = self.begins(name)?;
        let packed = format!("{name}.packed");
        let rows = format!("{name}.rows_shape");
        let sizes: Vec<i64> = [-1].into_iter().chain(rest).collect();
        self.constants.push(Tensor::new(&rows, &[sizes.len()], sizes));
        let between = format!("{name}.rows_packed");
        if each_text {
            self.nodes.push(Node::new("Reshape", &[name, &rows], &between));
            self.nodes.push(Node::new("Gather", &[&between, PACK], &packed));
        } else {
            let gather = Node::new("Gather", &[name, POSITIONS], &between);
            self.nodes.push(gather.with("axis", crate::proto::Value::Int(1)));
            self.nodes.push(Node::new("Reshape", &[&between, &rows], &packed));
        }
        Some(packed)
    }
}

/// How a padded value begins, and the sizes of what stands at each place.
struct Beginning {
    each_text: bool,
    rest: Vec<i64>,
}
