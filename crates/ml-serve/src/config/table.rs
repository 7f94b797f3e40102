//! The table of settings, in the order of help and of the documentation.

use std::num::NonZeroUsize;
use std::time::Duration;

use ml_core::{Device, OptimisedCopy, RuntimeChoice};

use super::setting::{Choice, Kind, Setting};
use super::{Config, LogFormat, ModelControl, form};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;
const HOUR_MS: usize = 3_600_000;

/// Every setting. A new one is a line here and a field of [`Config`].
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "host",
        help: "address to listen on",
        kind: Kind::Text {
            word: "ADDRESS",
            form: "an IP address or host name",
            default: "127.0.0.1",
            check: form::is_host,
            set: |config, host| config.host = host,
        },
    },
    Setting {
        key: "port",
        help: "port to listen on (0: any free one)",
        kind: Kind::Whole {
            unit: "",
            default: 8080,
            range: 0..=65535,
            // The range ends where the type does.
            set: |config, port| config.port = u16::try_from(port).unwrap_or(u16::MAX),
        },
    },
    Setting {
        key: "grpc_port",
        help: "port for gRPC (off: none; 0: any free one)",
        kind: Kind::Port { set: |config, port| config.grpc_port = port },
    },
    Setting {
        key: "http_threads",
        help: "threads that serve HTTP (0: decided)",
        kind: threads(|config, count| config.http_threads = NonZeroUsize::new(count)),
    },
    Setting {
        key: "runners",
        help: "runners per model, one batch each (0: decided)",
        kind: threads(|config, count| config.runners = NonZeroUsize::new(count)),
    },
    Setting {
        key: "intra_op_threads",
        help: "threads inside one run (0: decided)",
        kind: threads(|config, count| config.intra_op_threads = NonZeroUsize::new(count)),
    },
    Setting {
        key: "wide_threads",
        help: "threads inside a run that is alone (0: all CPUs)",
        kind: threads(|config, count| config.wide_threads = NonZeroUsize::new(count)),
    },
    Setting {
        key: "preprocess_threads",
        help: "threads that prepare inputs (0: decided)",
        kind: threads(|config, count| config.preprocess_threads = NonZeroUsize::new(count)),
    },
    Setting {
        key: "runtime",
        help: "what runs the models",
        kind: Kind::Choice(&[
            Choice { word: "auto", set: |config| config.runtime = RuntimeChoice::Auto },
            Choice { word: "onnxruntime", set: |config| config.runtime = RuntimeChoice::OnnxRuntime },
            Choice { word: "rten", set: |config| config.runtime = RuntimeChoice::Rten },
            Choice { word: "tvm", set: |config| config.runtime = RuntimeChoice::Tvm },
        ]),
    },
    Setting {
        key: "device",
        help: "what the models run on",
        kind: Kind::Text {
            word: "DEVICE",
            form: "auto, cpu, cuda, cuda:N, tensorrt, openvino, coreml or directml",
            default: "auto",
            check: |text| text.parse::<Device>().is_ok(),
            // The check is the parser.
            set: |config, text| config.device = text.parse().unwrap_or_default(),
        },
    },
    Setting {
        key: "onnxruntime_path",
        help: "ONNX Runtime's shared library",
        kind: Kind::Path { set: |config, path| config.onnxruntime_path = Some(path) },
    },
    Setting {
        key: "optimised_copy",
        help: "where optimised models are kept",
        kind: Kind::Choice(&[
            Choice { word: "beside_model", set: |config| config.optimised_copy = OptimisedCopy::BesideModel },
            Choice { word: "never", set: |config| config.optimised_copy = OptimisedCopy::Never },
        ]),
    },
    Setting {
        key: "variant",
        help: "which form of each model serves",
        kind: Kind::Text {
            word: "NAME",
            form: "auto, original, or a variant's name",
            default: "auto",
            check: form::is_name,
            set: |config, name| config.variant = name,
        },
    },
    Setting {
        key: "shadow_percent",
        help: "share of runs that the original repeats",
        kind: Kind::Whole {
            unit: "percent",
            default: 0,
            range: 0..=100,
            set: |config, percent| config.shadow_percent = percent,
        },
    },
    Setting {
        key: "model_control",
        help: "who loads models of a repository",
        kind: Kind::Choice(&[
            Choice { word: "none", set: |config| config.model_control = ModelControl::None },
            Choice { word: "explicit", set: |config| config.model_control = ModelControl::Explicit },
            Choice { word: "poll", set: |config| config.model_control = ModelControl::Poll },
        ]),
    },
    Setting {
        key: "repository_poll_ms",
        help: "time between two looks at repositories",
        kind: time(15_000, 10, |config, ms| config.repository_poll = millis(ms)),
    },
    Setting {
        key: "batch_items_max",
        help: "most items in one run (0: 64, on a GPU 256)",
        kind: decided("items", 4096, |config, count| config.batch_items_max = NonZeroUsize::new(count)),
    },
    Setting {
        key: "queue_items_max",
        help: "most items waiting for a model; more are refused",
        kind: items(4096, 1_000_000, |config, count| config.queue_items_max = count),
    },
    Setting {
        key: "queue_bytes_max",
        help: "most bytes of inputs waiting for one model",
        kind: Kind::Bytes {
            default: 256 * MIB,
            range: KIB..=64 * GIB,
            set: |config, bytes| config.queue_bytes_max = bytes,
        },
    },
    Setting {
        key: "queue_wait_max_ms",
        help: "longest estimated wait; longer is refused",
        kind: time(10_000, 1, |config, ms| config.queue_wait_max = millis(ms)),
    },
    Setting {
        key: "cache_bytes_max",
        help: "answers remembered per model (0: none)",
        kind: Kind::Bytes {
            default: 0,
            range: 0..=64 * GIB,
            set: |config, bytes| config.cache_bytes_max = bytes,
        },
    },
    Setting {
        key: "cache_ttl_ms",
        help: "time that a remembered answer is good for",
        kind: Kind::Whole {
            unit: "ms",
            default: HOUR_MS,
            range: 1..=24 * 365 * HOUR_MS,
            set: |config, ms| config.cache_time_to_live = millis(ms),
        },
    },
    Setting {
        key: "body_bytes_max",
        help: "largest request body",
        kind: Kind::Bytes {
            default: 64 * MIB,
            range: KIB..=GIB,
            set: |config, bytes| config.body_bytes_max = bytes,
        },
    },
    Setting {
        key: "item_bytes_max",
        help: "largest item of a batch",
        kind: Kind::Bytes {
            default: 256 * KIB,
            range: 16..=GIB,
            set: |config, bytes| config.item_bytes_max = bytes,
        },
    },
    Setting {
        key: "call_items_max",
        help: "most items of a JSON batch call (not of NDJSON)",
        kind: items(1024, 100_000, |config, count| config.call_items_max = count),
    },
    Setting {
        key: "shared_memory_bytes_max",
        help: "shared memory that clients may register (0: none)",
        kind: Kind::Bytes {
            default: 0,
            range: 0..=64 * GIB,
            set: |config, bytes| config.shared_memory_bytes_max = bytes,
        },
    },
    Setting {
        key: "sequences_max",
        help: "most sequences of a model under way at once",
        kind: Kind::Whole {
            unit: "sequences",
            default: 1024,
            range: 1..=1_000_000,
            set: |config, count| config.sequences_max = count,
        },
    },
    Setting {
        key: "server_name",
        help: "what the server calls itself in /v2",
        kind: Kind::Text {
            word: "NAME",
            form: "1 to 64 letters, digits, dots, underscores and hyphens",
            default: "ml-serve",
            check: form::is_server_name,
            set: |config, name| config.server_name = name,
        },
    },
    Setting {
        key: "remote_settings",
        help: "requests may change log and trace settings",
        kind: Kind::Choice(&[
            Choice { word: "off", set: |config| config.remote_settings = false },
            Choice { word: "on", set: |config| config.remote_settings = true },
        ]),
    },
    Setting {
        key: "concurrent_requests_max",
        help: "most requests in work at once",
        kind: Kind::Whole {
            unit: "requests",
            default: 1024,
            range: 1..=100_000,
            set: |config, count| config.concurrent_requests_max = count,
        },
    },
    Setting {
        key: "request_timeout_ms",
        help: "time in which a request is answered",
        kind: time(30_000, 1, |config, ms| config.request_timeout = millis(ms)),
    },
    Setting {
        key: "drain_timeout_ms",
        help: "time to answer what was accepted, after SIGTERM",
        kind: time(30_000, 0, |config, ms| config.drain_timeout = millis(ms)),
    },
    Setting {
        key: "keep_alive_ms",
        help: "time that an idle connection stays open",
        kind: time(75_000, 0, |config, ms| config.keep_alive = millis(ms)),
    },
    Setting {
        key: "log_format",
        help: "form of the log lines",
        kind: Kind::Choice(&[
            Choice { word: "human", set: |config| config.log_format = LogFormat::Human },
            Choice { word: "json", set: |config| config.log_format = LogFormat::Json },
        ]),
    },
    Setting {
        key: "log_level",
        help: "what is logged",
        kind: Kind::Text {
            word: "FILTER",
            form: "a level, or tracing directives such as info,ml_serve=debug",
            default: "info",
            check: form::is_log_filter,
            set: |config, level| config.log_level = level,
        },
    },
];

const fn threads(set: fn(&mut Config, usize)) -> Kind {
    decided("threads", 1024, set)
}

/// A number where 0 leaves the decision to the server.
const fn decided(unit: &'static str, most: usize, set: fn(&mut Config, usize)) -> Kind {
    Kind::Whole { unit, default: 0, range: 0..=most, set }
}

const fn items(default: usize, most: usize, set: fn(&mut Config, usize)) -> Kind {
    Kind::Whole { unit: "items", default, range: 1..=most, set }
}

const fn time(default: usize, least: usize, set: fn(&mut Config, usize)) -> Kind {
    Kind::Whole { unit: "ms", default, range: least..=HOUR_MS, set }
}

fn millis(ms: usize) -> Duration {
    Duration::from_millis(ms as u64)
}
