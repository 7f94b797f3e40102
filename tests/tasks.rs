//! Ready-made tasks on tiny models in folders as Optimum exports them, against what Python answers with the same models.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are all tests")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::http::{post, request};
use support::process::{Program, Server};
use support::programs::{ROOT, binary};

/// Answers are compared to this: runtimes add up in different orders.
const TOLERANCE: f64 = 1e-4;

fn data(file: &str) -> Vec<u8> {
    let path = Path::new(ROOT).join("tests/data").join(file);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn expected() -> Value {
    serde_json::from_slice(&data("tasks/expected.json")).expect("it is JSON")
}

/// A model folder that a test fills.
struct Models(PathBuf);

impl Models {
    fn new(test: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tasks-{test}"));
        drop(fs::remove_dir_all(&path));
        Self(path)
    }

    fn write(&self, file: &str, bytes: impl AsRef<[u8]>) -> &Self {
        let path = self.0.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    /// A text model as Optimum exports it; its config.json has what is given.
    fn text(&self, name: &str, model: &str, config: Value) -> &Self {
        let mut whole = json!({"model_type": "bert", "max_position_embeddings": 32, "pad_token_id": 0});
        whole.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
        self.write(&format!("{name}/onnx/model.onnx"), data(&format!("tasks/{model}.onnx")))
            .write(&format!("{name}/config.json"), whole.to_string())
            .write(&format!("{name}/tokenizer.json"), data("tiny-sentiment/tokenizer.json"))
    }

    /// An embedding model as sentence-transformers has it.
    fn embedding(&self, name: &str, pooling: &str) -> &Self {
        let modules = json!([
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        ]);
        self.text(name, "states", json!({"architectures": ["BertModel"]}))
            .write(&format!("{name}/modules.json"), modules.to_string())
            .write(&format!("{name}/1_Pooling/config.json"), json!({pooling: true}).to_string())
    }

    fn image(&self, name: &str, preparation: &Value) -> &Self {
        let labels = labels(&expected()["labels"]["image"]);
        let config = json!({"architectures": ["ViTForImageClassification"], "id2label": labels});
        self.write(&format!("{name}/model.onnx"), data("tasks/image.onnx"))
            .write(&format!("{name}/config.json"), config.to_string())
            .write(&format!("{name}/preprocessor_config.json"), preparation.to_string())
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("the target folder's path is text").to_owned()
    }

    fn serve(&self, names: &[&str]) -> Server {
        let paths: Vec<String> = names.iter().map(|name| self.path(name)).collect();
        program().args(&paths.iter().map(String::as_str).collect::<Vec<_>>()).serve()
    }
}

fn program() -> Program {
    Program::new(binary("ml-serve")).args(&["--port", "0"])
}

fn labels(names: &Value) -> Value {
    let names = names.as_array().unwrap().iter().enumerate();
    Value::Object(names.map(|(number, name)| (number.to_string(), name.clone())).collect())
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        value => vec![value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))],
    }
}

#[track_caller]
fn assert_close(found: &Value, wanted: &Value) {
    assert_within(found, wanted, TOLERANCE);
}

#[track_caller]
fn assert_within(found: &Value, wanted: &Value, tolerance: f64) {
    let (found, wanted) = (numbers(found), numbers(wanted));
    assert_eq!(found.len(), wanted.len());
    let furthest = found.iter().zip(&wanted).map(|(one, other)| (one - other).abs()).fold(0.0, f64::max);
    assert!(furthest <= tolerance, "off by {furthest}: {found:?} is not {wanted:?}");
}

#[track_caller]
fn predict(server: &Server, model: &str, item: Value) -> Value {
    let response = server.ask(&post(&format!("/models/{model}/predict"), item.to_string()));
    assert_eq!(response.head.status, 200, "{model}, {item}: {}", response.text());
    response.json()
}

/// Sends all items in one batch, so that texts of unlike length are padded to one another.
#[track_caller]
fn predict_all(server: &Server, model: &str, items: &[Value]) -> Vec<Value> {
    let response = server.ask(&post(&format!("/models/{model}/predict_batch"), json!(items).to_string()));
    let results = response.json();
    let output = |result: &Value| match result.get("output") {
        Some(output) => output.clone(),
        None => panic!("{model}: {result}"),
    };
    results.as_array().expect("a result for each item").iter().map(output).collect()
}

