//! Embedding tables in int8, with a scale for each row: only the rows that are looked up become floats again.
//!
//! A table is half of a small text model's size. Rows are quantised alone, since a rare word's vector can be much shorter
//! than a frequent one's (all-MiniLM-L6-v2: cosine 0.99998 with a scale a row, 0.9992 with one for the whole table).

use super::int8_dynamic::matrix_of;
use super::quantize::Quantized;
use super::{Pass, PassError, graph_of};
use crate::edit::{Index, Rewrite};
use crate::proto::Value;
use crate::{DataType, Graph, Model, Node, Tensor};

/// Quantises tables that rows are gathered from.
#[derive(Debug, Clone, Copy)]
pub struct Int8Tables {
    /// Tables of fewer numbers stay in floats.
    pub numbers_min: usize,
}

impl Default for Int8Tables {
    fn default() -> Self {
        Self { numbers_min: 1 << 16 }
    }
}

impl Pass for Int8Tables {
    fn name(&self) -> &'static str {
        "int8-tables"
    }

    fn apply(&self, model: &mut Model) -> Result<(), PassError> {
        let graph = graph_of(self, model)?;
        let mut rewrite = Rewrite::new(graph);
        for (at, table) in self.tables(graph) {
            let nodes = lookup(graph, at, &table, &mut rewrite);
            rewrite
                .replace(at, nodes.map_err(|reason| PassError::new(self, graph.nodes[at].label(), reason))?);
        }
        rewrite.finish(graph);
        Ok(())
    }
}

impl Int8Tables {
    fn tables(&self, graph: &Graph) -> Vec<(usize, String)> {
        let index = Index::new(graph);
        let table = |(at, node): (usize, &Node)| {
            let looked_up = node.is("Gather") && node.int("axis", 0) == 0 && node.only_output().is_some();
            let table = index.constant(node.input(0).filter(|_| looked_up && node.input(1).is_some())?)?;
            let large = table.dims.len() == 2 && table.count().ok()? >= self.numbers_min;
            (large && table.element() == Some(DataType::Float)).then(|| (at, table.name.clone()))
        };
        graph.nodes.iter().enumerate().filter_map(table).collect()
    }
}

fn lookup(graph: &Graph, at: usize, table: &str, rewrite: &mut Rewrite) -> Result<Vec<Node>, String> {
    let node = &graph.nodes[at];
    let (ids, output) = (&node.inputs[1], &node.outputs[0]);
    let Quantized { integers, scales } = Quantized::rows(&matrix_of(graph, table)?);
    let integers = rewrite.constant(Tensor::of_array(&format!("{table}.int8"), &integers));
    let scales = scales.insert_axis(ndarray::Axis(1));
    let scales = rewrite.constant(Tensor::of_array(&format!("{table}.scales"), &scales));
    let [rows, floats, scale] =
        ["int8", "floats", "scale"].map(|part| rewrite.fresh(&format!("{output}.{part}")));
    Ok(vec![
        Node::new("Gather", &[&integers, ids], &rows),
        Node::new("Cast", &[&rows], &floats).with("to", Value::Int(DataType::Float.number().into())),
        Node::new("Gather", &[&scales, ids], &scale),
        Node::new("Mul", &[&floats, &scale], output),
    ])
}
