//! What is refused, word for word.

use super::{Env, invoke};

fn check(file: &str, env: Env<'_>, args: &[&str], expected: &str) {
    match invoke(file, env, args) {
        Err(error) => assert_eq!(error.to_string(), expected),
        Ok(invocation) => panic!("{invocation:?}, but wanted: {expected}"),
    }
}

#[test]
fn a_wrong_flag_is_refused() {
    let cases: &[(&[&str], &str)] = &[
        (&["--prot", "1"], "flag --prot: unknown setting; did you mean --port?"),
        (
            &["--batch_items_max=1"],
            "flag --batch_items_max: unknown setting; did you mean --batch-items-max?",
        ),
        (&["--confg", "x"], "flag --confg: unknown setting; did you mean --config?"),
        (&["--colour=red"], "flag --colour: unknown setting"),
        (&["-p", "1"], "flag -p: unknown setting"),
        (&["--port"], "flag --port: no value follows; port takes 0 to 65535"),
        (&["--config"], "flag --config: no value follows; config takes a path"),
        (&["--port=80", "--port", "81"], "flag --port: given twice, as \"80\" and as \"81\""),
        (&["--config=a", "--config=b"], "flag --config: given twice, as \"a\" and as \"b\""),
        (&["--port="], "flag --port: \"\" is not a whole number; port takes 0 to 65535"),
        (&["--port=-1"], "flag --port: port is -1; it takes 0 to 65535"),
        (&["--port", "65536"], "flag --port: port is 65536; it takes 0 to 65535"),
        (
            &["--keep-alive-ms=1s"],
            "flag --keep-alive-ms: \"1s\" is not a whole number; keep_alive_ms takes 0 to 3600000 ms",
        ),
        (
            &["--runtime=rtne"],
            "flag --runtime: runtime is \"rtne\"; it takes auto, onnxruntime, rten or tvm; did you mean rten?",
        ),
        (
            &["--runtime=torch"],
            "flag --runtime: runtime is \"torch\"; it takes auto, onnxruntime, rten or tvm",
        ),
        (&["--onnxruntime-path="], "flag --onnxruntime-path: onnxruntime_path is \"\"; it takes a path"),
        (&[""], "arguments: model is \"\"; it takes a path"),
        (&["--config=absent.toml"], "absent.toml: cannot be read: no such file"),
    ];
    for (args, expected) in cases {
        check("", &[], args, expected);
    }
}

#[test]
fn a_wrong_variable_is_refused() {
    let kubernetes = "unknown setting; Kubernetes sets it for a Service named ml-serve, unless enableServiceLinks is false";
    let cases: &[(&str, &str, &str)] = &[
        ("ML_SERVE_PORT", "80a80", "\"80a80\" is not a whole number; port takes 0 to 65535"),
        ("PORT", "99999999999999999999", "port is 99999999999999999999; it takes 0 to 65535"),
        ("ML_SERVE_PROT", "1", "unknown setting; did you mean ML_SERVE_PORT?"),
        ("ML_SERVE_port", "1", "unknown setting; did you mean ML_SERVE_PORT?"),
        ("ML_SERVE_CONFG", "x", "unknown setting; did you mean ML_SERVE_CONFIG?"),
        ("ML_SERVE_", "1", "unknown setting"),
        ("ML_SERVE_SERVICE_HOST", "10.0.0.1", kubernetes),
        ("ML_SERVE_PORT_8080_TCP", "tcp://10.0.0.1:8080", kubernetes),
        ("ML_SERVE_CONFIG", "", "config is \"\"; it takes a path"),
        ("ML_SERVE_LOG_FORMAT", "JSON", "log_format is \"JSON\"; it takes human or json; did you mean json?"),
        ("ML_SERVE_BODY_BYTES_MAX", "2GiB", "body_bytes_max is 2GiB; it takes 1KiB to 1GiB"),
        ("ML_SERVE_ITEM_BYTES_MAX", "15", "item_bytes_max is 15; it takes 16 bytes to 1GiB"),
        (
            "ML_SERVE_BODY_BYTES_MAX",
            "32MB",
            "\"32MB\" is not a number of bytes such as 4096, 512KiB, 32MiB or 1GiB; body_bytes_max takes 1KiB to 1GiB",
        ),
    ];
    for (name, text, expected) in cases {
        check("", &[(name, text)], &[], &format!("environment {name}: {expected}"));
    }
}