#[track_caller]
fn refused(server: &Server, model: &str, item: Value) -> Value {
    let response = server.ask(&post(&format!("/models/{model}/predict"), item.to_string()));
    assert_eq!(response.head.status, 422, "{model}, {item}: {}", response.text());
    response.json()
}

fn normalized(vector: &Value) -> Value {
    let numbers = numbers(vector);
    let length = numbers.iter().map(|number| number * number).sum::<f64>().sqrt();
    json!(numbers.iter().map(|number| number / length).collect::<Vec<_>>())
}

#[test]
fn embeddings_are_pooled_as_the_folder_says() {
    let models = Models::new("pooling");
    let ways = [
        ("cls", "pooling_mode_cls_token"),
        ("mean", "pooling_mode_mean_tokens"),
        ("max", "pooling_mode_max_tokens"),
        ("mean_sqrt_length", "pooling_mode_mean_sqrt_len_tokens"),
        ("last_token", "pooling_mode_lasttoken"),
    ];
    for (way, key) in &ways {
        models.embedding(way, key);
    }
    let server = models.serve(&ways.map(|(way, _)| way));
    let expected = expected();
    let cases = expected["text"]["embeddings"].as_array().unwrap();
    let items: Vec<Value> = cases.iter().map(|case| json!({"text": case["text"]})).collect();
    for (way, _) in ways {
        for (output, case) in predict_all(&server, way, &items).iter().zip(cases) {
            assert_close(&output["embedding"], &case["pooled"][way]);
            assert_eq!(output["tokens"], case["tokens"]);
            assert_eq!(output["truncated"].as_bool().unwrap_or(false), case["tokens"] == 32);
        }
    }
}

#[test]
fn a_caller_says_how_an_embedding_is_wanted() {
    let models = Models::new("embedding");
    models.embedding("states", "pooling_mode_mean_tokens").write(
        "states/config_sentence_transformers.json",
        json!({"prompts": {"query": "The soup "}, "default_prompt_name": null}).to_string(),
    );
    let server = models.serve(&["states"]);
    let expected = &expected()["text"]["embeddings"][0];
    let (text, mean) = (&expected["text"], &expected["pooled"]["mean"]);
    let embedding = |item: Value| predict(&server, "states", item)["embedding"].take();
    assert_close(&embedding(json!({"text": text, "normalize": true})), &normalized(mean));
    let three = json!(numbers(mean)[..3]);
    assert_close(&embedding(json!({"text": text, "dimensions": 3})), &three);
    assert_close(&embedding(json!({"text": text, "dimensions": 3, "normalize": true})), &normalized(&three));
    // The prompt is the text's own beginning.
    let rest = text.as_str().unwrap().strip_prefix("The soup ").unwrap();
    assert_close(&embedding(json!({"text": rest, "prompt_name": "query"})), mean);
    for (item, field, rule) in [
        (json!({"text": ""}), "text", "not_empty"),
        (json!({"text": []}), "text", "not_empty"),
        (json!({"text": [1, 200]}), "text[1]", "range"),
        (json!({"text": text, "dimensions": 9}), "dimensions", "range"),
        (json!({"text": text, "prompt_name": "passage"}), "prompt_name", "known"),
        (json!({"text": "good ".repeat(40), "truncate": false}), "text", "max_tokens"),
    ] {
        let error = refused(&server, "states", item.clone());
        assert_eq!((&error["field"], &error["rule"]), (&json!(field), &json!(rule)), "{item}: {error}");
    }
    let long = refused(&server, "states", json!({"text": "good ".repeat(40), "truncate": false}));
    assert_eq!((&long["value"], &long["limit"]), (&json!("42 tokens"), &json!("32 tokens")));
}

#[test]
fn tokens_are_as_good_as_the_text_that_they_are_of() {
    let models = Models::new("tokens");
    models.embedding("states", "pooling_mode_mean_tokens");
    let server = models.serve(&["states"]);
    let vocabulary = serde_json::from_slice::<Value>(&data("tiny-sentiment/tokenizer.json")).unwrap();
    let id =
        |token: &str| vocabulary["model"]["vocab"][token].as_u64().unwrap_or_else(|| panic!("no {token}"));
    let by_text = predict(&server, "states", json!({"text": "good the good"}));
    let (good, the) = (id("good"), id("the"));
    for tokens in [vec![good, the, good], vec![id("[CLS]"), good, the, good, id("[SEP]")]] {
        assert_eq!(predict(&server, "states", json!({"text": tokens})), by_text);
    }
    let long = predict(&server, "states", json!({"text": vec![good; 100]}));
    let by_text = predict(&server, "states", json!({"text": "good ".repeat(100)}));
    assert_eq!(long, by_text);
    let words = |count: usize, word: &str| vec![word; count].join(" ");
    let text = format!("{} {}", words(30, "the"), words(30, "good"));
    let left = json!({"text": text, "truncation_direction": "left"});
    let last = predict(&server, "states", json!({"text": words(30, "good")}));
    assert_close(&predict(&server, "states", left)["embedding"], &last["embedding"]);
}

