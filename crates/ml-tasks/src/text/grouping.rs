//! From a label for each token to entities, as Hugging Face's pipeline puts them together.
//!
//! A label that begins with `B-` begins an entity, one with `I-` goes on with it, and one with neither does so, too. `O` is no
//! entity.

use crate::Aggregation;

/// A token's place in the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    /// In characters.
    pub start: usize,
    pub end: usize,
    /// The number of the word that it is a part of.
    pub word: Option<u32>,
    /// Whether it is none of the text's.
    pub special: bool,
}

/// Neighbouring tokens of one label.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Group {
    pub label: String,
    pub score: f32,
    pub start: usize,
    pub end: usize,
}

/// What outside of entities is called.
const OUTSIDE: &str = "O";

/// Puts tokens together, of which each has a probability for each label.
pub(super) fn group(
    tokens: &[Token],
    scores: &[Vec<f32>],
    labels: &[String],
    aggregation: Aggregation,
) -> Vec<Group> {
    let pieces = pieces(tokens, scores, aggregation);
    let label = |piece: &Piece| labels.get(piece.label).map_or("", String::as_str);
    let mut groups: Vec<(Group, usize)> = Vec::new();
    // The label of the piece before, which an entity may go on with.
    let mut before: Option<&str> = None;
    for piece in &pieces {
        let (begins, name) = match aggregation {
            Aggregation::None => (true, label(piece)),
            _ => split(label(piece)),
        };
        match groups.last_mut().filter(|_| !begins && before == Some(name)) {
            Some((group, count)) => {
                group.score += piece.score;
                group.end = piece.end;
                *count += 1;
            }
            None => {
                let (score, start, end) = (piece.score, piece.start, piece.end);
                groups.push((Group { label: name.to_owned(), score, start, end }, 1));
            }
        }
        before = Some(name);
    }
    let mean = |(group, count): (Group, usize)| Group { score: group.score / count as f32, ..group };
    groups.into_iter().map(mean).filter(|group| group.label != OUTSIDE).collect()
}

/// A token, or a word, with the label that is most likely.
struct Piece {
    label: usize,
    score: f32,
    start: usize,
    end: usize,
}

fn pieces(tokens: &[Token], scores: &[Vec<f32>], aggregation: Aggregation) -> Vec<Piece> {
    let real: Vec<(&Token, &Vec<f32>)> =
        tokens.iter().zip(scores).filter(|(token, _)| !token.special).collect();
    let by_word = matches!(aggregation, Aggregation::First | Aggregation::Max | Aggregation::Average);
    let same_word = |one: &(&Token, &Vec<f32>), other: &(&Token, &Vec<f32>)| {
        by_word && one.0.word.is_some() && one.0.word == other.0.word
    };
    real.chunk_by(same_word).map(|parts| piece(parts, aggregation)).collect()
}

fn piece(parts: &[(&Token, &Vec<f32>)], aggregation: Aggregation) -> Piece {
    let certain = |(_, scores): &(&Token, &Vec<f32>)| best(scores);
    let first = parts.first().map_or((0, 0.0), certain);
    let (label, score) = match aggregation {
        Aggregation::Max => {
            parts.iter().map(certain).fold(first, |most, next| if next.1 > most.1 { next } else { most })
        }
        Aggregation::Average => {
            let mut mean = vec![0.0; parts.first().map_or(0, |(_, scores)| scores.len())];
            for (_, scores) in parts {
                mean.iter_mut().zip(*scores).for_each(|(sum, score)| *sum += score / parts.len() as f32);
            }
            best(&mean)
        }
        Aggregation::None | Aggregation::Simple | Aggregation::First => first,
    };
    let (start, end) =
        (parts.first().map_or(0, |(token, _)| token.start), parts.last().map_or(0, |(token, _)| token.end));
    Piece { label, score, start, end }
}

/// The most likely label, the first of several, and its probability.
fn best(scores: &[f32]) -> (usize, f32) {
    let most =
        scores.iter().enumerate().fold(None, |most: Option<(usize, f32)>, (label, score)| match most {
            Some((_, known)) if known >= *score => most,
            _ => Some((label, *score)),
        });
    most.unwrap_or((0, 0.0))
}

/// Whether a label begins an entity, and its name.
fn split(label: &str) -> (bool, &str) {
    if let Some(name) = label.strip_prefix("B-") {
        (true, name)
    } else {
        (false, label.strip_prefix("I-").unwrap_or(label))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "Ada Lovelace met Bob", with the name in two pieces: the tokens, and labels O, B-PER, I-PER.
    fn grouped(certain: [[f32; 3]; 5], aggregation: Aggregation) -> Vec<Group> {
        let token = |start, end, word| Token { start, end, word: Some(word), special: false };
        let special = Token { start: 0, end: 0, word: None, special: true };
        let tokens = [
            special,
            token(0, 3, 0),
            token(4, 8, 1),
            token(8, 12, 1),
            token(13, 16, 2),
            token(17, 20, 3),
            special,
        ];
        let outside = [9.0, 0.0, 0.0];
        let scores: Vec<Vec<f32>> =
            [outside].into_iter().chain(certain).chain([outside]).map(|row| row.to_vec()).collect();
        let labels = ["O", "B-PER", "I-PER"].map(str::to_owned);
        group(&tokens, &scores, &labels, aggregation)
    }

    fn person(start: usize, end: usize, score: f32) -> Group {
        Group { label: "PER".to_owned(), score, start, end }
    }

    const NAMES: [[f32; 3]; 5] =
        [[0.0, 0.9, 0.1], [0.1, 0.0, 0.9], [0.2, 0.2, 0.6], [0.8, 0.1, 0.1], [0.0, 0.7, 0.3]];

    #[test]
    fn an_entity_goes_on_until_another_begins() {
        let groups = grouped(NAMES, Aggregation::Simple);
        assert_eq!(groups.len(), 2);
        assert_eq!((groups[0].start, groups[0].end), (0, 12));
        assert!((groups[0].score - 0.8).abs() < 1e-6, "{groups:?}");
        assert_eq!(groups[1], person(17, 20, 0.7));
        let alone = grouped(NAMES, Aggregation::None);
        let labels: Vec<&str> = alone.iter().map(|group| group.label.as_str()).collect();
        assert_eq!(labels, ["B-PER", "I-PER", "I-PER", "B-PER"]);
    }

    #[test]
    fn a_word_has_one_label() {
        let mut split = NAMES;
        split[2] = [0.95, 0.0, 0.05];
        assert_eq!(grouped(split, Aggregation::Simple)[0].end, 8);
        assert_eq!(grouped(split, Aggregation::First)[0].end, 12);
        assert_eq!(grouped(split, Aggregation::Max)[0].end, 3);
        assert_eq!(grouped(split, Aggregation::Average)[0].end, 3);
        split[2] = [0.7, 0.0, 0.3];
        assert_eq!(grouped(split, Aggregation::Max)[0].end, 12);
        assert_eq!(grouped(split, Aggregation::Average)[0].end, 12);
    }

    #[test]
    fn what_is_apart_is_not_put_together() {
        let mut apart = NAMES;
        apart[1] = [0.9, 0.0, 0.1];
        apart[2] = [0.9, 0.0, 0.1];
        apart[3] = [0.1, 0.0, 0.9];
        let groups = grouped(apart, Aggregation::Simple);
        let places: Vec<_> = groups.iter().map(|group| (group.start, group.end)).collect();
        assert_eq!(places, [(0, 3), (13, 16), (17, 20)]);
    }
}
