//! How passes change a graph: they find nodes, say what stands in their places, and everything else stays.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{Graph, Node, Tensor};

/// Who makes and who takes each value of a graph.
pub(crate) struct Index<'a> {
    graph: &'a Graph,
    constants: HashMap<&'a str, &'a Tensor>,
    producers: HashMap<&'a str, usize>,
    consumers: HashMap<&'a str, Vec<usize>>,
    outputs: HashSet<&'a str>,
}

impl<'a> Index<'a> {
    pub(crate) fn new(graph: &'a Graph) -> Self {
        let inputs: HashSet<_> = graph.inputs.iter().map(|input| input.name.as_str()).collect();
        // A constant that is also an input is only a default: a caller may give another.
        let constants = graph.initializers.iter().filter(|tensor| !inputs.contains(tensor.name.as_str()));
        let mut producers = HashMap::new();
        let mut consumers: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, node) in graph.nodes.iter().enumerate() {
            producers.extend(node.outputs.iter().map(|name| (name.as_str(), index)));
            for name in taken(node) {
                consumers.entry(name).or_default().push(index);
            }
        }
        Self {
            graph,
            constants: constants.map(|tensor| (tensor.name.as_str(), tensor)).collect(),
            producers,
            consumers,
            outputs: graph.outputs.iter().map(|output| output.name.as_str()).collect(),
        }
    }

    pub(crate) fn constant(&self, name: &str) -> Option<&'a Tensor> {
        self.constants.get(name).copied()
    }

    pub(crate) fn node(&self, index: usize) -> &'a Node {
        &self.graph.nodes[index]
    }

    pub(crate) fn producer(&self, name: &str) -> Option<(usize, &'a Node)> {
        let index = *self.producers.get(name)?;
        Some((index, &self.graph.nodes[index]))
    }

    pub(crate) fn consumers(&self, name: &str) -> impl Iterator<Item = (usize, &'a Node)> {
        let indices = self.consumers.get(name).into_iter().flatten();
        indices.map(|&index| (index, &self.graph.nodes[index]))
    }

    /// Returns the one node that takes a value, of a value that goes nowhere else.
    pub(crate) fn only_consumer(&self, name: &str) -> Option<(usize, &'a Node)> {
        let mut consumers = self.consumers(name);
        let only = consumers.next().filter(|_| !self.outputs.contains(name))?;
        consumers.next().is_none().then_some(only)
    }
}

/// Returns every value that a node takes, those that graphs inside of it take from outside included.
pub(crate) fn taken(node: &Node) -> Vec<&str> {
    let mut names: Vec<&str> =
        node.inputs.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
    for graph in node.graphs() {
        // What the inner graph makes itself may be among them; that costs a wrong answer nowhere, since names are unique.
        names.extend(graph.nodes.iter().flat_map(taken));
        names.extend(graph.outputs.iter().map(|output| output.name.as_str()));
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// Changes to a graph, made together at the end.
pub(crate) struct Rewrite {
    replaced: BTreeMap<usize, Vec<Node>>,
    added: Vec<Tensor>,
    names: HashSet<String>,
}

impl Rewrite {
    pub(crate) fn new(graph: &Graph) -> Self {
        let mut names = HashSet::new();
        all_names(graph, &mut names);
        Self { replaced: BTreeMap::new(), added: Vec::new(), names }
    }

    /// Returns a name that nothing has yet: this one, or this one with a number.
    pub(crate) fn fresh(&mut self, wish: &str) -> String {
        let mut name = wish.to_owned();
        let mut number = 1;
        while !self.names.insert(name.clone()) {
            number += 1;
            name = format!("{wish}.{number}");
        }
        name
    }

    /// Adds a constant under a fresh name and returns it.
    pub(crate) fn constant(&mut self, mut tensor: Tensor) -> String {
        tensor.name = self.fresh(&tensor.name);
        let name = tensor.name.clone();
        self.added.push(tensor);
        name
    }

    /// Lets these nodes stand in the place of one; the last call for a place holds.
    pub(crate) fn replace(&mut self, index: usize, nodes: Vec<Node>) {
        self.replaced.insert(index, nodes);
    }

    /// Makes the changes, and removes what nothing needs any more.
    pub(crate) fn finish(mut self, graph: &mut Graph) {
        let nodes = std::mem::take(&mut graph.nodes);
        for (index, node) in nodes.into_iter().enumerate() {
            match self.replaced.remove(&index) {
                Some(nodes) => graph.nodes.extend(nodes),
                None => graph.nodes.push(node),
            }
        }
        graph.initializers.extend(self.added);
        remove_unused(graph);
    }
}

fn all_names(graph: &Graph, names: &mut HashSet<String>) {
    names.extend(graph.inputs.iter().map(|input| input.name.clone()));
    names.extend(graph.initializers.iter().map(|tensor| tensor.name.clone()));
    for node in &graph.nodes {
        names.extend(node.outputs.iter().cloned());
        names.insert(node.name.clone());
        node.graphs().for_each(|graph| all_names(graph, names));
    }
}

/// Removes nodes and constants whose values nothing takes.
pub(crate) fn remove_unused(graph: &mut Graph) {
    let mut needed: HashSet<String> = graph.outputs.iter().map(|output| output.name.clone()).collect();
    let mut keep = vec![false; graph.nodes.len()];
    for (node, keep) in graph.nodes.iter().zip(&mut keep).rev() {
        *keep = node.outputs.iter().any(|output| needed.contains(output));
        if *keep {
            needed.extend(taken(node).into_iter().map(str::to_owned));
        }
    }
    let mut keep = keep.into_iter();
    graph.nodes.retain(|_| keep.next().unwrap_or(true));
    let inputs: HashSet<_> = graph.inputs.iter().map(|input| input.name.clone()).collect();
    graph.initializers.retain(|tensor| needed.contains(&tensor.name) || inputs.contains(&tensor.name));
    graph
        .sparse_initializers
        .retain(|tensor| tensor.values.as_ref().is_none_or(|values| needed.contains(&values.name)));
    let made: HashSet<_> = graph.nodes.iter().flat_map(|node| &node.outputs).collect();
    graph.value_infos.retain(|info| made.contains(&info.name));
}