#[test]
fn a_wrong_file_is_refused_with_its_line() {
    let cases: &[(&str, &str)] = &[
        ("\n\nbatch_items_max = 4097", " line 3: batch_items_max is 4097; it takes 0 to 4096 items"),
        ("\nprot = 1", " line 2: unknown setting prot; did you mean port?"),
        ("[server]\nport = 1", " line 1: unknown setting server"),
        ("port = -0x1", " line 1 column 8: integers with a radix cannot be signed, expected nothing"),
        (
            "runners = 1\nport = \"1\"",
            " line 2: port is the string \"1\"; it takes a whole number: 0 to 65535",
        ),
        ("port = 1.5", " line 1: port is the float 1.5; it takes a whole number: 0 to 65535"),
        ("host = true", " line 1: host is the boolean true; it takes a string: an IP address or host name"),
        ("runtime = [1]", " line 1: runtime is an array; it takes a string: auto, onnxruntime, rten or tvm"),
        (
            "body_bytes_max = {}",
            " line 1: body_bytes_max is a table; it takes a whole number or a string: 1KiB to 1GiB",
        ),
        ("z = 1\na = 1", " line 1: unknown setting z"),
        (
            "models = \"a\"",
            " line 1: models is the string \"a\"; it takes [[models]] tables with path and name",
        ),
        (
            "models = [\n1]",
            " line 2: models is the whole number 1; it takes [[models]] tables with path and name",
        ),
        ("\n[[models]]\nname = \"a\"", " line 2: models.path is missing; it takes a path"),
        ("[[models]]\npth = \"a\"", " line 2: unknown setting models.pth; did you mean path?"),
        (
            "[[models]]\npath = \"a\"\nport = 1",
            " line 3: unknown setting models.port; settings stand above the first [[models]]",
        ),
        ("[[models]]\nvarient = \"a\"", " line 2: unknown setting models.varient; did you mean variant?"),
        (
            "[[models]]\nvariant = \"\"",
            " line 2: models.variant is the string \"\"; it takes a string: auto, original, or a variant's name",
        ),
        ("[[models]]\npath = \"\"", " line 2: models.path is the string \"\"; it takes a string: a path"),
        (
            "[[models]]\nname = 1",
            " line 2: models.name is the whole number 1; it takes a string: 1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit",
        ),
        ("a = 1\nport 1", " line 2 column 6: key with no value, expected `=`"),
        ("port = 1\nport = 2", " line 2 column 1: duplicate key"),
        ("host = \"ü\" x", " line 1 column 12: unexpected key or value, expected newline, `#`"),
    ];
    for (file, expected) in cases {
        check(file, &[], &[], &format!("serve.toml{expected}"));
    }
}

#[test]
fn a_model_name_can_stand_in_a_url() {
    let long = "a".repeat(65);
    for name in ["", ".", "..", "-a", "a/b", "a b", "ä", &long] {
        let file = format!("[[models]]\nname = {name:?}");
        let takes = "a string: 1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit";
        check(
            &file,
            &[],
            &[],
            &format!("serve.toml line 2: models.name is the string {name:?}; it takes {takes}"),
        );
    }
}

#[test]
fn a_text_of_another_form_is_refused() {
    let host = "an IP address or host name";
    let filter = "a level, or tracing directives such as info,ml_serve=debug";
    let cases = [
        ("host", host, ["", "a b", "0.0.0.0:80", "[::1]", "http://a", "256.0.0.1", "a..b"].as_slice()),
        ("log_level", filter, ["", "inof", "info,", "ml_serve", "info,ml_serve=loud"].as_slice()),
    ];
    for (key, takes, texts) in cases {
        let name = format!("ML_SERVE_{}", key.to_uppercase());
        for text in texts {
            check(
                "",
                &[(&name, text)],
                &[],
                &format!("environment {name}: {key} is {text:?}; it takes {takes}"),
            );
        }
    }
}

#[test]
fn a_queue_below_a_call_is_refused_where_either_was_given() {
    let queue = "queue_items_max is 9; it takes at least call_items_max, which is";
    let call = "call_items_max is 4097; it takes at most queue_items_max, which is 4096";
    check("", &[], &["--queue-items-max=9"], &format!("flag --queue-items-max: {queue} 1024"));
    check("call_items_max = 4097", &[], &[], &format!("serve.toml line 1: {call}"));
    let env = [("ML_SERVE_QUEUE_ITEMS_MAX", "9")];
    check("", &env, &["--call-items-max=10"], &format!("environment ML_SERVE_QUEUE_ITEMS_MAX: {queue} 10"));
}

#[test]
fn a_wrong_value_is_refused_even_where_a_later_source_replaces_it() {
    check("port = 70000", &[], &["--port=1"], "serve.toml line 1: port is 70000; it takes 0 to 65535");
}
