//! Certificates of this test's own, by the `openssl` program: who is trusted, who is a stranger, and a server.

use std::path::PathBuf;
use std::process::Command;

/// A folder of certificates and keys; dropping it removes it.
pub struct Certificates(PathBuf);

impl Certificates {
    /// Makes `trusted.pem`, which signed for `server.pem`, and `stranger.pem`, which signed for nobody.
    pub fn make() -> Self {
        let folder = std::env::temp_dir().join(format!("ml-sources-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("there is room");
        let certificates = Self(folder);
        for name in ["trusted", "stranger"] {
            certificates.add(name, &[]);
        }
        let address =
            ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"];
        let signed = ["-CA", "trusted.pem", "-CAkey", "trusted.key"];
        certificates.add("server", &[address.as_slice(), &signed].concat());
        certificates
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    fn add(&self, name: &str, more: &[&str]) {
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
            .args(["-days", "2", "-subj", &format!("/CN={name}")])
            .args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")])
            .args(more)
            .current_dir(&self.0)
            .output();
        let made =
            made.unwrap_or_else(|error| panic!("openssl: {error}\n  fix: sudo apt-get install -y openssl"));
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}
