use ml_core::ElementType;
use serde_json::Value;

use super::*;
use crate::tensors::Data;

/// Reads a document as one value.
fn skipped(document: &str) -> Result<(), JsonError> {
    let mut scanner = Scanner::new(document.as_bytes());
    scanner.skip()?;
    scanner.end()
}

fn floats(document: &str) -> Result<Vec<f64>, JsonError> {
    let mut scanner = Scanner::new(document.as_bytes());
    let mut numbers = Vec::new();
    scanner.array(|scanner| {
        numbers.push(scanner.float()?);
        Ok::<_, JsonError>(())
    })?;
    scanner.end()?;
    Ok(numbers)
}

#[test]
fn it_takes_what_is_json_and_nothing_else() {
    for document in [
        "{}",
        "[]",
        "[[],[]]",
        r#"{"a":{},"b":[1,-2.5e-3,true,false,null,"x"]}"#,
        " [ 1 , 2 ] \n",
        "0",
        "-0",
        "1e5",
        "[[1],[2,3]]",
        r#""é\u00e9\ud83d\ude00\n""#,
        "",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "01",
        "1.",
        ".5",
        "+1",
        "-",
        "1e",
        "1e+",
        "tru",
        "nul",
        "[1 2]",
        "\"\n\"",
        "\"\\x\"",
        "\"\\ud800\"",
        "\"\\u12\"",
        "\"open",
        "\"\\",
        "[1]]",
        "{}{}",
        "]",
        "[}",
        "{]",
        "[1}",
        "\u{b}1",
    ] {
        let expected = serde_json::from_str::<Value>(document).is_ok();
        assert_eq!(skipped(document).is_ok(), expected, "{document:?}: {:?}", skipped(document));
    }
}

#[test]
fn numbers_are_the_nearest_doubles() {
    let texts = [
        "0",
        "-0.0",
        "1",
        "0.1",
        "0.10000000149011612",
        "3.4028234663852886e+38",
        "5e-324",
        "1e22",
        "1e23",
        "123456789012345678901234567890",
        "9007199254740993",
        "0.000001",
        "1.7976931348623157e308",
        "2.2250738585072011e-308",
        "100000000000000000000",
        "1e-400",
        "1.25e2",
        "18446744073709551615",
        "0.00000000000000000000000000001",
    ];
    let read = floats(&format!("[{}]", texts.join(","))).expect("they are numbers");
    for (text, read) in texts.iter().zip(read) {
        let expected: f64 = text.parse().expect("a number");
        assert_eq!(read.to_bits(), expected.to_bits(), "{text}");
    }
    let read = floats("[NaN, Infinity, -Infinity]").expect("as Triton writes them");
    assert!(read[0].is_nan() && read[1] == f64::INFINITY && read[2] == f64::NEG_INFINITY);
}

#[test]
fn whole_numbers_end_where_their_type_does() {
    let signed = |text: &str| Scanner::new(text.as_bytes()).signed().ok();
    let unsigned = |text: &str| Scanner::new(text.as_bytes()).unsigned().ok();
    assert_eq!(signed("-9223372036854775808"), Some(i64::MIN));
    assert_eq!(signed("9223372036854775807"), Some(i64::MAX));
    assert_eq!(unsigned("18446744073709551615"), Some(u64::MAX));
    assert_eq!(unsigned("0"), Some(0));
    for text in
        ["9223372036854775808", "-9223372036854775809", "1.0", "1e2", "true", "\"1\"", "99999999999999999999"]
    {
        assert_eq!(signed(text), None, "{text}");
    }
    for text in ["18446744073709551616", "-1", "-0", "1.0", "36893488147419103233"] {
        assert_eq!(unsigned(text), None, "{text}");
    }
}

#[test]
fn the_elements_of_a_tensor_are_counted_not_shaped() {
    for (document, expected) in [
        ("[1,2,3,4]", Some(4)),
        ("[[1,2],[3,4]]", Some(4)),
        ("[[[1]],2,[[[3,4]]]]", Some(4)),
        ("[]", Some(0)),
        ("[[],[]]", Some(0)),
        ("[[1,2],[3,4]", None),
        ("[1,,2]", None),
        ("[1,]", None),
        ("1", None),
        ("[1.5]", None),
        ("[300]", None),
        ("[\"1\"]", None),
    ] {
        let read = Scanner::new(document.as_bytes()).tensor(ElementType::U8, 4).ok().flatten();
        let bytes = read.map(|data| if let Data::Numbers(bytes) = data { bytes.len() } else { 0 });
        assert_eq!(bytes, expected, "{document}");
    }
}

#[test]
fn a_tensor_keeps_no_room_for_what_its_shape_promises() {
    let document = format!("[\"a\"]{}", " ".repeat(1000));
    let mut scanner = Scanner::new(document.as_bytes());
    let texts =
        scanner.elements(usize::MAX, |scanner| scanner.string().map(drop).map(|()| 0_u64)).expect("texts");
    assert_eq!((texts.len(), texts.capacity()), (1, 1));
}

#[test]
fn depth_is_bounded_everywhere() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(skipped(&nested(DEPTH_MAX)), Ok(()));
    assert_eq!(skipped(&nested(DEPTH_MAX + 1)), Err(JsonError::TooDeep));
    assert_eq!(skipped(&nested(250_000)), Err(JsonError::TooDeep));
    let tensor = |depth| Scanner::new(nested(depth).as_bytes()).tensor(ElementType::U8, 0).map(drop);
    assert_eq!(tensor(DEPTH_MAX), Ok(()));
    assert_eq!(tensor(DEPTH_MAX + 1), Err(JsonError::TooDeep));
}

#[test]
fn texts_have_their_escapes_undone() {
    for (document, expected) in [
        (r#""plain ünï""#, "plain ünï"),
        (r#""a\"b\\c\/d\b\f\n\r\t""#, "a\"b\\c/d\u{8}\u{c}\n\r\t"),
        (r#""\u0000\u00e9\ud83d\ude00\\u0041""#, "\0é😀\\u0041"),
    ] {
        assert_eq!(Scanner::new(document.as_bytes()).string().as_deref(), Ok(expected), "{document}");
    }
}
