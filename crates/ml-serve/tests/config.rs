//! The configuration's promises: which source wins, what each key sets, what is refused in which words.
// Clippy counts what the tests share as production code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ffi::OsString;
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use ml_core::{Device, OptimisedCopy, RuntimeChoice};
use ml_serve::config::{
    Config, ConfigError, Invocation, Kind, LogFormat, ModelControl, ModelEntry, ModelTask, SETTINGS, Setting,
    from_sources,
};

#[path = "config/documents.rs"]
mod documents;
#[path = "config/refusals.rs"]
mod refusals;

type Env<'a> = &'a [(&'a str, &'a str)];

/// Reads these sources; a file's text stands in `serve.toml`, which `--config` names where there is any text.
fn invoke(file: &str, env: Env<'_>, args: &[&str]) -> Result<Invocation, ConfigError> {
    let named: &[&str] = if file.is_empty() { &[] } else { &["--config", "serve.toml"] };
    let args = named.iter().chain(args).map(OsString::from);
    let env = env.iter().map(|(name, text)| (name.into(), text.into()));
    from_sources(args, env, |path| match path == Path::new("serve.toml") {
        true => Ok(file.to_owned()),
        false => Err(io::Error::new(io::ErrorKind::NotFound, "no such file")),
    })
}

fn config(file: &str, env: Env<'_>, args: &[&str]) -> Config {
    match invoke(file, env, args) {
        Ok(Invocation::Serve(config)) => *config,
        other => panic!("{other:?} from {file:?}, {env:?}, {args:?}"),
    }
}

fn help() -> String {
    match invoke("", &[], &["--help"]) {
        Ok(Invocation::Help(text)) => text,
        other => panic!("{other:?}"),
    }
}

/// Returns three values, each different from the one before it, the first from the default.
fn samples(setting: &Setting) -> [String; 3] {
    match &setting.kind {
        Kind::Whole { default, .. } | Kind::Bytes { default, .. } => {
            [1, 2, 3].map(|n| (default + n).to_string())
        }
        Kind::Choice(choices) => [1, 0, choices.len() - 1].map(|n| choices[n].word.to_owned()),
        Kind::Text { .. } if setting.key == "log_level" => ["warn", "debug", "trace"].map(str::to_owned),
        Kind::Text { .. } if setting.key == "device" => ["cuda:1", "cpu", "openvino"].map(str::to_owned),
        Kind::Text { .. } if setting.key == "variant" => {
            ["int8-mixed", "original", "fp16"].map(str::to_owned)
        }
        Kind::Text { .. } if setting.key == "server_name" => ["triton", "a.b", "c-d"].map(str::to_owned),
        Kind::Text { .. } => ["::1", "localhost", "example.org"].map(str::to_owned),
        Kind::Port { .. } => ["0", "8001", "off"].map(str::to_owned),
        Kind::Path { .. } => ["a.so", "/b.so", "c/d.so"].map(str::to_owned),
    }
}

fn toml_value(setting: &Setting, text: &str) -> String {
    match text.parse::<usize>() {
        Ok(_) if !matches!(setting.kind, Kind::Text { .. } | Kind::Path { .. }) => text.to_owned(),
        _ => format!("{text:?}"),
    }
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    for setting in SETTINGS {
        let [low, middle, high] = samples(setting);
        let file = format!("{} = {}", setting.key, toml_value(setting, &low));
        let (name, flag) = (setting.environment(), setting.flag());
        let env = [(name.as_str(), middle.as_str())];
        let args = [flag.as_str(), high.as_str()];
        let assigned = format!("{flag}={high}");

        let (by_file, by_env, by_flag) =
            (config(&file, &[], &[]), config("", &env, &[]), config("", &[], &args));
        assert_ne!(by_file, Config::default(), "{flag}");
        assert_ne!(by_env, by_file, "{flag}");
        assert_ne!(by_flag, by_env, "{flag}");
        assert_eq!(config(&file, &env, &[]), by_env, "{flag}");
        assert_eq!(config(&file, &env, &args), by_flag, "{flag}");
        assert_eq!(config(&file, &env, &[&assigned]), by_flag, "{flag}");
    }
}

