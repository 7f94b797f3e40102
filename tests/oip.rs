//! The Open Inference Protocol over HTTP, byte for byte: what breaks real clients, and the texts that they look for.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are all tests")]

mod support;

use serde_json::{Value, json};
use support::http::{Response, chunk, get, head, request};
use support::process::{Program, Server};
use support::programs::binary;

const LENGTH: &str = "Inference-Header-Content-Length";

fn serve(flags: &[&str]) -> Server {
    let models = ["examples/models/addition", "examples/models/iris", "--port", "0"];
    Program::new(binary("ml-serve")).args(&models).args(flags).serve()
}

/// The addition of two rows, with parts of the request replaced.
fn addition(changes: Value) -> Value {
    let tensor =
        |name: &str, data: [f64; 2]| json!({"name": name, "shape": [1, 2], "datatype": "FP32", "data": data});
    let mut request = json!({"inputs": [tensor("a", [1.0, 2.5]), tensor("b", [3.0, -1.0])]});
    merge(&mut request, changes);
    request
}

/// Replaces members, deeply; an array's members by their places, null for what stays.
fn merge(into: &mut Value, changes: Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (key, value) in changes {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(changes)) if changes.iter().any(Value::is_object) => {
            for (into, change) in into.iter_mut().zip(changes) {
                merge(into, change);
            }
        }
        (_, Value::Null) => {}
        (into, changes) => *into = changes,
    }
}

fn infer(server: &Server, model: &str, body: impl AsRef<[u8]>, headers: &[(&str, &str)]) -> Response {
    server.ask(&request("POST", &format!("/v2/models/{model}/infer"), headers, body))
}

/// A request whose first input follows the JSON.
fn binary_addition(sizes: [usize; 2], data: &[u8]) -> (Vec<u8>, String) {
    let mut request = addition(json!({"parameters": {"binary_data_output": true}}));
    for (input, size) in request["inputs"].as_array_mut().unwrap().iter_mut().zip(sizes) {
        input.as_object_mut().unwrap().remove("data");
        input["parameters"] = json!({"binary_data_size": size});
    }
    let mut body = request.to_string().into_bytes();
    let length = body.len().to_string();
    body.extend_from_slice(data);
    (body, length)
}

