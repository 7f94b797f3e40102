//! The rules of ONNX that a rewriter relies on.

use std::collections::HashSet;

use crate::proto::same_domain;
use crate::{Graph, Model, Node, Tensor};

/// A rule that a model breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct Invalid {
    /// The node, value or part of the file.
    pub place: String,
    /// What is wrong there.
    pub reason: String,
}

impl Invalid {
    fn new(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { place: place.into(), reason: reason.into() }
    }
}

impl Model {
    /// Checks that each value is made once and before it is taken, that operators have versions, and that constants
    /// have as many elements as their sizes say.
    ///
    /// # Errors
    /// The first rule that is broken, with its place.
    pub fn check(&self) -> Result<(), Invalid> {
        let graph = self.graph.as_ref().ok_or_else(|| Invalid::new("the model", "it has no graph"))?;
        self.check_graph(graph, &HashSet::new())
    }

    fn check_graph(&self, graph: &Graph, outer: &HashSet<&str>) -> Result<(), Invalid> {
        let mut known: HashSet<&str> = graph.inputs.iter().map(|input| input.name.as_str()).collect();
        if known.len() < graph.inputs.len() {
            return Err(Invalid::new(format!("graph {}", graph.name), "two inputs have the same name"));
        }
        let sparse = graph.sparse_initializers.iter().filter_map(|tensor| tensor.values.as_ref());
        known.extend(sparse.map(|tensor| tensor.name.as_str()));
        let mut constants = HashSet::new();
        for tensor in &graph.initializers {
            check_tensor(tensor)?;
            if !constants.insert(tensor.name.as_str()) {
                return Err(Invalid::new(&tensor.name, "two constants have this name"));
            }
        }
        known.extend(constants);
        known.extend(outer);
        let mut made = HashSet::new();
        for node in &graph.nodes {
            self.check_node(node, &known)?;
            for output in node.outputs.iter().filter(|name| !name.is_empty()) {
                if !made.insert(output.as_str()) {
                    return Err(Invalid::new(node.label(), format!("{output} is made twice")));
                }
                known.insert(output);
            }
        }
        match graph.outputs.iter().find(|output| !known.contains(output.name.as_str())) {
            Some(output) => Err(Invalid::new(&output.name, "nothing makes this output")),
            None => Ok(()),
        }
    }

    fn check_node(&self, node: &Node, known: &HashSet<&str>) -> Result<(), Invalid> {
        if node.op_type.is_empty() {
            return Err(Invalid::new(node.label(), "it has no operator"));
        }
        let sets = || self.opset_imports.iter().map(|set| set.domain.as_deref().unwrap_or(""));
        if !sets().any(|domain| same_domain(domain, &node.domain)) {
            let domain = &node.domain;
            return Err(Invalid::new(
                node.label(),
                format!("no version is given for the operators of {domain:?}"),
            ));
        }
        if let Some(reason) = crate::operators::objection(node) {
            return Err(Invalid::new(node.label(), reason));
        }
        let missing = node.inputs.iter().find(|name| !name.is_empty() && !known.contains(name.as_str()));
        if let Some(missing) = missing {
            return Err(Invalid::new(node.label(), format!("its input {missing} is not made before it")));
        }
        node.attributes.iter().flat_map(|attribute| attribute.tensors()).try_for_each(check_tensor)?;
        node.graphs().try_for_each(|graph| self.check_graph(graph, known))
    }
}

fn check_tensor(tensor: &Tensor) -> Result<(), Invalid> {
    let invalid = |reason: String| Invalid::new(format!("tensor {}", tensor.name), reason);
    let count = tensor.count().map_err(|error| invalid(error.to_string()))?;
    let Some(element) = tensor.element() else { return Ok(()) };
    if let Err(error) = tensor.external() {
        return Err(invalid(error.to_string()));
    }
    // Elements of less than a byte share bytes, and the last byte may be half full.
    let slack = 8 / element.bits().clamp(1, 8) - 1;
    match tensor.stored() {
        Some(stored) if stored < count || stored > count + slack => {
            Err(invalid(format!("its sizes {:?} ask for {count} elements, it has {stored}", tensor.dims)))
        }
        _ => Ok(()),
    }
}
