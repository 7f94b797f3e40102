//! The difference between an output and the expected one: numbers by how much, everything else by where.

use serde_json::{Map, Value};

/// How an output differs from the expected one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Difference {
    /// The largest absolute difference of two numbers and its JSON pointer; `None` without numbers.
    pub largest: Option<(f64, String)>,
    /// Where the output has another shape or another word, as JSON pointer and description.
    pub broken: Vec<(String, String)>,
}

/// Compares an output with the expected one, leaving out the top-level field `except`.
///
/// The output may say more than was expected: a field that only it has is no difference.
///
/// ```
/// use ml_bench::eval::compare;
/// use serde_json::json;
///
/// let difference = compare(&json!({"scores": [0.5, 0.25]}), &json!({"scores": [0.5, 0.5]}), None);
/// assert_eq!(difference.largest, Some((0.25, "/scores/1".to_owned())));
/// assert!(difference.broken.is_empty());
/// ```
pub fn compare(expected: &Value, found: &Value, except: Option<&str>) -> Difference {
    let mut walk = Walk { path: String::new(), difference: Difference::default() };
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => walk.fields(expected, found, except),
        _ => walk.values(expected, found),
    }
    walk.difference
}

/// Goes down two values together. `path` is the pointer of the values it is at.
struct Walk {
    path: String,
    difference: Difference,
}

impl Walk {
    fn values(&mut self, expected: &Value, found: &Value) {
        match (expected, found) {
            (Value::Object(expected), Value::Object(found)) => self.fields(expected, found, None),
            (Value::Array(expected), Value::Array(found)) => self.elements(expected, found),
            (Value::Number(expected), Value::Number(found)) => {
                self.numbers(expected.as_f64().unwrap_or(f64::NAN), found.as_f64().unwrap_or(f64::NAN));
            }
            _ if kind(expected) != kind(found) => {
                self.broken(format!("expected {}, found {}", kind(expected), kind(found)));
            }
            _ if expected != found => self.broken(format!("expected {expected}, found {found}")),
            _ => {}
        }
    }

    fn fields(&mut self, expected: &Map<String, Value>, found: &Map<String, Value>, except: Option<&str>) {
        for (name, expected) in expected.iter().filter(|(name, _)| Some(name.as_str()) != except) {
            let step = name.replace('~', "~0").replace('/', "~1");
            self.at(&step, |walk| match found.get(name) {
                Some(found) => walk.values(expected, found),
                None => walk.broken("missing".to_owned()),
            });
        }
    }

    fn elements(&mut self, expected: &[Value], found: &[Value]) {
        if expected.len() != found.len() {
            self.broken(format!("expected {} elements, found {}", expected.len(), found.len()));
        }
        for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
            self.at(&index.to_string(), |walk| walk.values(expected, found));
        }
    }

    fn numbers(&mut self, expected: f64, found: f64) {
        let gap = (expected - found).abs();
        if self.difference.largest.as_ref().is_none_or(|(largest, _)| gap > *largest) {
            self.difference.largest = Some((gap, self.path.clone()));
        }
    }

    fn broken(&mut self, what: String) {
        self.difference.broken.push((self.path.clone(), what));
    }

    fn at(&mut self, step: &str, visit: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push('/');
        self.path.push_str(step);
        visit(self);
        self.path.truncate(length);
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_are_named_with_their_pointer() {
        let check = |expected: Value, found: Value, largest: Option<(f64, &str)>, broken: &[(&str, &str)]| {
            let difference = compare(&expected, &found, Some("label"));
            let seen: Vec<_> =
                difference.broken.iter().map(|(at, what)| (at.as_str(), what.as_str())).collect();
            assert_eq!(
                difference.largest,
                largest.map(|(gap, at)| (gap, at.to_owned())),
                "{expected} {found}"
            );
            assert_eq!(seen, broken, "{expected} {found}");
        };
        check(json!({"label": "a"}), json!({"label": "b"}), None, &[]);
        check(json!(1.5), json!(1.0), Some((0.5, "")), &[]);
        check(json!(1), json!(1.0), Some((0.0, "")), &[]);
        check(json!({"p": [1, 2, 3]}), json!({"p": [1, 4, 4]}), Some((2.0, "/p/1")), &[]);
        check(json!({"a/b": {"c~d": 1}}), json!({"a/b": {"c~d": 2}}), Some((1.0, "/a~1b/c~0d")), &[]);
        check(json!({"p": 1}), json!({"p": 1, "more": 2}), Some((0.0, "/p")), &[]);
        check(json!({"p": 1}), json!({}), None, &[("/p", "missing")]);
        check(json!({"p": 1}), json!({"p": "1"}), None, &[("/p", "expected a number, found a text")]);
        check(json!({"in": {"label": 1}}), json!({"in": {"label": 3}}), Some((2.0, "/in/label")), &[]);
        check(json!({"w": "x"}), json!({"w": "y"}), None, &[("/w", "expected \"x\", found \"y\"")]);
        check(json!([1, 2]), json!([1]), Some((0.0, "/0")), &[("", "expected 2 elements, found 1")]);
        check(json!({"p": 1}), json!([1]), None, &[("", "expected an object, found an array")]);
    }
}