#[test]
fn texts_are_classified_with_the_labels_of_the_folder() {
    let models = Models::new("classes");
    let architecture = json!(["BertForSequenceClassification"]);
    let named = json!({"0": "bad", "1": "fair", "2": "good"});
    models
        .text("classes", "classes", json!({"architectures": architecture, "id2label": named}))
        .text("nameless", "classes", json!({"architectures": architecture}))
        .text(
            "several",
            "classes",
            json!({"architectures": architecture, "problem_type": "multi_label_classification"}),
        );
    let server = models.serve(&["classes", "nameless", "several"]);
    let expected = expected();
    let cases = expected["text"]["classes"].as_array().unwrap();
    let items: Vec<Value> = cases.iter().map(|case| json!({"text": case["text"]})).collect();
    let score = |output: &Value, label: &str| {
        let scores = output["scores"].as_array().unwrap();
        scores.iter().find(|one| one["label"] == label).unwrap_or_else(|| panic!("no {label}: {output}"))["score"]
            .clone()
    };
    let in_order = |output: &Value, labels: [&str; 3]| json!(labels.map(|label| score(output, label)));
    for (model, labels) in
        [("classes", ["bad", "fair", "good"]), ("nameless", ["LABEL_0", "LABEL_1", "LABEL_2"])]
    {
        for (output, case) in predict_all(&server, model, &items).iter().zip(cases) {
            assert_close(&in_order(output, labels), &case["scores"]);
            let all = numbers(&case["scores"]);
            let most = (0..3).max_by(|one, other| all[*one].total_cmp(&all[*other])).unwrap();
            assert_eq!(
                (&output["label"], &output["scores"][0]["label"]),
                (&json!(labels[most]), &json!(labels[most]))
            );
        }
    }
    let raw = predict(&server, "classes", json!({"text": cases[0]["text"], "raw_scores": true}));
    assert_close(&in_order(&raw, ["bad", "fair", "good"]), &cases[0]["logits"]);
    let several = predict(&server, "several", json!({"text": cases[0]["text"]}));
    let each: Vec<f64> =
        numbers(&cases[0]["logits"]).iter().map(|logit| 1.0 / (1.0 + (-logit).exp())).collect();
    assert_close(&in_order(&several, ["LABEL_0", "LABEL_1", "LABEL_2"]), &json!(each));
}

#[test]
fn pairs_are_scored_and_cut_as_the_tokenizer_would_do_it() {
    let models = Models::new("pairs");
    let config = json!({"architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"}});
    models.text("score", "score", config);
    let server = models.serve(&["score"]);
    let expected = expected();
    let cases = expected["text"]["scores"].as_array().unwrap();
    let item = |case: &Value| json!({"query": case["query"], "text": case["text"]});
    let items: Vec<Value> = cases.iter().map(item).collect();
    for (output, case) in predict_all(&server, "score", &items).iter().zip(cases) {
        assert_close(&output["score"], &case["score"]);
    }
    let mut raw = item(&cases[0]);
    raw["raw_scores"] = json!(true);
    assert_close(&predict(&server, "score", raw)["score"], &cases[0]["logit"]);
    let error = refused(&server, "score", json!({"query": "a", "text": ""}));
    assert_eq!((&error["field"], &error["rule"]), (&json!("text"), &json!("not_empty")));
}

