//! Command lines and what they are read as.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::limit::Order;
use crate::load::{Arrivals, Goal, Pace, Window};

fn read(line: &str) -> Result<Command, String> {
    parse(line.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
}

#[test]
fn a_wrong_command_line_says_what_is_wrong() {
    let cases = [
        (
            "",
            "no command given, must be one of eval, load, limit, compare, tune, lookups, variants, echo; see ml-bench --help",
        ),
        ("evla", "unknown command evla; did you mean eval?"),
        ("serve", "unknown command serve"),
        ("--hepl", "unknown flag --hepl; did you mean --help?"),
        ("load --clints 3", "unknown flag --clints; did you mean --clients?"),
        ("eval --min-acuracy=0.5", "unknown flag --min-acuracy; did you mean --min-accuracy?"),
        ("load -c 3", "unknown argument -c"),
        ("load twice", "unknown argument twice"),
        ("load --url", "missing argument for option '--url'"),
        ("load --url u --url v", "--url is given twice"),
        ("load --url u --model m", "--data is missing"),
        ("eval --url u --model m", "--data is missing"),
        ("load --model m --data d", "--url is missing"),
        ("load --url u --data d", "--model is missing"),
        ("eval --url u --model m --data d --batch 0", "--batch is 0, must be a whole number from 1 up"),
        (
            "eval --url u --model m --data d --min-accuracy 80",
            "--min-accuracy is 80, must be a share from 0 to 1",
        ),
        ("eval --url u --model m --data d --tolerance NaN", "--tolerance is NaN, must be a number from 0 up"),
        ("load --url u --model m --data d --rate 5 --clients 2", "--clients and --rate exclude each other"),
        (
            "load --url u --model m --data d --rate 0",
            "--rate is 0, must be requests per second, above 0, at most 1000000, and with at most 50000000 in \
             the whole run",
        ),
        (
            "load --url u --model m --data d --rates 5,x",
            "--rates is 5,x, must be requests per second, above 0, at most 1000000, and with at most 50000000 \
             in the whole run",
        ),
        ("load --url u --model m --data d --rate 5 --rates 6", "--rate and --rates exclude each other"),
        (
            "load --url u --model m --data d --rate 5 --arrivals normal",
            "--arrivals is normal, must be poisson or fixed",
        ),
        ("load --url u --model m --data d --arrivals fixed", "--arrivals needs --rate"),
        (
            "load --url u --model m --data d --clients 1,0",
            "--clients is 1,0, must be whole numbers from 1 up, with commas between them",
        ),
        ("load --url u --model m --data d --duplicates 2", "--duplicates is 2, must be a share from 0 to 1"),
        ("limit --data d", "MODEL is missing"),
        ("limit m", "--data is missing"),
        ("limit m n --data d", "unknown argument n"),
        ("limit m --data d --latncy", "unknown flag --latncy; did you mean --latency?"),
        ("limit m --data d --runtime tvm", "--runtime is tvm, must be auto, onnxruntime or rten"),
        (
            "limit m --data d --orders random",
            "--orders is random, must be arrival, sorted, or both with a comma between them",
        ),
        ("compare", "FILE is missing"),
        ("compare f --round 3", "unknown flag --round; did you mean --rounds?"),
        ("tune --serve s --data d --model m --out o", "--goal-p99-ms is missing"),
        ("echo --port 70000", "--port is 70000, must be a port from 0 to 65535"),
        ("load --url u --model m --data d --goal-ms 0", "--goal-ms is 0, must be milliseconds above 0"),
        ("load --url u --model m --data d --duration-s 0", "--duration-s is 0, must be seconds from 0.1 up"),
        (
            "load --url u --model m --data d --duration-s inf",
            "--duration-s is inf, must be seconds from 0.1 up",
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(read(line).unwrap_err(), expected, "{line}");
    }
}

#[test]
fn help_lists_every_flag_of_its_command() {
    for Entry { name: command, syntax, .. } in COMMANDS {
        let flags = [syntax.flags, syntax.switches].concat();
        let Ok(Command::Print(help)) = read(&format!("{command} --{} u --help", flags[0])) else {
            panic!("{command} has no help")
        };
        assert!(help::MAIN.contains(&format!("\n  {command} ")), "{command} is in the main help");
        let listed: Vec<&str> =
            help.lines().filter_map(|line| line.strip_prefix("  --")?.split(' ').next()).collect();
        let (mut listed, mut flags) = (listed, flags);
        listed.sort_unstable();
        flags.sort_unstable();
        assert_eq!(listed, flags, "{command}");
    }
}

#[test]
fn flags_end_up_in_the_options() {
    let line = "eval --url u --model m --data a --data b --batch 8 --clients 3 --field class --tolerance 0.5 \
                --min-accuracy 0.8 --limit 7 --timeout-ms 9 --json j";
    let Ok(Command::Eval(options, outputs)) = read(line) else { panic!("{line}") };
    assert_eq!((options.server.url.as_str(), options.server.model.as_str()), ("u", "m"));
    assert_eq!(options.server.timeout, Duration::from_millis(9));
    assert_eq!(options.data, [PathBuf::from("a"), PathBuf::from("b")]);
    assert_eq!((options.batch.get(), options.clients.get(), options.limit), (8, 3, Some(7)));
    assert_eq!((options.field.as_str(), options.limits.tolerance), ("class", 0.5));
    assert_eq!((options.limits.min_accuracy, outputs.json), (Some(0.8), Some(PathBuf::from("j"))));

    let line = "load --url u --model m --data d --rate 2.5 --seed 9 --duration-s 1.5 --warm-up-s 0 --threads 2 \
                --goal-ms 2.5 --duplicates 0.5 --pid 77 --html h";
    let Ok(Command::Load(options, paces, outputs)) = read(line) else { panic!("{line}") };
    let arrivals = Arrivals::Poisson { seed: 9 };
    assert_eq!(paces, [Pace::Rate { per_second: 2.5, arrivals, max_in_flight: 10_000 }]);
    assert_eq!(options.window, Window { warm_up: Duration::ZERO, duration: Duration::from_millis(1500) });
    assert_eq!((options.threads.get(), options.goal), (2, Some(Goal(Duration::from_micros(2500)))));
    assert_eq!((options.duplicates, options.seed, options.pid), (0.5, 9, Some(77)));
    assert_eq!(outputs.html, Some(PathBuf::from("h")));
}

#[test]
fn several_loads_are_read_in_order() {
    let line = "load --url u --model m --data d --rates 50,100.5 --arrivals fixed";
    let Ok(Command::Load(_, paces, _)) = read(line) else { panic!("{line}") };
    let arrivals = Arrivals::Fixed;
    let rate = |per_second| Pace::Rate { per_second, arrivals, max_in_flight: 10_000 };
    assert_eq!(paces, [rate(50.0), rate(100.5)]);

    let Ok(Command::Load(_, paces, _)) = read("load --url u --model m --data d --clients 1,8") else {
        panic!()
    };
    assert_eq!(paces, [1, 8].map(|clients| Pace::Clients(NonZeroUsize::new(clients).unwrap())));
}

#[test]
fn the_defaults_are_those_in_the_help() {
    let Ok(Command::Load(options, paces, outputs)) = read("load --url u --model m --data d") else {
        panic!()
    };
    let seconds = Duration::from_secs;
    assert_eq!(paces, [Pace::Clients(NonZeroUsize::new(32).unwrap())]);
    assert_eq!(options.window, Window { warm_up: seconds(3), duration: seconds(20) });
    assert_eq!((options.batch.get(), options.threads.get(), options.seed), (1, 1, 1));
    assert_eq!((options.duplicates, options.goal, options.pid), (0.0, None, None));
    assert_eq!((options.server.timeout, outputs), (seconds(30), crate::cli::Outputs::default()));
}

#[test]
fn a_limit_runs_what_fits_the_cpus_unless_both_numbers_are_given() {
    let line = "limit m --data d --sessions 2,4 --threads 3 --batches 8 --orders sorted --rounds 2 --latency";
    let Ok(Command::Limit(options, _)) = read(line) else { panic!("{line}") };
    assert_eq!(options.widths.iter().map(ToString::to_string).collect::<Vec<_>>(), ["2 × 3", "4 × 3"]);
    assert_eq!((options.batches[0].get(), options.rounds.get(), options.latency), (8, 2, true));
    assert_eq!(options.orders, [Order::Sorted]);

    let Ok(Command::Limit(options, _)) = read("limit m --data d --tokenizer t") else { panic!() };
    let cpus = std::thread::available_parallelism().unwrap().get();
    assert!(options.widths.iter().all(|width| width.sessions.get() * width.threads.get() <= cpus));
    assert_eq!(options.batches.iter().map(|batch| batch.get()).collect::<Vec<_>>(), [1, 4, 8, 16, 32]);
    assert_eq!((options.workload.items.get(), options.workload.field.as_str()), (512, "text"));
    assert_eq!(options.workload.tokenizer, Some(PathBuf::from("t")));
}

#[test]
fn compare_and_tune_are_read() {
    let line = "compare f.json --rounds 3 --targets a,b --markdown m";
    let Ok(Command::Compare(options, outputs)) = read(line) else { panic!("{line}") };
    assert_eq!(
        (options.rounds.get(), options.targets, options.scenarios),
        (3, vec!["a".into(), "b".into()], vec![])
    );
    assert_eq!(outputs.markdown, Some(PathBuf::from("m")));

    let line = "tune --serve s --goal-p99-ms 100 --data d --model m --out o --budgets 2,4";
    let Ok(Command::Tune(options, _)) = read(line) else { panic!("{line}") };
    assert_eq!((options.goal, options.clients_max.get()), (Duration::from_millis(100), 64));
    assert_eq!(options.budgets.iter().map(|budget| budget.get()).collect::<Vec<_>>(), [2, 4]);
    assert_eq!((options.ready.as_str(), options.duration), ("/health/ready", Duration::from_secs(1)));
}