#[test]
fn every_key_reaches_its_own_field() {
    let text = r#"
        host = "0.0.0.0"
        port = 1
        grpc_port = 14
        http_threads = 2
        runners = 3
        intra_op_threads = 4
        wide_threads = 6
        preprocess_threads = 5
        runtime = "onnxruntime"
        device = "cuda:3"
        onnxruntime_path = "lib/libonnxruntime.so"
        optimised_copy = "never"
        variant = "int8-mixed"
        shadow_percent = 18
        model_control = "explicit"
        repository_poll_ms = 20
        batch_items_max = 6
        queue_items_max = 0x10
        queue_bytes_max = "14KiB"
        queue_wait_max_ms = 15
        cache_bytes_max = "16KiB"
        cache_ttl_ms = 17
        body_bytes_max = "7KiB"
        item_bytes_max = 8_000
        call_items_max = 9
        shared_memory_bytes_max = "18KiB"
        sequences_max = 19
        server_name = "triton"
        remote_settings = "on"
        concurrent_requests_max = 10
        request_timeout_ms = 11
        drain_timeout_ms = 12
        keep_alive_ms = 13
        log_format = "json"
        log_level = "warn,ml_serve=debug"
        [[models]]
        path = "models/a"
        name = "a-1"
        variant = "fp16"
        [[models]]
        path = "b.onnx"
    "#;
    let model = |path: &str, name: Option<&str>, variant: Option<&str>| ModelEntry {
        path: path.into(),
        name: name.map(str::to_owned),
        variant: variant.map(str::to_owned),
        task: ModelTask::default(),
    };
    let expected = Config {
        host: "0.0.0.0".into(),
        port: 1,
        grpc_port: Some(14),
        http_threads: NonZeroUsize::new(2),
        runners: NonZeroUsize::new(3),
        intra_op_threads: NonZeroUsize::new(4),
        wide_threads: NonZeroUsize::new(6),
        preprocess_threads: NonZeroUsize::new(5),
        runtime: RuntimeChoice::OnnxRuntime,
        device: Device::Cuda(3),
        onnxruntime_path: Some("lib/libonnxruntime.so".into()),
        optimised_copy: OptimisedCopy::Never,
        variant: "int8-mixed".into(),
        shadow_percent: 18,
        model_control: ModelControl::Explicit,
        repository_poll: Duration::from_millis(20),
        batch_items_max: NonZeroUsize::new(6),
        queue_items_max: 16,
        queue_bytes_max: 14 * 1024,
        queue_wait_max: Duration::from_millis(15),
        cache_bytes_max: 16 * 1024,
        cache_time_to_live: Duration::from_millis(17),
        body_bytes_max: 7 * 1024,
        item_bytes_max: 8000,
        call_items_max: 9,
        shared_memory_bytes_max: 18 * 1024,
        sequences_max: 19,
        server_name: "triton".into(),
        remote_settings: true,
        concurrent_requests_max: 10,
        request_timeout: Duration::from_millis(11),
        drain_timeout: Duration::from_millis(12),
        keep_alive: Duration::from_millis(13),
        log_format: LogFormat::Json,
        log_level: "warn,ml_serve=debug".into(),
        models: vec![
            model("models/a", Some("a-1"), Some("fp16")),
            model("b.onnx", None, None),
            model("c", None, None),
            model("--d", None, None),
        ],
    };
    assert_eq!(config(text, &[], &["c", "--", "--d"]), expected);
}

#[test]
fn every_default_is_a_value_that_its_setting_takes() {
    for setting in SETTINGS {
        let Some(default) = setting.default() else { continue };
        let assigned = format!("{}={default}", setting.flag());
        assert_eq!(config("", &[], &[&assigned]), Config::default(), "{assigned}");
    }
}

#[test]
fn port_is_honoured_below_its_own_variable() {
    let port = |env| config("port = 1", env, &[]).port;
    assert_eq!(port(&[("PORT", "2")]), 2);
    assert_eq!(port(&[("PORT", "2"), ("ML_SERVE_PORT", "3")]), 3);
    assert_eq!(port(&[("PORTS", "2")]), 1);
}

#[test]
fn the_flag_names_the_file_before_the_environment_does() {
    let named = [("ML_SERVE_CONFIG", "serve.toml")];
    let absent = [("ML_SERVE_CONFIG", "absent.toml")];
    let read = |_: &Path| Ok("port = 1".to_owned());
    let by_env = from_sources([], named.map(|(name, text)| (name.into(), text.into())), read);
    assert!(matches!(by_env, Ok(Invocation::Serve(config)) if config.port == 1));
    assert_eq!(config("port = 1", &absent, &[]).port, 1);
}

#[test]
fn help_and_version_come_before_any_refusal_of_what_follows() {
    assert_eq!(invoke("", &[("ML_SERVE_PROT", "1")], &["-h", "--prot"]).unwrap(), Invocation::Help(help()));
    let version = Invocation::Version(format!("ml-serve {}\n", env!("CARGO_PKG_VERSION")));
    for flag in ["-V", "--version"] {
        assert_eq!(invoke("", &[], &["--port=1", flag]).unwrap(), version);
    }
}

#[test]
fn help_names_every_flag_with_its_default_in_100_columns() {
    let help = help();
    for setting in SETTINGS {
        let line = help.lines().find(|line| line.trim_start().starts_with(&(setting.flag() + " ")));
        let line = line.unwrap_or_else(|| panic!("{} is not in the help", setting.flag()));
        let columns = [setting.default().unwrap_or("unset".into()), setting.help.to_owned()];
        for column in columns {
            assert!(line.contains(&format!(" {column}")), "{column} is not apart in {line}");
        }
    }
    for line in help.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[cfg(unix)]
#[test]
fn only_a_path_may_be_other_than_unicode() {
    use std::os::unix::ffi::OsStringExt;

    let text = |start: &[u8]| OsString::from_vec([start, b"\xff"].concat());
    let read = |args: [OsString; 2]| from_sources(args, [], |_| Ok(String::new()));
    let config = match read([text(b"--onnxruntime-path="), text(b"model")]) {
        Ok(Invocation::Serve(config)) => config,
        other => panic!("{other:?}"),
    };
    assert_eq!(config.onnxruntime_path, Some(text(b"").into()));
    assert_eq!(
        config.models,
        [ModelEntry { path: text(b"model").into(), name: None, variant: None, task: ModelTask::default() }]
    );
    let error = read(["--log-level".into(), text(b"info,a=")]).unwrap_err().to_string();
    assert!(error.starts_with("flag --log-level: log_level is \"info,a=\u{fffd}\"; it takes "), "{error}");
}