#[test]
fn words_get_labels_with_their_places_in_the_text() {
    let models = Models::new("entities");
    let expected = expected();
    let id2label = labels(&expected["labels"]["entities"]);
    let config = json!({"architectures": ["BertForTokenClassification"], "id2label": id2label});
    models.text("entities", "entities", config);
    let server = models.serve(&["entities"]);
    let cases = expected["text"]["entities"].as_array().unwrap();
    let items: Vec<Value> =
        cases.iter().map(|case| json!({"text": case["text"], "aggregation": "none"})).collect();
    for (output, case) in predict_all(&server, "entities", &items).iter().zip(cases) {
        let text: Vec<char> = case["text"].as_str().unwrap().chars().collect();
        // What Python says of each token, without the special ones and those outside of entities.
        let rows = case["scores"].as_array().unwrap();
        let wanted: Vec<(&str, f64)> = rows[1..rows.len() - 1]
            .iter()
            .map(|row| {
                let row = numbers(row);
                let most = (0..5).max_by(|one, other| row[*one].total_cmp(&row[*other])).unwrap();
                (expected["labels"]["entities"][most].as_str().unwrap(), row[most])
            })
            .filter(|(label, _)| *label != "O")
            .collect();
        let entities = output["entities"].as_array().unwrap();
        assert_eq!(entities.len(), wanted.len(), "{output}");
        for (entity, (label, score)) in entities.iter().zip(wanted) {
            assert_eq!(entity["label"], label);
            assert_close(&entity["score"], &json!(score));
            let place = |key: &str| usize::try_from(entity[key].as_u64().unwrap()).unwrap();
            let part: String = text[place("start")..place("end")].iter().collect();
            assert_eq!(entity["text"], part, "{entity}");
        }
    }
    let together = predict(&server, "entities", json!({"text": cases[0]["text"]}));
    let label = |entity: &Value| entity["label"].as_str().unwrap().to_owned();
    let of_two = together["entities"].as_array().unwrap().iter().map(label);
    assert!(of_two.into_iter().all(|label| ["PER", "LOC"].contains(&label.as_str())), "{together}");
}

#[test]
fn images_are_prepared_as_the_folder_says() {
    let models = Models::new("images");
    let expected = expected();
    let ways = expected["image"].as_object().unwrap();
    for (name, way) in ways {
        models.image(name, &way["settings"]);
    }
    let names: Vec<&str> = ways.keys().map(String::as_str).collect();
    let server = models.serve(&names);
    let colours = expected["labels"]["image"].as_array().unwrap();
    let scores = |output: &Value| {
        let scores = output["scores"].as_array().unwrap();
        let of = |colour: &Value| scores.iter().find(|one| one["label"] == *colour).unwrap()["score"].clone();
        json!(colours.iter().map(of).collect::<Vec<_>>())
    };
    for (name, way) in ways {
        for file in ["picture.png", "picture.webp", "turned.png"] {
            let item = json!({"image": base64(&data(&format!("tasks/{file}")))});
            // A pixel that is resized may differ by a level of 255 from Pillow's, which rounds otherwise.
            assert_within(&scores(&predict(&server, name, item)), &way["scores"], 5e-3);
        }
    }
    let jpeg = format!("data:image/jpeg;base64,{}", base64(&data("tasks/picture.jpg")));
    let output = predict(&server, names[0], json!({"image": jpeg, "top_k": 2}));
    assert_eq!(output["scores"].as_array().map(Vec::len), Some(2), "{output}");
    // A body may also be the image itself.
    let picture = data("tasks/picture.png");
    let whole = |model: &str, body: &[u8]| {
        server.ask(&request(
            "POST",
            &format!("/models/{model}/predict"),
            &[("Content-Type", "image/png")],
            body,
        ))
    };
    let in_json = predict(&server, names[0], json!({"image": base64(&picture)}));
    assert_eq!(whole(names[0], &picture).json(), in_json);
    assert_eq!(whole(names[0], b"no image").json()["rule"], "format");
    assert_eq!(whole(names[0], &vec![0; 300 << 10]).head.status, 413);
    let error = refused(&server, names[0], json!({"image": base64(b"GIF89a, and so on")}));
    assert_eq!((&error["field"], &error["rule"]), (&json!("image"), &json!("format")), "{error}");
    let error = refused(&server, names[0], json!({"image": "no base64"}));
    assert_eq!(error["field"], "image", "{error}");
}

/// Bytes in base64, as callers write them.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let of_three = |three: &[u8]| -> Vec<char> {
        let byte = |place: usize| u32::from(three.get(place).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        let letter = |place: usize| match place <= three.len() {
            true => char::from(LETTERS[(bits >> (18 - 6 * place) & 63) as usize]),
            false => '=',
        };
        (0..4).map(letter).collect()
    };
    bytes.chunks(3).flat_map(of_three).collect()
}

