//! `tokenizer.json`: from a text to its tokens, cut to what the model reads.

use ml_core::Rejection;
use serde::Deserialize;
use tokenizers::{
    EncodeInput, Encoding, PostProcessor, Tokenizer, TruncationDirection, TruncationParams,
    truncate_encodings,
};

use super::tokens::Tokens;
use crate::folder::TOKENIZER;
use crate::{Folder, TaskError, TaskOptions};

/// Tokens of a text where neither the folder nor the operator say: what nearly every encoder has places for.
const TOKENS_MAX: usize = 512;

/// What a caller sends: a text, or the numbers of its tokens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(untagged, expecting = "expected a text, or an array of token numbers")]
pub enum Content {
    /// A text, to be tokenised.
    Text(String),
    /// Tokens; special ones are added unless they are there.
    Tokens(Vec<u32>),
}

/// Which end of a text is lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Its begin.
    #[serde(alias = "Left")]
    Left,
    /// Its end.
    #[default]
    #[serde(alias = "Right")]
    Right,
}

/// What happens to a text with more tokens than the model reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cutting {
    /// Whether it is cut; it is refused otherwise.
    pub truncate: bool,
    /// Which end is lost; the tokenizer's own where it is `None`.
    pub direction: Option<Direction>,
}

impl Default for Cutting {
    /// A long text is cut, as its tokenizer has it.
    fn default() -> Self {
        Self { truncate: true, direction: None }
    }
}

/// A text's tokens, and where they come from.
pub struct Tokenized {
    /// The tokens, special ones included.
    pub tokens: Tokens,
    /// Whether the text had more.
    pub truncated: bool,
    /// All that the tokenizer says; `None` where the caller sent tokens.
    pub encoding: Option<Encoding>,
}

/// A tokenizer that cuts long texts, and does not pad: the batch decides how long a row is.
pub struct TextTokenizer {
    tokenizer: Tokenizer,
    tokens_max: usize,
    vocabulary: usize,
    direction: Direction,
    /// Special tokens before and after a text.
    frame: (Vec<u32>, Vec<u32>),
}

impl TextTokenizer {
    /// Reads a folder's tokenizer and the limits that its files set.
    ///
    /// The most tokens are, of those that are there: what the operator says, `sentence_bert_config.json`, the tokenizer's
    /// own cut, `tokenizer_config.json`; never more than `config.json` has places for, or than `fixed`.
    ///
    /// # Errors
    /// When a file cannot be read or understood.
    pub fn load(folder: &Folder, options: &TaskOptions, fixed: Option<usize>) -> Result<Self, TaskError> {
        let path = folder.path(TOKENIZER);
        let wrong = |error: tokenizers::Error| folder.refuse(TOKENIZER, error.to_string());
        let mut tokenizer = Tokenizer::from_file(&path).map_err(wrong)?;
        let config = folder.tokenizer_config()?;
        let own = tokenizer.get_truncation().cloned();
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(wrong)?;
        let said = options.tokens_max.map(usize::from).or(folder.sentence_config()?.max_seq_length);
        let said = said.or(own.as_ref().map(|own| own.max_length)).or(config.tokens_max());
        let places = folder.model_config()?.places_max();
        let limits = [said, places, fixed].into_iter().flatten();
        let left = own.is_some_and(|own| own.direction == TruncationDirection::Left) || config.cuts_left();
        let frame = frame(&tokenizer).map_err(wrong)?;
        let tokens_max = limits.min().unwrap_or(TOKENS_MAX);
        let added = added(&tokenizer, true);
        if tokens_max <= added {
            return Err(folder
                .refuse(TOKENIZER, format!("{tokens_max} tokens have no room beside {added} special ones")));
        }
        Ok(Self {
            vocabulary: tokenizer.get_vocab_size(true),
            tokens_max,
            direction: if left { Direction::Left } else { Direction::Right },
            frame,
            tokenizer,
        })
    }

    /// Returns the most tokens of a text, special ones included.
    pub fn tokens_max(&self) -> usize {
        self.tokens_max
    }

    /// Tokenises a text, or takes the tokens that the caller sent.
    ///
    /// # Errors
    /// When it is empty, does not tokenise, or is too long and not to be cut.
    pub fn content(&self, content: &Content, cutting: Cutting) -> Result<Tokenized, Rejection> {
        match content {
            Content::Text(text) => self.text(text.as_str(), "text", cutting),
            Content::Tokens(ids) => self.ids(ids, cutting),
        }
    }

