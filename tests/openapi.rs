//! The OpenAPI document says what the server does, and what is printed at the start works when it is pasted.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are all tests")]

mod support;

use std::process::Command;

use serde_json::{Value, json};
use support::http::{get, request};
use support::process::{Program, Server};
use support::programs::binary;

fn serve(arguments: &[&str]) -> Server {
    Program::new(binary("ml-serve")).args(arguments).args(&["--port", "0"]).serve()
}

fn document(server: &Server) -> Value {
    let response = server.ask(&get("/openapi.json"));
    assert_eq!(response.head.status, 200, "{}", response.text());
    response.json()
}

/// Follows a reference within the document.
fn at<'a>(document: &'a Value, reference: &Value) -> &'a Value {
    let path = reference["$ref"].as_str().unwrap_or_else(|| panic!("{reference} is no reference"));
    document.pointer(path.trim_start_matches('#')).unwrap_or_else(|| panic!("{path} leads nowhere"))
}

/// Calls `see` with every object of a document.
fn each_object(value: &Value, see: &mut impl FnMut(&Value)) {
    match value {
        Value::Object(members) => {
            see(value);
            members.values().for_each(|member| each_object(member, see));
        }
        Value::Array(elements) => elements.iter().for_each(|element| each_object(element, see)),
        _ => {}
    }
}

#[test]
fn the_document_has_every_route_and_every_reference_leads_somewhere() {
    let server = serve(&["examples/models/addition", "examples/models/iris"]);
    let document = document(&server);
    assert_eq!(document["openapi"], "3.1.0");
    let routes = server.ask(&get("/")).json()["routes"].clone();
    for route in routes.as_array().unwrap() {
        let method = route["method"].as_str().unwrap().to_lowercase();
        let path = route["path"].as_str().unwrap();
        // What a model decides stands below its own name.
        let of_model = path.replace("{model}", "iris").replace("{version}", "1");
        let found = [path, &*of_model].into_iter().find(|path| document["paths"][*path][&method].is_object());
        assert!(found.is_some(), "{method} {path} is not in {}", document["paths"]);
    }
    each_object(&document, &mut |object| {
        if object.get("$ref").is_some_and(Value::is_string) {
            at(&document, object);
        }
    });
    let mut identifiers = Vec::new();
    each_object(&document["paths"], &mut |object| identifiers.extend(object.get("operationId").cloned()));
    let count = identifiers.len();
    identifiers.sort_by_key(Value::to_string);
    identifiers.dedup();
    assert_eq!(identifiers.len(), count, "operations share an identifier");
}

#[test]
fn a_models_schemas_are_its_tensors() {
    let server = serve(&["examples/models/addition"]);
    let document = document(&server);
    let predict = &document["paths"]["/models/addition/predict"]["post"];
    let content = &predict["requestBody"]["content"]["application/json"];
    let schema = at(&document, &content["schema"]);
    let number = &schema["properties"]["a"]["items"];
    assert_eq!((&number["type"], number["maximum"].as_f64().unwrap() as f32), (&json!("number"), f32::MAX));
    let pair = json!({"type": "array", "minItems": 2, "maxItems": 2, "items": number});
    assert_eq!(
        *schema,
        json!({
            "type": "object", "required": ["a", "b"], "properties": {"a": pair, "b": pair},
            "additionalProperties": false,
        })
    );
    let infer = &document["paths"]["/v2/models/addition/infer"]["post"];
    let content = &infer["requestBody"]["content"]["application/json"];
    let input = &at(&document, &content["schema"])["properties"]["inputs"]["items"]["anyOf"][1]["properties"];
    assert_eq!((&input["name"], &input["datatype"]), (&json!({"const": "b"}), &json!({"const": "FP32"})));
    assert_eq!(
        input["shape"]["prefixItems"],
        json!([{"type": "integer", "minimum": 0, "maximum": 1024}, {"const": 2}])
    );
    // The examples are what they say that they are.
    for (path, operation) in [("/models/addition/predict", predict), ("/v2/models/addition/infer", infer)] {
        let example = &operation["requestBody"]["content"]["application/json"]["example"];
        let response = server.ask(&support::http::post(path, example.to_string()));
        assert_eq!(response.head.status, 200, "{path}: {}", response.text());
    }
}

#[test]
fn refusals_are_in_the_document_as_they_leave() {
    let server = serve(&["examples/models/addition", "--body-bytes-max", "1KiB"]);
    let document = document(&server);
    let large = "x".repeat(2000);
    for (method, path, documented, headers, body) in [
        ("POST", "/models/addition/predict", "/models/addition/predict", &[][..], "{"),
        ("POST", "/models/addition/predict", "/models/addition/predict", &[], "{}"),
        ("POST", "/models/addition/predict", "/models/addition/predict", &[], &*large),
        (
            "POST",
            "/models/addition/predict",
            "/models/addition/predict",
            &[("content-type", "text/css")],
            "{}",
        ),
        ("POST", "/models/no/predict", "/models/addition/predict", &[], "{}"),
        ("GET", "/models/no", "/models/{model}", &[], ""),
        ("POST", "/v2/models/addition/infer", "/v2/models/addition/infer", &[], "{"),
        ("POST", "/v2/models/addition/infer", "/v2/models/addition/infer", &[], &large),
        ("GET", "/v2/models/no/ready", "/v2/models/{model}/ready", &[], ""),
        ("POST", "/v2/repository/models/no/load", "/v2/repository/models/{model}/load", &[], ""),
    ] {
        let response = server.ask(&request(method, path, headers, body));
        let status = response.head.status.to_string();
        let operation = &document["paths"][documented][method.to_lowercase()];
        assert!(response.head.status >= 400, "{path}: {}", response.text());
        let schema = at(&document, &operation["responses"][&status]);
        let schema = at(&document, &schema["content"]["application/json"]["schema"]);
        for required in schema["required"].as_array().unwrap() {
            let has = response.json().get(required.as_str().unwrap()).is_some();
            assert!(has, "{path}: {required} is not in {}", response.text());
        }
    }
}

#[test]
fn the_page_is_of_one_piece() {
    let server = serve(&["examples/models/addition"]);
    let response = server.ask(&get("/docs"));
    assert_eq!(
        (response.head.status, response.head.header("content-type")),
        (200, Some("text/html; charset=utf-8"))
    );
    let policy = response.head.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'"), "{policy}");
    let page = response.text();
    for outside in ["http://", "https://", "src=", "innerHTML", "@import"] {
        assert!(!page.contains(outside), "{outside} is in the page");
    }
}

#[test]
fn lines_that_are_printed_at_the_start_work_when_pasted() {
    let server = serve(&["examples/models/addition", "examples/models/iris"]);
    server.line_of_output("to read and to try: http://");
    let lines: Vec<String> =
        server.output().lines().filter(|line| line.contains("curl ")).map(str::to_owned).collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    for line in lines {
        let ran = Command::new("sh").args(["-c", &line]).output().expect("there is a shell");
        let answer: Value = serde_json::from_slice(&ran.stdout).unwrap_or_default();
        let answered = answer.get("outputs").or(answer.get("sum")).or(answer.get("probabilities"));
        assert!(
            answered.is_some(),
            "{line}\n{}{}",
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr)
        );
    }
}