#[test]
fn a_table_has_named_columns_with_types_and_missing_values() {
    let models = Models::new("table");
    models.write("table/model.onnx", data("tasks/table.onnx")).write(
        "serve.toml",
        format!(
            r#"
            [[models]]
            path = "{}"
            task = "tabular"
            columns = [
              {{ name = "area", input = "numbers" }},
              {{ name = "age", input = "numbers", missing = nan }},
              {{ name = "lift", input = "numbers", type = "bool", missing = false }},
              {{ name = "heating", input = "code", values = ["gas", "wood"], missing = "gas" }},
            ]
            [[models]]
            path = "examples/models/iris"
            task = "tabular"
            "#,
            models.path("table"),
        ),
    );
    let server = program().args(&["--config", &models.path("serve.toml")]).serve();
    let items = [
        json!({"area": 2, "age": 3, "lift": true, "heating": "wood"}),
        json!({"area": 2.5}),
        json!({"heating": null, "lift": null, "age": null, "area": 0}),
    ];
    let scores: Vec<Value> =
        predict_all(&server, "table", &items).iter().map(|row| row["score"][0].clone()).collect();
    // A missing age is -1 to this model.
    assert_close(&json!(scores), &json!([2.0 + 30.0 + 100.0 + 1000.0, 2.5 - 10.0, -10.0]));
    let error = refused(&server, "table", json!({"age": 1}));
    assert_eq!((&error["field"], &error["rule"]), (&json!("area"), &json!("required")));
    let error = refused(&server, "table", json!({"area": 1, "heating": "coal"}));
    assert_eq!((&error["field"], &error["limit"]), (&json!("heating"), &json!("gas, wood")));
    // The names of its columns are notes of the graph.
    let flower =
        json!({"sepal_length_cm": 5.1, "sepal_width_cm": 3.5, "petal_length_cm": 1.4, "petal_width_cm": 0.2});
    assert!(predict(&server, "iris", flower)["probabilities"][0].as_f64() > Some(0.9));
}

#[test]
fn the_file_decides_where_the_folder_does_not() {
    let models = Models::new("chosen");
    models
        .write("plain/model.onnx", data("tiny-sentiment/model.onnx"))
        .write("plain/tokenizer.json", data("tiny-sentiment/tokenizer.json"))
        .write("packed/model.packed.onnx", data("tiny-sentiment/packed.onnx"))
        .write("packed/model.onnx", data("tiny-sentiment/model.onnx"))
        .write("packed/tokenizer.json", data("tiny-sentiment/tokenizer.json"));
    let path = |name: &str| models.path(name);
    models.write(
        "serve.toml",
        format!(
            "[[models]]\npath = {:?}\nname = \"embedding\"\ntask = \"text_embedding\"\ntokens_max = 16\n\
             [[models]]\npath = {:?}\nname = \"packed\"\ntask = \"text_embedding\"\n\
             [[models]]\npath = {:?}\nname = \"classes\"\ntask = \"text_classification\"\nlabels = [\"no\", \"yes\"]\n\
             [[models]]\npath = {:?}\nname = \"raw\"\n",
            path("plain"),
            path("packed"),
            path("packed"),
            path("plain"),
        ),
    );
    let server = program().args(&["--config", &models.path("serve.toml")]).serve();
    let text = String::from_utf8(data("tiny-sentiment/expected.ndjson")).unwrap();
    let lines: Vec<Value> = text.lines().take(20).map(|line| serde_json::from_str(line).unwrap()).collect();
    let items: Vec<Value> = lines.iter().map(|line| json!({"text": line["item"]["text"]})).collect();
    let classes = predict_all(&server, "classes", &items);
    for (index, embedding) in predict_all(&server, "packed", &items).iter().enumerate() {
        let expected = &lines[index]["expected"];
        assert_close(&embedding["embedding"], &expected["embedding"]);
        let label = if expected["label"] == "positive" { "yes" } else { "no" };
        assert_eq!(classes[index]["label"], label);
        assert_close(&classes[index]["score"], &expected["score"]);
    }
    let short = predict(&server, "embedding", json!({"text": "good ".repeat(40)}));
    assert_eq!((&short["tokens"], &short["truncated"]), (&json!(16), &json!(true)));
    let error = refused(&server, "classes", json!({"text": "a", "raw_scores": true}));
    assert_eq!(error["field"], "raw_scores");
    // A tokenizer alone says nothing of a task.
    let raw = json!({"input_ids": [2, 3], "attention_mask": [1, 1], "token_type_ids": [0, 0]});
    assert!(predict(&server, "raw", raw)["probabilities"].is_array());
    let listed = server.ask(&support::http::get("/models/packed")).json();
    assert_eq!(listed["details"]["packed"], true, "{listed}");
}

