//! The help texts, one a command, and the version.

pub(super) const VERSION: &str = concat!("ml-bench ", env!("CARGO_PKG_VERSION"), "\n");

pub(super) const MAIN: &str = "\
Measures a model server over HTTP, and its model without one.

Usage: ml-bench <command> [--flag value]...

Commands:
  eval     send every item once; compare the answers with the truth and a reference
  load     send requests for a while; report throughput, latency and errors
  limit    run the model without a server: what any server can reach at best
  compare  measure several servers in interleaved rounds; report paired ratios
  tune     find the settings for this machine and a latency goal; write them
  lookups  measure what external lookups cost, and what an outage of theirs does
  variants make cheaper variants of a model, and measure what each costs and loses
  echo     serve bare HTTP handlers without a model: what HTTP alone costs

`ml-bench <command> --help` lists the flags. --version prints the version.

Exits with 0 when the measurement passed, 1 when it failed, 2 when it was not made.
";

pub(super) const EVAL: &str = "\
Sends every item once to the batch path and judges the answers.

Usage: ml-bench eval --url URL --model NAME --data FILE [--flag value]...

  --url URL            the server, http://host:port
  --model NAME         the model
  --data FILE          items, one a line: {\"item\": ..., \"label\": \"...\", \"expected\": ...},
                       where label is the truth and expected the reference's output, both optional;
                       may be given many times
  --limit N            at most this many items (all)
  --batch N            items in one call (256)
  --clients N          calls in flight (2)
  --field NAME         the field of an output that is the prediction (label)
  --tolerance X        how far a number may be from the expected one (1e-4)
  --min-accuracy X     the least share of right predictions (none)
  --timeout-ms N       how long an answer may take (300000)
  --target FILE        how requests and answers look, as JSON (ml-serve's); fields: path_one, path_batch
                       with $model, body_one with \"$item\", body_batch with \"$items\", headers, and the
                       JSON pointers answers (of the array) and output (in each)
  --json FILE          write the report there too

A prediction other than expected is a tie, and forgiven, when there are numbers beside it and all are
within the tolerance; of many items, as many as ten times the tolerance. Passes when every item got an
output, all other predictions are as expected, no number is beyond the tolerance, no output has another
shape, and the accuracy is reached.
";

pub(super) const LOAD: &str = "\
Sends requests for a while and reports throughput, latency and errors.

Usage: ml-bench load --url URL --model NAME --data FILE [--flag value]...

  --url URL            the server, http://host:port
  --model NAME         the model
  --data FILE          items, one a line: {\"item\": ...}; sent in order, again and again
  --clients N[,N...]   closed loop: so many clients, each with one request at a time (32)
  --rate X             open loop: so many requests a second, all decided before the run; latency runs from
                       the instant a request was due; above 10000 in flight it is an error, not sent
  --rates X,X...       the same at several rates, one run after the other
  --arrivals WORD      poisson: as of many independent users, or fixed: equal gaps (poisson)
  --duplicates X       the share of requests that equal one that is in flight (0)
  --seed N             the seed of the arrivals and of the duplicates (1)
  --duration-s X       the counted time of each run (20)
  --warm-up-s X        the time before it, not counted (3)
  --goal-ms X          the latency up to which an answer counts as goodput (none)
  --batch N            items in one request; more than 1 go to the batch path (1)
  --idle N             connections beside the load that ask once and then only stay open (0)
  --timeout-ms N       how long an answer may take (30000)
  --threads N          threads of the client (1); more for quick models, and with --rate when requests are sent late
  --pid N              the server's process: its resident memory, with all that it started, is reported
  --target FILE        how requests and answers look, as JSON (ml-serve's); see ml-bench eval --help
  --json FILE          write the report there too
  --html FILE          write it as a page with plots there too

Requests and latencies are of what was due in the counted time; latencies of what was answered.
Throughput is what was answered within the counted time. Passes when anything was answered and every
request that was due is accounted for.
";

pub(super) const LIMIT: &str = "\
Runs the model in a bare loop, without any server: the ceiling of what a server can reach.

Usage: ml-bench limit MODEL --data FILE [--flag value]...

All combinations of sessions × threads × batch × order run the same items, in interleaved rounds. Inputs are made
before; a batch is padded with zeros to its longest item.

  --data FILE          items, one a line: {\"item\": ...}; a text, or the model's inputs as arrays by name
  --tokenizer FILE     the tokenizer.json of a text model (none: items are the inputs)
  --field NAME         the field of an item that is the text (text)
  --items N            items in a pass, from the first on (512)
  --rounds N           passes of each combination (3)
  --sessions N,N...    sessions, each run by its own thread (1, 2, 4 ... and all CPUs)
  --threads N,N...     threads inside each session (the same); only sessions × threads up to the CPUs are run
  --batches N,N...     items in one run of the model (1,4,8,16,32)
  --orders WORD,...    arrival: as they come, sorted: by length, the longest first (arrival,sorted)
  --runtime WORD       auto, onnxruntime or rten (auto)
  --latency            time one item alone too, with 1 thread up to all CPUs
  --no-optimised-copy  run the file as it is, by the runtime alone (as servers do: the optimised copy, with our operators)
  --json FILE          write the report there too
  --html FILE          write it as a page with plots there too
";

pub(super) const VARIANTS: &str = "\
Makes cheaper variants of a model, measures each against it, and writes them with a manifest (variants.toml).

Usage: ml-bench variants MODEL --data FILE [--flag value]...

  --data FILE            items to measure on, one a line: {\"item\": ..., \"label\": \"...\"}, label being the truth
  --calibrate FILE       items to calibrate with, of another split (every fourth of the others, then not measured on)
  --tokenizer FILE       the tokenizer.json of a text model (none: items are the inputs)
  --field NAME           the field of an item that is the text (text)
  --items N              at most this many items to measure on (10000)
  --calibration-items N  at most this many items to calibrate with, drawn from the file (2048)
  --variants NAME,...    the variants that must hold the gates (int8-mixed,int8-per-token,packed,packed-int8-mixed)
  --compare NAME,...     variants that are made for comparison only (int8-dynamic,fp16)
  --also FILE,...        files of the same model, made elsewhere, to measure beside them (none)
  --rten                 measure the original on rten, too
  --openvino             measure the original on OpenVINO, too, which the ONNX Runtime in ORT_DYLIB_PATH must bring
  --tvm FILE.so          measure the original as TVM has compiled it, too (built with the feature tvm)
  --folder DIR           where variants and manifest go (the model's folder)
  --rounds N             interleaved rounds of timing (7)
  --runtime WORD         auto, onnxruntime or rten (auto)
  --min-cosine X         the least mean cosine to the original's first output (0.998)
  --min-cosine-p1 X      the least cosine at the first percentile (0.995)
  --max-flips X          the largest share of other predictions (0.02)
  --max-accuracy-loss X  the most accuracy that may be lost (0.005)
  --min-alone X          the least cosine between an item alone and in a batch of others (0.9999)
  --min-speed X          the least speed in batches of similar length, as a ratio to the original (1)
  --json FILE            write the report there too
  --html FILE            write it as a page with a plot there too

Variants: fp16, fp16-weights, int8-dynamic, int8-static, int8-static-minmax, int8-static-entropy, int8-mixed,
int8-per-token, packed, packed-int8-mixed, packed-int8-per-token; int8-fused, packed-fused and packed-int8-fused, with
operators of our own, for ONNX Runtime in these programs alone; ffn30 and ffn50-heads33 (pruned; judged by
accuracy only, since their outputs are not the original's), each also with -int8-mixed and -int8-fused; pruned60
(60 % of the weights, whichever are missed least) and pruned-accurate (the fewest weights that lose no more
accuracy than is allowed), judged likewise. Predictions are the largest number of the last
output; labels are the model's own (its note \"labels\"), or numbers. Passes when all gates hold.
";

pub(super) const COMPARE: &str = "\
Measures several targets in interleaved rounds and reports medians, and paired ratios to the first.

Usage: ml-bench compare FILE [--flag value]...

  --rounds N           turns of each target under each scenario (5)
  --targets NAME,...   only these targets (all)
  --scenarios NAME,... only these scenarios (all)
  --json FILE          write the report there too
  --html FILE          write it as a page with plots there too
  --markdown FILE      write its tables as Markdown there too

FILE is JSON, and paths in it are relative to it:

  {\"title\": ..., \"data\": FILE, \"model\": NAME,
   \"targets\": [
     {\"name\": ..., \"url\": \"http://host:port\", \"ready\": PATH, \"target\": FILE or description,
      \"start\": {\"argv\": [...], \"directory\": ..., \"env\": {...}}, \"keep\": true,
      \"model\": NAME, \"data\": FILE, \"only\": [SCENARIO, ...]},
     {\"name\": ..., \"limit\": {\"model\": FILE, \"tokenizer\": FILE, \"field\": \"text\", \"items\": 512,
      \"sessions\": 2, \"threads\": 1, \"batch\": 8, \"order\": \"sorted\"}}],
   \"scenarios\": [
     {\"name\": ..., \"clients\": 32 or \"rate\": 100, \"batch\": 1, \"duration_s\": 10, \"warm_up_s\": 2,
      \"goal_ms\": ..., \"duplicates\": ...}]}

A target with start is started, kept idle while others are measured (with keep false: stopped), and stopped at the
end with SIGTERM. Passes when every target answered something in every turn.
";

pub(super) const TUNE: &str = "\
Finds runners × threads × budget for this machine and a latency goal, and writes the configuration.

Usage: ml-bench tune --serve COMMAND --goal-p99-ms X --data FILE --model NAME --out FILE [--flag value]...

  --serve COMMAND      starts the server, by the shell; settings and port come as ML_SERVE_ variables
  --goal-p99-ms X      the 99th percentile of latency that answers may have
  --data FILE          items, one a line: {\"item\": ...}
  --model NAME         the model
  --out FILE           the configuration to write, as TOML
  --budgets N,N...     the most items in one run of the model, to be tried (4,8,16,32)
  --batch N            items in one request (1)
  --clients-max N      the most clients to try (64)
  --duration-s X       the counted time of the first runs (1); each halving doubles it
  --ready PATH         answered with 2xx once the server is ready (/health/ready)
  --target FILE        how requests and answers look, as JSON (ml-serve's); see ml-bench eval --help
  --json FILE          write the report there too

Successive halving: every setting is measured twice with 1, 2, 4 ... clients until the goal is missed; the better
half goes on with twice the time, until the best is found. Passes when it meets the goal.
";

pub(super) const LOOKUPS: &str = "\
Measures external lookups against a simulated source and a real Redis, beside a sequential loop, a thread
pool of 5 and a plain memo.

Usage: ml-bench lookups [--flag value]...

  --rounds N           how often each case of a few seconds runs (3)
  --outage-s X         how long the source is down (30)
  --only TEXT          only the cases with this in their name (all)
  --json FILE          write the report there too

Passes when every case that ran reached its goal. The Redis case needs the program redis-server.
";

pub(super) const ECHO: &str = "\
Serves bare actix handlers without a model: what HTTP and JSON alone cost.

Usage: ml-bench echo [--flag value]...

  --port N             port on 127.0.0.1 to listen on (0: any free one, which is printed)
  --workers N          threads (all CPUs)
  --bytes N            size of the body of /bytes (128)

  POST /echo           answers the body as it came
  POST /parse          takes {\"a\": [...], \"b\": [...]} of equal lengths, adds, answers {\"sum\": [...]}
  GET /bytes           answers a fixed body; POST too, so that `ml-bench load` can ask for it

Stops at SIGTERM and SIGINT.
";