fn floats(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

#[test]
fn what_is_asked_about_the_server_is_answered_on_every_spelling_of_a_path() {
    let server = serve(&[]);
    for (path, expected) in [
        ("/v2/health/live", json!({"live": true})),
        ("/v2/health/ready", json!({"ready": true})),
        ("/v2/models/addition/ready", json!({"name": "addition", "ready": true})),
        ("/v2/models/addition/versions/1/ready?x=1&y=2", json!({"name": "addition", "ready": true})),
        ("/v2/models/addit%69on/ready", json!({"name": "addition", "ready": true})),
    ] {
        let response = server.ask(&get(path));
        assert_eq!((response.head.status, response.json()), (200, expected), "{path}");
        assert_eq!(response.head.header("content-type"), Some("application/json"), "{path}");
    }
    for path in ["/v2", "/v2/", "/v2?test=1"] {
        assert_eq!(server.ask(&get(path)).json()["name"], "ml-serve", "{path}");
    }
    let metadata = server.ask(&get("/v2/models/addition")).json();
    let tensor = |name: &str| json!({"name": name, "datatype": "FP32", "shape": [-1, 2]});
    assert_eq!(
        metadata,
        json!({
            "name": "addition", "versions": ["1"], "platform": metadata["platform"],
            "inputs": [tensor("a"), tensor("b")], "outputs": [tensor("sum")],
        })
    );
}

#[test]
fn a_server_is_called_what_its_clients_look_for() {
    let server = serve(&["--server-name", "triton"]);
    assert_eq!(server.ask(&get("/v2")).json()["name"], "triton");
}

#[test]
fn refusals_are_in_the_protocols_form() {
    let server = serve(&[]);
    for (method, path, status, text) in [
        ("GET", "/v2/nothing", 404, "Not Found"),
        ("GET", "/v2/models/addition/nothing", 404, "Not Found"),
        ("POST", "/v2", 405, "Method Not Allowed"),
        ("TRACE", "/v2/health/live", 405, "Method Not Allowed"),
        ("GET", "/v2/models/addition/infer", 405, "Method Not Allowed"),
        ("DELETE", "/v2/models/addition", 405, "Method Not Allowed"),
        ("GET", "/v2/models/nosuch", 404, "Request for unknown model: 'nosuch' is not found"),
        ("GET", "/v2/models/nosuch/ready", 404, "Request for unknown model: 'nosuch' is not found"),
        ("GET", "/v2/models/nosuch/config", 404, "Request for unknown model"),
        ("GET", "/v2/models/addition/versions/v1.2.3", 404, "'addition' version v1.2.3 is not found"),
    ] {
        let response = server.ask(&request(method, path, &[], ""));
        assert_eq!(
            (response.head.status, response.json()["error"].as_str().is_some()),
            (status, true),
            "{path}"
        );
        assert!(response.json()["error"].as_str().unwrap().contains(text), "{path}: {}", response.text());
        assert_eq!(response.head.header("content-type"), Some("application/json"), "{path}");
        assert_eq!(response.head.header("allow").is_some(), status == 405, "{path}");
    }
}

#[test]
fn content_types_say_nothing() {
    let server = serve(&[]);
    for media in [
        None,
        Some("application/octet-stream"),
        Some("application/x-www-form-urlencoded"),
        Some("text/plain"),
    ] {
        let headers: Vec<_> = media.iter().map(|media| ("Content-Type", *media)).collect();
        let response = infer(&server, "addition", addition(json!({})).to_string(), &headers);
        assert_eq!(response.head.status, 200, "{media:?}: {}", response.text());
        assert_eq!(response.json()["outputs"][0]["data"], json!([4.0, 1.5]));
        assert_eq!(response.head.header("content-type"), Some("application/json"));
    }
}

#[test]
fn unknown_members_are_taken_and_an_empty_id_is_none() {
    let server = serve(&[]);
    let more = json!({"id": "", "model_name": "other", "parameters": {"mine": 1, "list": [1]}, "more": {"deep": [null]}});
    let response = infer(&server, "addition", addition(more).to_string(), &[]);
    let expected = json!({
        "model_name": "addition", "model_version": "1",
        "outputs": [{"name": "sum", "datatype": "FP32", "shape": [1, 2], "data": [4.0, 1.5]}],
    });
    assert_eq!(response.json(), expected);
    let response = infer(&server, "addition", addition(json!({"id": "a\"b"})).to_string(), &[]);
    assert_eq!(response.json()["id"], "a\"b");
}

#[test]
fn data_may_come_before_their_type_and_nested() {
    let server = serve(&[]);
    let body = r#"{"outputs":[],"inputs":[{"data":[[1],[2.5]],"shape":[1,2],"datatype":"FP32","name":"a"},
        {"name":"b","shape":[1,2],"datatype":"FP32","data":[[3,-1]]}]}"#;
    assert_eq!(infer(&server, "addition", body, &[]).json()["outputs"][0]["data"], json!([4.0, 1.5]));
}

#[test]
fn numbers_in_binary_come_back_in_binary() {
    let server = serve(&[]);
    let (body, length) = binary_addition([8, 8], &floats(&[1.0, 2.5, 3.0, -1.0]));
    let response = infer(&server, "addition", &body, &[(LENGTH, &length)]);
    assert_eq!(response.head.status, 200, "{}", response.text());
    assert_eq!(response.head.header("content-type"), Some("application/octet-stream"));
    let length: usize = response.head.header("inference-header-content-length").unwrap().parse().unwrap();
    let answer: Value = serde_json::from_slice(&response.body[..length]).unwrap();
    assert_eq!(answer["outputs"][0]["parameters"], json!({"binary_data_size": 8}));
    assert_eq!(response.body[length..], floats(&[4.0, 1.5]));
}

