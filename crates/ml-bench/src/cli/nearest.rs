//! The nearest right spelling of a mistyped name.

use strsim::damerau_levenshtein;

/// Returns the known name that is fewest slips of the finger away, unless that is half of the word.
pub(super) fn nearest<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    let slips = |name: &&str| damerau_levenshtein(found, name);
    let name = known.iter().copied().min_by_key(slips)?;
    (slips(&name) * 2 <= name.chars().count()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_spelling_is_named() {
        let known = ["url", "clients", "duration-s", "warm-up-s", "min-accuracy"];
        let cases = [
            ("clints", Some("clients")),
            ("cleints", Some("clients")),
            ("duration", Some("duration-s")),
            ("warmup-s", Some("warm-up-s")),
            ("min_accuracy", Some("min-accuracy")),
            ("ulr", Some("url")),
            ("concurrency", None),
        ];
        for (found, expected) in cases {
            assert_eq!(nearest(found, &known), expected, "{found}");
        }
    }
}
