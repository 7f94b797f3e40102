//! Protocol buffer text as people write it: `input [ … ]`, where the parser wants `input: [ … ]`.

/// Puts a colon between a name and a list of messages, where the format leaves it to the writer.
pub(super) fn with_colons(text: &str) -> String {
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
            _ => after_word = character.is_alphanumeric() || character == '_',
        }
    }
    written
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
    use super::with_colons;

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
            assert_eq!(with_colons(text), expected, "{text}");
        }
    }
}