#[test]
fn a_body_may_come_in_chunks() {
    let server = serve(&[]);
    let (body, length) = binary_addition([8, 8], &floats(&[1.0, 2.5, 3.0, -1.0]));
    let headers = [(LENGTH, &*length), ("Transfer-Encoding", "chunked")];
    let mut chunked = head("POST", "/v2/models/addition/infer", &headers);
    body.chunks(7).chain([&[][..]]).for_each(|part| chunked.extend(chunk(part)));
    let response = server.ask(&chunked);
    assert_eq!(response.head.status, 200, "{}", response.text());
    assert!(response.body.ends_with(&floats(&[4.0, 1.5])));
}

#[test]
fn a_whole_body_may_be_the_only_input() {
    let server = serve(&[]);
    let response = infer(&server, "iris", floats(&[5.1, 3.5, 1.4, 0.2]), &[(LENGTH, "0")]);
    assert_eq!(response.head.status, 200, "{}", response.text());
    let length: usize = response.head.header("inference-header-content-length").unwrap().parse().unwrap();
    assert_eq!(response.body.len() - length, 12);
    let response = infer(&server, "addition", floats(&[1.0]), &[(LENGTH, "0")]);
    let text = "Raw request must only have 1 input (found 1) to be deduced but got 2 inputs in 'addition' model configuration";
    assert_eq!((response.head.status, &response.json()["error"]), (400, &json!(text)));
}

#[test]
fn lengths_that_are_none_are_refused() {
    let server = serve(&[]);
    let body = addition(json!({})).to_string();
    for (value, text) in [
        ("ten", "Unable to parse Inference-Header-Content-Length, got: ten"),
        ("99999999999", "value is out of range"),
        ("-1", "inference header size should be in range (0, "),
        ("100000", "inference header size should be in range (0, "),
        ("99999999999999999999999999999999999999999999", "Unable to parse Inference-Header-Content-Length"),
    ] {
        let response = infer(&server, "addition", &body, &[(LENGTH, value)]);
        assert_eq!(response.head.status, 400, "{value}");
        assert!(response.json()["error"].as_str().unwrap().contains(text), "{value}: {}", response.text());
    }
    // Where there is no body, a header that a caller reuses says nothing.
    assert_eq!(server.ask(&head("GET", "/v2/models/addition/stats", &[(LENGTH, "123")])).head.status, 200);
}

#[test]
fn bytes_must_be_used_up() {
    let server = serve(&[]);
    for (sizes, data, text) in [
        (
            [8, 8],
            &[0_u8; 12][..],
            "unexpected size for input 'b', expecting 4 additional bytes for model 'addition'",
        ),
        ([8, 8], &[0; 20], "unexpected additional input data for model 'addition'"),
        (
            [8, 12],
            &[0; 20],
            "input byte size mismatch for input 'b' for model 'addition'. Expected 8, got 12",
        ),
    ] {
        let (body, length) = binary_addition(sizes, data);
        let response = infer(&server, "addition", &body, &[(LENGTH, &length)]);
        assert_eq!((response.head.status, &response.json()["error"]), (400, &json!(text)));
    }
}