#[test]
fn a_folder_that_does_not_hold_its_task_is_refused_with_the_file_and_the_reason() {
    let models = Models::new("broken");
    let classes =
        json!({"architectures": ["BertForSequenceClassification"], "id2label": {"0": "a", "1": "b"}});
    let pooling = json!({"pooling_mode_weightedmean_tokens": true}).to_string();
    let dense = json!([{"path": "2_Dense", "type": "sentence_transformers.models.Dense"}]).to_string();
    models
        .text("labels", "classes", classes)
        .embedding("weighted", "x")
        .write("weighted/1_Pooling/config.json", pooling)
        .embedding("dense", "x")
        .write("dense/modules.json", dense)
        .text("config", "states", json!({"architectures": ["BertModel"]}))
        .write("config/config.json", "{")
        .text("tokenizer", "states", json!({"architectures": ["BertModel"]}))
        .write("tokenizer/tokenizer.json", "{}")
        .image("size", &json!({"size": {"shortest_edge": 8}}))
        .image("filter", &json!({"size": 8, "resample": 9}));
    for (name, file, reason) in [
        ("labels", "onnx/model.onnx", "there are 2 labels, and the graph's logits has 3 columns"),
        ("weighted", "1_Pooling/config.json", "weighted and combined ways of pooling are not served"),
        ("dense", "modules.json", "the step Dense is not served"),
        ("config", "config.json", "EOF while parsing an object"),
        ("tokenizer", "tokenizer.json", "Model missing"),
        ("size", "preprocessor_config.json", "neither it nor the graph say how large images are in the end"),
        ("filter", "preprocessor_config.json", "the number of resample is none of Pillow's"),
    ] {
        let ended = program().args(&[&models.path(name)]).run();
        let last = ended.stderr.lines().last().unwrap_or_default();
        assert_eq!(ended.code, Some(1), "{name}: {last}");
        let path = Path::new(&models.path(name)).join(file).display().to_string();
        assert!(last.contains(&path) && last.contains(reason), "{name}: {last}");
    }
}

/// Serves what the document has in TOML, with the models of these tests, and sends what it has for `curl`.
#[test]
fn the_examples_of_the_document_work() {
    let document = fs::read_to_string(Path::new(ROOT).join("docs/tasks.md")).expect("it is there");
    let blocks = |kind: &str| -> Vec<String> {
        let fence = format!("```{kind}\n");
        document.split(&fence).skip(1).filter_map(|rest| Some(rest.split_once("```")?.0.to_owned())).collect()
    };
    let models = Models::new("document");
    let expected = expected();
    let sequence = json!(["BertForSequenceClassification"]);
    let (three, one) = (json!({"0": "bad", "1": "fair", "2": "good"}), json!({"0": "LABEL_0"}));
    let entities = labels(&expected["labels"]["entities"]);
    models
        .embedding("all-MiniLM-L6-v2", "pooling_mode_mean_tokens")
        .text("reviews", "classes", json!({"architectures": sequence, "id2label": three}))
        .text(
            "names",
            "entities",
            json!({"architectures": ["BertForTokenClassification"], "id2label": entities}),
        )
        .text("reranker", "score", json!({"architectures": sequence, "id2label": one}))
        .image("vit", &expected["image"]["squeezed"]["settings"])
        .write("house_price/model.onnx", data("tasks/table.onnx"));
    let settings =
        blocks("toml").concat().replace("path = \"models/", &format!("path = \"{}", models.path("")));
    models.write("serve.toml", &settings);
    let server = program().args(&["--config", &models.path("serve.toml")]).serve();
    let curls = blocks("sh").concat();
    let mut asked = 0;
    for line in curls.lines().filter(|line| line.starts_with("curl ")) {
        let path =
            line.split("127.0.0.1:8080").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
        let body = line.split_once(" -d '").and_then(|(_, rest)| rest.split_once('\'')).map(|(body, _)| body);
        let Some(body) = body else { continue };
        let json = line.contains("-H 'content-type: application/json'");
        // What curl says of a body otherwise.
        let media = if json { "application/json" } else { "application/x-www-form-urlencoded" };
        let response = server.ask(&request("POST", path, &[("Content-Type", media)], body));
        assert_eq!(response.head.status, 200, "{line}: {}", response.text());
        asked += 1;
    }
    assert!(asked >= 6, "{curls}");
}
