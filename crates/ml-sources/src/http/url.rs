//! Identifiers in URLs.

use std::fmt::Write as _;

/// Escapes everything that could mean something in a URL, so that an identifier stays one segment of a path: dots too,
/// since `..` is the way out of a folder.
pub(super) fn escaped(id: &str) -> String {
    let mut escaped = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') {
            escaped.push(char::from(byte));
        } else {
            let _infallible = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_stays_one_segment() {
        for (id, expected) in [
            ("A-1_b~2", "A-1_b~2"),
            ("../admin?x=1#y", "%2E%2E%2Fadmin%3Fx%3D1%23y"),
            ("ü %", "%C3%BC%20%25"),
            ("", ""),
        ] {
            assert_eq!(escaped(id), expected, "{id}");
        }
    }
}