#[test]
fn what_is_wrong_with_a_request_is_said_in_tritons_words() {
    let server = serve(&[]);
    let cases = [
        (json!({"inputs": [{"name": "X"}]}), "unexpected inference input 'X' for model 'addition'"),
        (json!({"outputs": [{"name": "O"}]}), "unexpected inference output 'O' for model 'addition'"),
        (json!({"outputs": [{"name": "sum"}, {"name": "sum"}]}), "output 'sum' already exists in request"),
        (json!({"inputs": [{"name": "b"}]}), "input 'b' already exists in request"),
        (
            json!({"inputs": [{"shape": [1, 3]}]}),
            "unexpected shape for input 'a' for model 'addition'. Expected [-1,2], got [1,3]. NOTE: ",
        ),
        (json!({"inputs": [{"shape": [2]}]}), "Expected [-1,2], got [2]"),
        (
            json!({"inputs": [{"datatype": "INT32", "data": [1, 2]}]}),
            "inference input 'a' data-type is 'INT32', but model 'addition' expects 'FP32'",
        ),
        (json!({"inputs": [{"datatype": "FLOAT"}]}), "invalid datatype 'FLOAT' for input 'a'"),
        (
            json!({"inputs": [{"data": [1, 2, 3]}]}),
            "input byte size mismatch for input 'a' for model 'addition'. Expected 8, got 12",
        ),
        (
            json!({"inputs": [{"shape": [2, 2], "data": [1, 2, 3, 4]}]}),
            "input 'b' batch size does not match other inputs for 'addition'",
        ),
        (
            json!({"inputs": [{"datatype": "FP16"}]}),
            "receiving FP16 data via JSON is not supported. Please use the binary",
        ),
        (
            json!({"inputs": [{"data": ["1", "2"]}]}),
            "Unable to parse 'data': attempt to access JSON string as number",
        ),
        (
            json!({"inputs": [{"shape": [-1, 2]}]}),
            "Unable to parse 'shape': attempt to access JSON non-unsigned-integer as unsigned-integer",
        ),
        (json!({"inputs": 7}), "Unable to parse 'inputs': attempt to access JSON number as array"),
        (json!({"id": 7}), "Unable to parse 'id': attempt to access JSON number as string"),
        (
            json!({"inputs": [{"parameters": {"binary_data_size": 8}}]}),
            "Input must set only one of the following fields: 'data', 'binary_data_size' in 'parameters', \
             'shared_memory_region' in 'parameters'. But set 'data' 'binary_data_size'",
        ),
        (json!({"parameters": {"triton_x": 1}}), "parameter keys starting with 'triton_' are reserved"),
        (json!({"parameters": {"priority": -1}}), "parameter 'priority' must be"),
        (json!({"parameters": {"timeout": "soon"}}), "parameter 'timeout' must be"),
        (
            json!({"outputs": [{"name": "sum", "parameters": {"classification": 0}}]}),
            "'classification' must be",
        ),
    ];
    for (changes, text) in cases {
        let response = infer(&server, "addition", addition(changes.clone()).to_string(), &[]);
        let error = response.json()["error"].as_str().unwrap_or_default().to_owned();
        assert_eq!(response.head.status, 400, "{changes}: {error}");
        assert!(error.contains(text), "{changes}: {error}");
        assert!(
            !text.starts_with("unexpected inference output") || error.starts_with(text),
            "it starts so: {error}"
        );
    }
    let one = json!({"inputs": [addition(json!({}))["inputs"][0]]});
    let response = infer(&server, "addition", one.to_string(), &[]);
    let text = "expected 2 inputs but got 1 inputs for model 'addition'. Got input(s) ['a'], but missing required input(s) \
                ['b']. Please provide all required input(s).";
    assert_eq!((response.head.status, &response.json()["error"]), (400, &json!(text)));
}

#[test]
fn what_is_no_json_is_refused_wherever_it_breaks() {
    let server = serve(&[]);
    let deep = |depth: usize| {
        let nested = format!("{}1,2{}", "[".repeat(depth), "]".repeat(depth));
        addition(json!({})).to_string().replacen("[1.0,2.5]", &nested, 1)
    };
    assert_eq!(infer(&server, "addition", deep(50), &[]).head.status, 200);
    let whole = addition(json!({})).to_string();
    let cases = [
        (String::new(), "the document is empty"),
        ("{".to_owned(), "failed to parse the request JSON buffer: "),
        (whole[..whole.len() - 1].to_owned(), "failed to parse the request JSON buffer: "),
        (format!("{whole} x"), "failed to parse the request JSON buffer: "),
        ("{}".to_owned(), "Unable to parse 'inputs': attempt to access non-existing object member 'inputs'"),
        ("[]".to_owned(), "attempt to access JSON array as object"),
        (deep(120), "JSON nesting depth exceeds maximum allowed limit (100)"),
        (
            format!("{{\"x\":{}", "[".repeat(250_000)),
            "JSON nesting depth exceeds maximum allowed limit (100)",
        ),
    ];
    for (body, text) in cases {
        let response = infer(&server, "addition", &body, &[]);
        let error = response.json()["error"].as_str().unwrap_or_default().to_owned();
        assert_eq!(response.head.status, 400, "{error}");
        assert!(error.contains(text), "{error}");
    }
    for end in 0..whole.len() {
        let response = infer(&server, "addition", &whole[..end], &[]);
        assert_eq!(response.head.status, 400, "{}", &whole[..end]);
    }
}

