//! A template: a request body with a hole for the items.

use serde_json::Value;

use crate::{Error, Line};

/// A request body with a hole for the items.
#[derive(Debug, Clone)]
pub struct Template {
    head: String,
    tail: String,
    items: Items,
}

/// Whether the hole takes one item or an array of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Items {
    One,
    Batch,
}

impl Template {
    /// Makes a template from a body in which `"$item"` or `"$items"` stands for the hole.
    pub(crate) fn new(body: &Value, items: Items) -> Result<Self, Error> {
        let (field, hole) = match items {
            Items::One => ("body_one", "\"$item\""),
            Items::Batch => ("body_batch", "\"$items\""),
        };
        let text = body.to_string();
        match text.split(hole).collect::<Vec<_>>()[..] {
            [head, tail] => Ok(Self { head: head.to_owned(), tail: tail.to_owned(), items }),
            ref parts => Err(Error::Target {
                name: field.to_owned(),
                reason: format!("{hole} is there {} times, must be there once", parts.len() - 1),
            }),
        }
    }

    /// Returns the body that carries these items.
    pub fn fill<'a>(&self, lines: impl Iterator<Item = &'a Line>) -> Vec<u8> {
        let items: Vec<&str> = lines.map(|line| line.item.get()).collect();
        let items = items.join(",");
        let (open, close) = match self.items {
            Items::One => ("", ""),
            Items::Batch => ("[", "]"),
        };
        [&self.head, open, &items, close, &self.tail].concat().into_bytes()
    }
}
