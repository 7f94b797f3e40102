//! Takes out what makes no difference: nodes whose values nobody takes, and constants that are there twice.

use std::collections::HashMap;

use super::{Pass, PassError, graph_of};
use crate::edit::remove_unused;
use crate::{Graph, Model, Node, Tensor};

/// Removes dead code and duplicate constants.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clean;

impl Pass for Clean {
    fn name(&self) -> &'static str {
        "clean"
    }

    fn apply(&self, model: &mut Model) -> Result<(), PassError> {
        let graph = graph_of(self, model)?;
        merge_constants(graph);
        remove_unused(graph);
        Ok(())
    }
}

/// What makes two constants the same. Only elements that are stored as they lie in memory are compared.
#[derive(PartialEq, Eq, Hash)]
struct Content<'a>(Option<i32>, &'a [i64], &'a [u8]);

fn merge_constants(graph: &mut Graph) {
    let inputs: Vec<_> = graph.inputs.iter().map(|input| input.name.as_str()).collect();
    let mut first: HashMap<Content<'_>, &str> = HashMap::new();
    let mut same = HashMap::new();
    for tensor in graph.initializers.iter().filter(|tensor| !inputs.contains(&tensor.name.as_str())) {
        let Tensor { name, dims, data_type, raw_data: Some(raw), .. } = tensor else { continue };
        let kept = *first.entry(Content(*data_type, dims, raw)).or_insert(name);
        if kept != name {
            same.insert(name.clone(), kept.to_owned());
        }
    }
    // An output that is a constant keeps its own.
    graph.outputs.iter().for_each(|output| drop(same.remove(&output.name)));
    graph.nodes.iter_mut().for_each(|node| rename(node, &same));
}

/// Lets a node, and graphs inside of it, take values by other names.
pub(super) fn rename(node: &mut Node, names: &HashMap<String, String>) {
    for input in &mut node.inputs {
        if let Some(name) = names.get(input) {
            input.clone_from(name);
        }
    }
    for graph in node.attributes.iter_mut().flat_map(|attribute| attribute.graphs_mut()) {
        graph.nodes.iter_mut().for_each(|node| rename(node, names));
    }
}