    /// Tokenises a text, or a pair of texts; `field` is what a rejection names.
    ///
    /// # Errors
    /// When it does not tokenise, or is too long and not to be cut.
    pub fn text<'t>(
        &self,
        text: impl Into<EncodeInput<'t>>,
        field: &'static str,
        cutting: Cutting,
    ) -> Result<Tokenized, Rejection> {
        self.tokenized(text.into(), field, cutting, |tokenizer, text, special| {
            tokenizer.encode_fast(text, special)
        })
    }

    /// As [`text`](Self::text), with the place of each token in the text, in characters.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn with_places(
        &self,
        text: &str,
        field: &'static str,
        cutting: Cutting,
    ) -> Result<Tokenized, Rejection> {
        let encode = |tokenizer: &Tokenizer, text, special| {
            tokenizer.encode_char_offsets::<EncodeInput<'_>>(text, special)
        };
        self.tokenized(text.into(), field, cutting, encode)
    }

    fn tokenized<'t>(
        &self,
        text: EncodeInput<'t>,
        field: &'static str,
        cutting: Cutting,
        encode: impl Fn(&Tokenizer, EncodeInput<'t>, bool) -> tokenizers::Result<Encoding>,
    ) -> Result<Tokenized, Rejection> {
        let wrong = |error: tokenizers::Error| Rejection::new(field, "tokenises").value(error);
        let whole = encode(&self.tokenizer, text.clone(), true).map_err(wrong)?;
        if whole.len() <= self.tokens_max {
            return Ok(tokenized(whole, false));
        }
        self.check_cut(whole.len(), field, cutting)?;
        drop(whole);
        // The parts are cut before special tokens are added, as the tokenizer itself would do it.
        let (first, second) = match text {
            EncodeInput::Single(first) => (first, None),
            EncodeInput::Dual(first, second) => (first, Some(second)),
        };
        let part = |part| encode(&self.tokenizer, EncodeInput::Single(part), false).map_err(wrong);
        let (first, second) = (part(first)?, second.map(part).transpose()?);
        let max_length = self.tokens_max - added(&self.tokenizer, second.is_some()).min(self.tokens_max);
        let direction = match cutting.direction.unwrap_or(self.direction) {
            Direction::Left => TruncationDirection::Left,
            Direction::Right => TruncationDirection::Right,
        };
        let params = TruncationParams { max_length, direction, ..TruncationParams::default() };
        let (mut first, mut second) = truncate_encodings(first, second, &params).map_err(wrong)?;
        // What was cut off would be framed as well, every piece of one with every piece of the other.
        first.take_overflowing();
        second.iter_mut().for_each(|second| drop(second.take_overflowing()));
        let cut = self.tokenizer.post_process(first, second, true).map_err(wrong)?;
        Ok(tokenized(cut, true))
    }

    fn ids(&self, ids: &[u32], cutting: Cutting) -> Result<Tokenized, Rejection> {
        if let Some((index, id)) = ids.iter().enumerate().find(|(_, id)| **id as usize >= self.vocabulary) {
            let place = format!("text[{index}]");
            return Err(Rejection::new(place, "range")
                .value(id)
                .limit(format!("0 to {}", self.vocabulary - 1)));
        }
        let (before, after) = &self.frame;
        let framed =
            ids.len() >= before.len() + after.len() && ids.starts_with(before) && ids.ends_with(after);
        let bare = if framed { &ids[before.len()..ids.len() - after.len()] } else { ids };
        let room = self.tokens_max.saturating_sub(before.len() + after.len());
        let mut kept = bare;
        if bare.len() > room {
            self.check_cut(bare.len() + before.len() + after.len(), "text", cutting)?;
            kept = match cutting.direction.unwrap_or(self.direction) {
                Direction::Left => &bare[bare.len() - room..],
                Direction::Right => &bare[..room],
            };
        }
        let tokens = Tokens { ids: [before, kept, after].concat(), types: Vec::new() };
        Ok(Tokenized { tokens, truncated: kept.len() < bare.len(), encoding: None })
    }

    fn check_cut(&self, tokens: usize, field: &'static str, cutting: Cutting) -> Result<(), Rejection> {
        if cutting.truncate {
            return Ok(());
        }
        let (value, limit) = (format!("{tokens} tokens"), format!("{} tokens", self.tokens_max));
        Err(Rejection::new(field, "max_tokens").value(value).limit(limit))
    }
}

fn tokenized(encoding: Encoding, truncated: bool) -> Tokenized {
    let types = encoding.get_type_ids();
    let types = if types.iter().all(|part| *part == 0) { Vec::new() } else { types.to_vec() };
    let tokens = Tokens { ids: encoding.get_ids().to_vec(), types };
    Tokenized { tokens, truncated, encoding: Some(encoding) }
}

/// How many special tokens a text, or a pair, gets.
fn added(tokenizer: &Tokenizer, pair: bool) -> usize {
    tokenizer.get_post_processor().map_or(0, |processor| processor.added_tokens(pair))
}

/// Finds the special tokens before and after a text.
fn frame(tokenizer: &Tokenizer) -> tokenizers::Result<(Vec<u32>, Vec<u32>)> {
    let (bare, framed) = (tokenizer.encode_fast("a", false)?, tokenizer.encode_fast("a", true)?);
    let (bare, framed) = (bare.get_ids(), framed.get_ids());
    let start = framed.windows(bare.len().max(1)).position(|window| window == bare).unwrap_or(0);
    let end = (start + bare.len()).min(framed.len());
    Ok((framed[..start].to_vec(), framed[end..].to_vec()))
}
