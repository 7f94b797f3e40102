//! The program's command line, environment and file, as whoever starts it sees them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are all tests")]

mod support;

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

use support::http::get;
use support::process::Program;
use support::programs::binary;

fn ml_serve(args: &[&str]) -> Program {
    Program::new(binary("ml-serve")).args(args)
}

/// Writes a file for one test.
fn file(name: &str, text: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("configuration-{name}"));
    fs::write(&path, text).unwrap();
    path.to_str().expect("the target folder's path is text").to_owned()
}

/// Takes a port, so that nobody else can listen on it.
fn taken() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    (listener, port)
}

#[test]
fn what_it_cannot_start_with_is_named() {
    let wrong_file = file("wrong.toml", "port = 0\nbatch_items_max = 4097\n");
    let no_models = "there is nothing to serve: name a model folder or file, as in `ml-serve model.onnx`";
    let iris = "examples/models/iris";
    let cases: [(&[&str], i32, &[&str]); 12] = [
        (&["--device", "gpu"], 2, &["--device", "\"gpu\"", "auto, cpu, cuda, cuda:N, tensorrt, openvino"]),
        (
            &["--port", "0", iris, "--runtime", "rten", "--device", "cuda:1"],
            1,
            &[iris, "the device cuda:1 cannot be had: rten 0.27 offers cpu"],
        ),
        (&["--prot", "1"], 2, &["--prot", "did you mean --port?"]),
        (&["--port", "80a80"], 2, &["--port", "\"80a80\"", "0 to 65535"]),
        (&["--port"], 2, &["--port", "no value follows"]),
        (&["--runtime", "onnx", iris], 2, &["--runtime", "onnx", "onnxruntime"]),
        (&["--config", &wrong_file], 2, &[&wrong_file, "line 2", "batch_items_max is 4097", "0 to 4096"]),
        (&["--config", "/nonexistent/serve.toml"], 2, &["/nonexistent/serve.toml", "cannot be read"]),
        (&["--port", "0"], 1, &[no_models]),
        (&["--port", "0", "/nonexistent/model"], 1, &["/nonexistent/model", "No such file"]),
        (
            &["--port", "0", iris, "--onnxruntime-path", "README.md"],
            1,
            &[
                iris,
                "the path that was given (README.md): not an ONNX Runtime",
                "python3 -m pip install onnxruntime",
            ],
        ),
        (&["--port", "0", iris, iris], 1, &["the model name \"iris\" stands for two models"]),
    ];
    for (args, code, expected) in cases {
        let ended = ml_serve(args).run();
        assert_eq!(ended.code, Some(code), "{args:?}: {}", ended.stderr);
        let last = ended.stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with("ml-serve: "), "{args:?}: {last}");
        for part in expected {
            assert!(last.contains(part), "{args:?}: {part:?} is not in {last}");
        }
        assert_eq!(ended.stdout, "", "{args:?}");
    }
}

#[test]
fn a_variable_that_is_no_setting_is_named() {
    let ended = Program::iris(&[]).env("ML_SERVE_PROT", "1").run();
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    let expected = "environment ML_SERVE_PROT: unknown setting; did you mean ML_SERVE_PORT?";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
}

#[test]
fn a_port_in_use_is_named_whoever_named_it() {
    let (_listener, port) = taken();
    let config = file("port.toml", &format!("port = {port}\n"));
    let iris = || ml_serve(&["examples/models/iris"]);
    let cases = [
        ("flag", iris().args(&["--port", &port])),
        ("PORT", iris().env("PORT", &port)),
        ("ML_SERVE_PORT", iris().env("ML_SERVE_PORT", &port).env("PORT", "0")),
        ("file", iris().args(&["--config", &config])),
        ("file of ML_SERVE_CONFIG", iris().env("ML_SERVE_CONFIG", &config)),
    ];
    for (origin, program) in cases {
        let ended = program.run();
        assert_eq!(ended.code, Some(1), "{origin}: {}", ended.stderr);
        let expected = format!("ml-serve: cannot listen on 127.0.0.1:{port}: ");
        assert!(ended.stderr.lines().any(|line| line.starts_with(&expected)), "{origin}: {}", ended.stderr);
    }
}

#[test]
fn a_later_source_wins() {
    let (_listener, port) = taken();
    let config = file("later.toml", &format!("port = {port}\n"));
    let iris = || ml_serve(&["examples/models/iris", "--config", &config]);
    let cases = [
        ("PORT", iris().env("PORT", "0")),
        ("ML_SERVE_PORT", iris().env("PORT", &port).env("ML_SERVE_PORT", "0")),
        ("flag", iris().env("PORT", &port).env("ML_SERVE_PORT", &port).args(&["--port", "0"])),
    ];
    for (origin, program) in cases {
        let server = program.serve();
        assert_ne!(server.address.port().to_string(), port, "{origin}");
        assert_eq!(server.ask(&get("/health/ready")).head.status, 200, "{origin}");
    }
}

#[test]
fn a_file_names_settings_and_models() {
    let text = "port = 0\nitem_bytes_max = \"1KiB\"\nlog_format = \"json\"\n\n\
                [[models]]\npath = \"examples/models/iris\"\nname = \"flowers\"\n";
    let server =
        ml_serve(&["--config", &file("models.toml", text), "examples/models/iris/model.onnx"]).serve();
    let listed = server.ask(&get("/models")).json();
    let names: Vec<_> =
        listed["models"].as_array().unwrap().iter().map(|model| model["name"].as_str()).collect();
    assert_eq!(names, [Some("flowers"), Some("iris")]);
    let long = support::http::post("/models/flowers/predict", " ".repeat(1025));
    assert_eq!(server.ask(&long).json()["code"], "item_too_large");
    let ended = server.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.lines().all(|line| line.starts_with('{')), "{}", ended.stderr);
}

#[cfg(target_os = "linux")]
#[test]
fn threads_follow_the_cpus_that_the_process_may_use() {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
    let first = allowed.split(['-', ',']).next().unwrap();
    let ml_serve = binary("ml-serve");
    let flags = ["-c", first, ml_serve.to_str().unwrap(), "examples/models/iris", "--port", "0"];
    let server = Program::new(PathBuf::from("taskset")).args(&flags).serve();
    server.wait_for_log("1 CPUs: 1 runners × 1 threads, 1 for a lone run, 1 preprocess, 1 http");
}

#[test]
fn the_help_and_the_version_fit_a_terminal() {
    for args in [["--help"], ["-h"], ["--version"], ["-V"]] {
        let ended = ml_serve(&args).run();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{args:?}");
        let longest = ended.stdout.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!((1..=100).contains(&longest), "{args:?}: a line has {longest} columns");
    }
    let help = ml_serve(&["--help"]).run().stdout;
    for part in ["--port 0-65535", "8080", "--config FILE", "ML_SERVE_"] {
        assert!(help.contains(part), "{part} is not in\n{help}");
    }
}
