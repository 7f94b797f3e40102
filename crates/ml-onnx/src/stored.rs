//! Tables of which a run takes few rows, such as the embeddings of words: they can stay on the disk.
//!
//! A mapped table is as good as in memory: Linux maps 64 KiB around each row that is touched, which soon is nearly all of it.

use crate::edit::{Index, Rewrite};
use crate::operators::{self, STORED_ROWS};
use crate::proto::{External, Value};
use crate::{DataType, Graph, Model, Node, Tensor};

/// Lets nodes that take rows of a table that lies in another file, and has so many bytes at least, read the rows from there; the
/// table is then no constant of the model any more. Returns how many nodes that are.
///
/// It is for floats, taken by 64-bit indices. Such a model is for its runtime: no other knows the operator.
pub fn leave_rows_stored(model: &mut Model, bytes_min: u64) -> usize {
    let Some(graph) = &mut model.graph else { return 0 };
    let (index, mut rewrite, mut count) = (Index::new(graph), Rewrite::new(graph), 0);
    for (at, node) in graph.nodes.iter().enumerate() {
        if let Some(stored) = stored(graph, &index, node, bytes_min) {
            rewrite.replace(at, vec![stored]);
            count += 1;
        }
    }
    if count > 0 {
        rewrite.finish(graph);
        operators::import(model);
    }
    count
}

fn stored(graph: &Graph, index: &Index<'_>, node: &Node, bytes_min: u64) -> Option<Node> {
    let (table, rows) = (index.constant(node.input(0)?)?, node.input(1)?);
    if !node.is("Gather") || node.int("axis", 0) != 0 || element(graph, index, rows)? != DataType::Int64 {
        return None;
    }
    let (External { file, offset, .. }, [count, width]) = table_of_floats(table)?;
    if count.checked_mul(width)?.checked_mul(4)? < i64::try_from(bytes_min).ok()? {
        return None;
    }
    let mut own = Node::own(STORED_ROWS, &[rows], &[node.only_output()?])
        .with("file", Value::Text(file))
        .with("offset", Value::Int(i64::try_from(offset).ok()?))
        .with("rows", Value::Int(count))
        .with("width", Value::Int(width));
    own.name.clone_from(&node.name);
    Some(own)
}

/// Returns where a table of floats lies, and its rows and their width; none where it lies in the model itself.
fn table_of_floats(table: &Tensor) -> Option<(External, [i64; 2])> {
    let [rows, width] = table.dims[..] else { return None };
    let place = table.external().ok().flatten()?;
    let fits = rows > 0 && width > 0 && table.element() == Some(DataType::Float);
    fits.then_some((place, [rows, width]))
}

/// Returns the type of a value, as far as the graph says.
fn element(graph: &Graph, index: &Index<'_>, name: &str) -> Option<DataType> {
    let said = graph.inputs.iter().chain(&graph.value_infos).find(|info| info.name == name);
    said.and_then(|info| info.element()).or_else(|| {
        let (_, cast) = index.producer(name).filter(|(_, node)| node.is("Cast"))?;
        DataType::of(i32::try_from(cast.int("to", 0)).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{Dim, Entry, OperatorSet, ValueInfo};

    /// A graph that takes rows of a table of 4 × 2 floats at byte 64 of `weights.bin`.
    fn model(indices: DataType, node: Node) -> Model {
        let note = |key: &str, value: &str| Entry {
            key: Some(key.to_owned()),
            value: Some(value.to_owned()),
            ..Entry::default()
        };
        let table = Tensor {
            name: "table".to_owned(),
            dims: vec![4, 2],
            data_type: Some(DataType::Float.number()),
            data_location: Some(1),
            external_data: vec![note("location", "weights.bin"), note("offset", "64"), note("length", "32")],
            ..Tensor::default()
        };
        let graph = Graph {
            nodes: vec![node],
            initializers: vec![table],
            inputs: vec![ValueInfo::tensor("ids", indices, &[Dim::named("n")])],
            outputs: vec![ValueInfo::tensor("rows", DataType::Float, &[Dim::named("n"), Dim::fixed(2)])],
            ..Graph::default()
        };
        let set = OperatorSet { version: Some(17), ..OperatorSet::default() };
        Model { graph: Some(graph), opset_imports: vec![set], ..Model::default() }
    }

    fn gather() -> Node {
        Node {
            op_type: "Gather".to_owned(),
            inputs: vec!["table".to_owned(), "ids".to_owned()],
            outputs: vec!["rows".to_owned()],
            ..Node::default()
        }
    }

    #[test]
    fn rows_of_a_large_table_are_left_where_they_are_stored() {
        let mut model = model(DataType::Int64, gather());
        assert_eq!(leave_rows_stored(&mut model, 33), 0, "it has 32 bytes");
        assert_eq!(leave_rows_stored(&mut model, 32), 1);
        model.check().unwrap();
        let graph = model.graph.unwrap();
        assert!(graph.initializers.is_empty(), "the table is no constant any more");
        let [node] = &graph.nodes[..] else { panic!("{:?}", graph.nodes) };
        assert!(node.is_own(STORED_ROWS));
        assert_eq!((node.input(0), node.only_output()), (Some("ids"), Some("rows")));
        assert_eq!(["offset", "rows", "width"].map(|name| node.int(name, -1)), [64, 4, 2]);
    }

    #[test]
    fn other_tables_stay_constants() {
        for (name, mut model) in [
            ("indices of 32 bits", model(DataType::Int32, gather())),
            ("columns", model(DataType::Int64, gather().with("axis", Value::Int(1)))),
            ("another operator", model(DataType::Int64, Node { op_type: "GatherND".to_owned(), ..gather() })),
        ] {
            assert_eq!(leave_rows_stored(&mut model, 0), 0, "{name}");
            assert_eq!(model.graph.unwrap().initializers.len(), 1, "{name}");
        }
        let mut inside = model(DataType::Int64, gather());
        inside.graph.as_mut().unwrap().initializers[0].data_location = None;
        assert_eq!(leave_rows_stored(&mut inside, 0), 0, "what lies in the model itself");
    }
}
