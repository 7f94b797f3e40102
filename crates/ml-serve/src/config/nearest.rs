//! The word that was probably meant.

/// Returns the word fewest typing errors away, if those are few for its length.
pub(super) fn nearest<'a>(typed: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    words
        .into_iter()
        .map(|word| (strsim::osa_distance(&typed, word), word))
        .filter(|(errors, word)| *errors <= (word.len() / 3).max(1))
        .min_by_key(|(errors, _)| *errors)
        .map(|(_, word)| word)
}
