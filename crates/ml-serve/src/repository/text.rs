//! Protocol buffer text as people write it: `input [ … ]`, where the parser wants `input: [ … ]`.

/// The deepest that brackets may nest: a configuration has some ten levels, and the parser goes down by recursion.
pub(super) const DEPTH_MAX: usize = 100;

/// Puts a colon between a name and a list of messages, where the format leaves it to the writer.
///
/// # Errors
/// When brackets nest deeper than the parser may go.
pub(super) fn with_colons(text: &str) -> Result<String, String> {
    let mut depth = 0_usize;
    let mut written = String::with_capacity(text.len() + 16);
    let mut characters = text.chars();
    // Whether what was last said is a name or a value, after which a bracket can only begin a list.
    let mut after_word = false;
    while let Some(character) = characters.next() {
        if character == '[' && after_word {
            written.push(':');
        }
        written.push(character);
        match character {
            '#' => {
                for inside in characters.by_ref().take_while(|inside| *inside != '\n') {
                    written.push(inside);
                }
                written.push('\n');
            }
            '"' | '\'' => {
                copy_text(&mut characters, character, &mut written);
                after_word = false;
            }
            _ if character.is_whitespace() => {}
            '[' | '{' | '<' if depth == DEPTH_MAX => {
                return Err(format!("brackets are nested deeper than {DEPTH_MAX}"));
            }
            _ => {
                match character {
                    '[' | '{' | '<' => depth += 1,
                    ']' | '}' | '>' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                after_word = character.is_alphanumeric() || character == '_';
            }
        }
    }
    Ok(written)
}

/// Copies a quoted text to its end, in which nothing is what it seems.
fn copy_text(characters: &mut std::str::Chars<'_>, quote: char, written: &mut String) {
    while let Some(inside) = characters.next() {
        written.push(inside);
        if inside == '\\' {
            written.extend(characters.next());
        } else if inside == quote {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DEPTH_MAX, with_colons};

    #[test]
    fn only_lists_without_a_colon_get_one() {
        for (text, expected) in [
            ("input [ {} ]", "input :[ {} ]"),
            ("input: [ {} ]", "input: [ {} ]"),
            ("dims: [ 1, 2 ] input [{}]", "dims: [ 1, 2 ] input :[{}]"),
            ("name: \"a [\" # b [\nc [{}]", "name: \"a [\" # b [\nc :[{}]"),
            (r#"name: "a\" [" b [{}]"#, r#"name: "a\" [" b :[{}]"#),
            ("name: 'open [", "name: 'open ["),
        ] {
            assert_eq!(with_colons(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn brackets_nest_only_so_deep_outside_of_texts_and_comments() {
        let nested = |depth: usize| "a{ ".repeat(depth) + &"}".repeat(depth);
        assert!(with_colons(&nested(DEPTH_MAX)).is_ok());
        assert!(with_colons(&nested(DEPTH_MAX).repeat(2)).is_ok());
        assert!(with_colons(&nested(DEPTH_MAX + 1)).is_err());
        assert!(with_colons(&format!("\"{0}\" '{0}' # {0}", "{".repeat(1000))).is_ok());
    }
}
