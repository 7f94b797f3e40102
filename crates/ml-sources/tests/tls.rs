//! Encrypted connections to Redis and to an HTTP service: whom they trust is what the system trusts, and nobody else.
#![allow(clippy::expect_used, clippy::panic, reason = "a failed expectation is what a test ends with")]

mod support;

use std::io::{BufRead, BufReader, Read as _, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::Arc;

use ml_core::{LookupCache, LookupError, Source};
use ml_sources::{HttpFacts, HttpOptions, Redis, RedisFacts, RedisOptions, RedisTier};
use redis::Commands;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use support::certificates::Certificates;
use support::server::RedisServer;
use support::{ask, engine, patient};

/// The roots are the process's, so each case is a run of this program with other ones.
#[test]
fn a_server_is_believed_if_the_system_trusts_who_signed_for_it() {
    let certificates = Certificates::make();
    let server = RedisServer::start_encrypted(&certificates);
    let () = server.connection().set("greeting", "hello").expect("it is taken");
    let service = encrypted_service(&certificates);
    for (roots, trusted) in [("trusted.pem", true), ("stranger.pem", false)] {
        let program = std::env::current_exe().expect("a running test has a path");
        let asked = Command::new(program)
            .args(["--ignored", "--exact", "facts_come_over_encrypted_connections"])
            .env("SSL_CERT_FILE", certificates.path(roots))
            .env_remove("SSL_CERT_DIR")
            .env("REDIS_URL", server.encrypted_url())
            .env("SERVICE_URL", format!("https://{service}/"))
            .env("TRUSTED", trusted.to_string())
            .output()
            .expect("it ran before");
        assert!(asked.status.success(), "{roots}: {}", String::from_utf8_lossy(&asked.stdout));
    }
}

#[test]
#[ignore = "run by the test above, which sets the roots"]
fn facts_come_over_encrypted_connections() {
    let set = |name: &str| std::env::var(name).expect("the test above sets it");
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned).map_err(LookupError::new);
    let redis = Redis::open(&set("REDIS_URL"), RedisOptions::default()).expect("a URL");
    let stored = engine(RedisFacts::new(redis.clone(), "", text));
    let served = HttpFacts::new(set("SERVICE_URL"), HttpOptions::default(), text).expect("there are roots");
    let tier = RedisTier::new(redis.clone());
    let served = engine(Source::new(served).cache(LookupCache::lru(10)).tier(tier, patient("tier:", 1)));
    for engine in [&stored, &served] {
        let got = ask(engine, "greeting");
        if set("TRUSTED") == "true" {
            assert_eq!(got, Ok(Some("hello".to_owned())));
        } else {
            let reason = got.expect_err("a stranger signed for it");
            assert!(reason.contains("UnknownIssuer"), "{reason}");
        }
    }
    if set("TRUSTED") == "true" {
        // What is put into the tier after callers have their answer is there a moment later.
        let in_tier = engine(RedisFacts::new(redis, "tier:", |_| Ok("something".to_owned())));
        while ask(&in_tier, "greeting") == Ok(None) {
            std::thread::yield_now();
        }
        assert_eq!(ask(&in_tier, "greeting"), Ok(Some("something".to_owned())));
    }
}

/// Says hello to whoever asks.
fn encrypted_service(certificates: &Certificates) -> SocketAddr {
    let chain = CertificateDer::pem_file_iter(certificates.path("server.pem")).expect("it was made");
    let chain = chain.collect::<Result<_, _>>().expect("it is one");
    let key = PrivateKeyDer::from_pem_file(certificates.path("server.key")).expect("it was made");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("it has some").with_no_client_auth().with_single_cert(chain, key);
    let config = Arc::new(config.expect("they belong together"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let connection = ServerConnection::new(Arc::clone(&config)).expect("the settings are good");
            let mut stream = BufReader::new(StreamOwned::new(connection, stream));
            let head = stream.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty());
            if head.count() > 0 {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
                drop(stream.get_mut().write_all(answer));
            }
        }
    });
    address
}