#[test]
fn a_shape_alone_makes_nobody_allocate() {
    let server = serve(&[]);
    for shape in [json!([1_u64 << 40, 2]), json!([u64::MAX, 2]), json!([1_u64 << 62, 1_u64 << 62])] {
        let response =
            infer(&server, "addition", addition(json!({"inputs": [{"shape": shape}]})).to_string(), &[]);
        assert_eq!(response.head.status, 400, "{shape}: {}", response.text());
    }
}

#[test]
fn too_many_rows_are_refused_and_many_are_one_request() {
    let server = serve(&["--call-items-max", "100", "--batch-items-max", "8"]);
    for (rows, status) in [(1, 200), (8, 200), (9, 200), (100, 200), (101, 400)] {
        let data: Vec<usize> = (0..rows * 2).collect();
        let tensor = json!({"shape": [rows, 2], "data": data});
        let response =
            infer(&server, "addition", addition(json!({"inputs": [tensor, tensor]})).to_string(), &[]);
        assert_eq!(response.head.status, status, "{}", response.text());
        if status == 200 {
            let sums: Vec<f64> = (0..rows * 2).map(|number| 2.0 * number as f64).collect();
            assert_eq!(response.json()["outputs"][0]["data"], json!(sums));
        } else {
            assert_eq!(
                response.json()["error"],
                "inference request batch-size must be <= 100 for 'addition'"
            );
        }
    }
}

#[test]
fn only_a_caller_that_names_one_encoding_gets_it() {
    let server = serve(&[]);
    for (accepted, encoding) in [
        ("gzip, deflate, br", None),
        ("gzip, deflate, br, zstd", None),
        ("br", None),
        ("gzip;q=0", None),
        ("gzip", Some("gzip")),
        ("deflate", Some("deflate")),
        ("gzip;q=0.5, identity;q=0.1", Some("gzip")),
    ] {
        let response =
            infer(&server, "addition", addition(json!({})).to_string(), &[("Accept-Encoding", accepted)]);
        assert_eq!(
            (response.head.status, response.head.header("content-encoding")),
            (200, encoding),
            "{accepted}"
        );
    }
    let response = infer(&server, "addition", addition(json!({})).to_string(), &[("Content-Encoding", "br")]);
    assert_eq!(response.head.status, 400, "{}", response.text());
    let response =
        infer(&server, "addition", addition(json!({})).to_string(), &[("Content-Encoding", "gzip")]);
    assert_eq!(response.head.status, 400, "{}", response.text());
}

#[test]
fn what_does_not_fit_in_memory_or_time_is_refused() {
    let server = serve(&["--body-bytes-max", "1KiB"]);
    let response = infer(&server, "addition", vec![b' '; 1025], &[]);
    assert_eq!(response.head.status, 413, "{}", response.text());
    let late = addition(json!({"parameters": {"timeout": 1}})).to_string();
    let response = infer(&server, "addition", late, &[]);
    assert_eq!((response.head.status, &response.json()["error"]), (504, &json!("Request timeout expired")));
}

#[test]
fn a_row_answers_its_equal_whatever_protocol_it_came_by() {
    let server = serve(&["--cache-bytes-max", "1MiB"]);
    let item = r#"{"a":[1.0,2.5],"b":[3.0,-1.0]}"#;
    let response = server.ask(&support::http::post("/models/addition/predict", item));
    assert_eq!(response.json(), json!({"sum": [4.0, 1.5]}));
    let response = infer(&server, "addition", addition(json!({})).to_string(), &[]);
    assert_eq!(response.json()["outputs"][0]["data"], json!([4.0, 1.5]));
    let page = server.ask(&get("/metrics")).text();
    let hits = page.lines().find(|line| line.starts_with("ml_cache_hits_total{model=\"addition\"}"));
    assert!(hits.is_some_and(|line| line.ends_with(" 1")), "{page}");
}
