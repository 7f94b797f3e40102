//! The bare handlers, met over HTTP.

#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of a test file for no tests")]

use std::num::NonZeroUsize;
use std::sync::mpsc;
use std::thread;

use actix_web::rt::System;
use ml_bench::echo::{EchoOptions, echo};

/// Starts the server on a thread that ends with the process, and returns its address.
fn start() -> String {
    let (address, addresses) = mpsc::channel();
    let options = EchoOptions { port: 0, workers: NonZeroUsize::MIN, bytes: 5 };
    thread::spawn(move || {
        echo(&options, |found| {
            address.send(format!("http://{found}")).unwrap();
            Ok(())
        })
    });
    addresses.recv().unwrap()
}

#[test]
fn handlers_answer_what_they_are_there_for() {
    let url = start();
    let cases = [
        ("/echo", "any bytes", 200, "any bytes"),
        ("/parse", r#"{"a": [1, 2.5], "b": [0.25, 1]}"#, 200, r#"{"sum":[1.25,3.5]}"#),
        ("/parse", r#"{"a": [1], "b": []}"#, 400, "a has 1 numbers, b has 0"),
        ("/bytes", "", 200, "xxxxx"),
        ("/bytes", "a body that is read, so that the connection stays", 200, "xxxxx"),
    ];
    System::new().block_on(async {
        let client = awc::Client::default();
        for (path, body, status, expected) in cases {
            let request =
                client.post(format!("{url}{path}")).insert_header(("content-type", "application/json"));
            let mut answer = request.send_body(body).await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{path}");
            assert!(answer.headers().get("connection").is_none(), "{path} closes the connection");
            assert_eq!(answer.body().await.unwrap(), expected.as_bytes(), "{path}");
        }
        assert_eq!(client.get(format!("{url}/bytes")).send().await.unwrap().body().await.unwrap(), "xxxxx");
    });
}
