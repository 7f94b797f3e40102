//! What is said when the server is ready: where it is, and lines to paste that try it.

use std::io::{self, Write};

use crate::oip::inputs::Contract;
use crate::openapi::in_path;
use crate::state::{Model, State};

/// The models that lines are written for; of a repository of many, the first will do.
const MODELS_MAX: usize = 3;

/// The longest item that is written out.
const ITEM_BYTES_MAX: usize = 2048;

/// Prints the line that programs wait for, and below it what a person can paste.
pub(crate) fn announce(listening: &str, grpc: Option<String>, state: &State) {
    let models = state.models.latest();
    let names: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
    let grpc = grpc.map_or_else(String::new, |grpc| format!(" and grpc://{grpc}"));
    let mut text = format!("ml-serve is ready at http://{listening}{grpc} with {}\n", names.join(", "));
    let address = reachable(listening);
    for line in models.iter().take(MODELS_MAX).flat_map(|model| lines(&address, model)) {
        text.push_str(&line);
        text.push('\n');
    }
    text.push_str(&format!("to read and to try: http://{address}/docs\n"));
    // A reader that has gone away is no error.
    let mut out = io::stdout();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// An address that listens everywhere is reached here.
fn reachable(listening: &str) -> String {
    for (everywhere, here) in [("0.0.0.0:", "127.0.0.1:"), ("[::]:", "[::1]:")] {
        if let Some(port) = listening.strip_prefix(everywhere) {
            return format!("{here}{port}");
        }
    }
    listening.to_owned()
}

/// Returns the lines that try a model, each way that it can be asked.
fn lines(address: &str, model: &Model) -> Vec<String> {
    let name = in_path(&model.name);
    let item = model.info.example.as_ref().map(ToString::to_string);
    let item = item.filter(|item| item.len() <= ITEM_BYTES_MAX).map(|item| {
        let url = format!("http://{address}/models/{name}/predict");
        format!("curl {} -H 'content-type: application/json' -d {}", quoted(&url), quoted(&item))
    });
    let tensors = model.served.tensors().map(|tensors| {
        let contract = Contract { name: &model.name, version: model.version, pipeline: tensors.pipeline() };
        (contract.example(), contract.example_bytes())
    });
    let url = quoted(&format!("http://{address}/v2/models/{name}/infer"));
    let request = match tensors {
        Some((Some(request), _)) => Some(format!("curl {url} -d {}", quoted(&request.to_string()))),
        // What is too long to read is made by the line itself, and its answer counted.
        Some((None, Some(bytes))) => Some(format!(
            "head -c {bytes} /dev/zero | curl -s {url} -H 'inference-header-content-length: 0' --data-binary @- | wc -c"
        )),
        _ => None,
    };
    item.into_iter().chain(request).collect()
}

/// Quotes a word for a shell, where it needs that.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~%:/".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_read_them_otherwise() {
        for (word, expected) in [
            ("http://127.0.0.1:80/a%20b", "http://127.0.0.1:80/a%20b"),
            ("http://[::1]:80/a", "'http://[::1]:80/a'"),
            (r#"{"it's":1}"#, r#"'{"it'\''s":1}'"#),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }

    #[test]
    fn an_address_that_is_every_address_is_none_to_call() {
        assert_eq!(reachable("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(reachable("[::]:80"), "[::1]:80");
        assert_eq!(reachable("10.0.0.0:80"), "10.0.0.0:80");
    }
}
