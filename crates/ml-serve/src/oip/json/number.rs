//! Numbers, by the grammar of JSON.

use super::{JsonError, Scanner};

/// Powers of ten that a double holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// The parts of a number's text.
struct Parts<'a> {
    text: &'a [u8],
    negative: bool,
    /// All digits as one whole number, where it has no more than nineteen.
    digits: u64,
    digit_count: usize,
    /// What the digits are to be multiplied by, as a power of ten.
    exponent: i32,
    whole: bool,
}

impl<'a> Scanner<'a> {
    /// Reads a number as the nearest double.
    pub fn float(&mut self) -> Result<f64, JsonError> {
        match self.peek() {
            Some(b'N') => return self.word(b"NaN").map(|()| f64::NAN),
            Some(b'I') => return self.word(b"Infinity").map(|()| f64::INFINITY),
            Some(b'-') if self.bytes.get(self.at + 1) == Some(&b'I') => {
                return self.word(b"-Infinity").map(|()| f64::NEG_INFINITY);
            }
            _ => {}
        }
        let parts = self.parts("number")?;
        // Both numbers are exact, so the one operation is rounded right.
        if parts.digits < 1 << 53 && parts.digit_count <= 19 {
            let (digits, power) = (parts.digits as f64, parts.exponent.unsigned_abs() as usize);
            if let Some(power) = POWERS.get(power) {
                let number = if parts.exponent < 0 { digits / power } else { digits * power };
                return Ok(if parts.negative { -number } else { number });
            }
        }
        let text = std::str::from_utf8(parts.text).ok();
        text.and_then(|text| text.parse().ok()).ok_or_else(|| self.syntax("invalid number"))
    }

    /// Reads a whole number.
    pub fn signed(&mut self) -> Result<i64, JsonError> {
        let wrong = JsonError::Type { found: "non-signed-integer", wanted: "signed-integer" };
        let parts = self.parts("signed-integer")?;
        if !parts.whole || parts.digit_count > 19 {
            return Err(wrong);
        }
        let number = if parts.negative {
            0_i64.checked_sub_unsigned(parts.digits)
        } else {
            parts.digits.try_into().ok()
        };
        number.ok_or(wrong)
    }

    /// Reads a whole number from zero.
    pub fn unsigned(&mut self) -> Result<u64, JsonError> {
        let wrong = JsonError::Type { found: "non-unsigned-integer", wanted: "unsigned-integer" };
        let parts = self.parts("unsigned-integer")?;
        if !parts.whole || parts.negative {
            return Err(wrong);
        }
        if parts.digit_count <= 19 {
            return Ok(parts.digits);
        }
        std::str::from_utf8(parts.text).ok().and_then(|text| text.parse().ok()).ok_or(wrong)
    }

    fn parts(&mut self, wanted: &'static str) -> Result<Parts<'a>, JsonError> {
        if !matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
            return Err(self.wrong_type(wanted));
        }
        let start = self.at;
        let negative = self.bytes[self.at] == b'-';
        self.at += usize::from(negative);
        let mut parts = Parts { text: &[], negative, digits: 0, digit_count: 0, exponent: 0, whole: true };
        let first = self.bytes.get(self.at).copied();
        let before = self.digits(&mut parts);
        if before == 0 || (before > 1 && first == Some(b'0')) {
            return Err(self.syntax("invalid number"));
        }
        if first == Some(b'0') {
            parts.digit_count = 0; // A zero in front is no digit of the number.
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            parts.whole = false;
            match self.digits(&mut parts) {
                0 => return Err(self.syntax("missing fraction part in number")),
                after => parts.exponent = -i32::try_from(after).unwrap_or(i32::MAX),
            }
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            parts.whole = false;
            self.exponent(&mut parts)?;
        }
        parts.text = &self.bytes[start..self.at];
        Ok(parts)
    }

    /// Reads digits; returns how many there were.
    fn digits(&mut self, parts: &mut Parts<'_>) -> usize {
        let start = self.at;
        while let Some(digit @ b'0'..=b'9') = self.bytes.get(self.at) {
            parts.digits = parts.digits.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        parts.digit_count += self.at - start;
        self.at - start
    }

    fn exponent(&mut self, parts: &mut Parts<'_>) -> Result<(), JsonError> {
        self.at += 1;
        let negative = self.bytes.get(self.at) == Some(&b'-');
        self.at += usize::from(matches!(self.bytes.get(self.at), Some(b'-' | b'+')));
        let start = self.at;
        let mut exponent = 0_i32;
        while let Some(digit @ b'0'..=b'9') = self.bytes.get(self.at) {
            exponent = exponent.saturating_mul(10).saturating_add(i32::from(digit - b'0'));
            self.at += 1;
        }
        if start == self.at {
            return Err(self.syntax("missing exponent in number"));
        }
        parts.exponent = parts.exponent.saturating_add(if negative { -exponent } else { exponent });
        Ok(())
    }
}
