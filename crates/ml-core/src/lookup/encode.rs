//! How a fact is written for the shared tier: a header that says what it is, and MessagePack with named fields.
//!
//! Whatever cannot be read (another format, an older schema, a value cut short) is as good as not there. MessagePack
//! describes itself, so every serde type comes back as it was, and a field that was added with a default is no new schema.

use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Says that a value is one of ours, and in which layout.
const MAGIC: [u8; 4] = *b"mlf1";

const UNKNOWN: u8 = 0;
const KNOWN: u8 = 1;

/// Magic, schema, the time until which it is fresh, kind.
const HEADER_BYTES: usize = MAGIC.len() + 4 + 8 + 1;

/// A fact as replicas see it: their clocks agree, which instants do not.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shared<V> {
    pub value: V,
    pub fresh_until: SystemTime,
}

/// Writes a fact, or that there is none; `None` where the value cannot be written.
pub(super) fn encode<V: Serialize>(fact: &Shared<Option<&V>>, schema: u32) -> Option<Vec<u8>> {
    let fresh_until = fact.fresh_until.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let mut bytes = Vec::with_capacity(HEADER_BYTES + 64);
    bytes.extend(MAGIC);
    bytes.extend(schema.to_le_bytes());
    bytes.extend(u64::try_from(fresh_until.as_millis()).ok()?.to_le_bytes());
    bytes.push(if fact.value.is_some() { KNOWN } else { UNKNOWN });
    if let Some(value) = fact.value {
        rmp_serde::encode::write_named(&mut bytes, value).ok()?;
    }
    Some(bytes)
}

/// Reads a fact that [`encode`] wrote with the same schema.
pub(super) fn decode<V: DeserializeOwned>(bytes: &[u8], schema: u32) -> Option<Shared<Option<V>>> {
    let rest = bytes.strip_prefix(&MAGIC)?;
    let (written, rest) = rest.split_first_chunk()?;
    if u32::from_le_bytes(*written) != schema {
        return None;
    }
    let (fresh_until, rest) = rest.split_first_chunk()?;
    let since = Duration::from_millis(u64::from_le_bytes(*fresh_until));
    let fresh_until = SystemTime::UNIX_EPOCH.checked_add(since)?;
    let value = match rest {
        [UNKNOWN] => None,
        [KNOWN, payload @ ..] => {
            let mut reader = rmp_serde::Deserializer::from_read_ref(payload);
            let value = V::deserialize(&mut reader).ok()?;
            Some(value)
        }
        _ => return None,
    };
    Some(Shared { value, fresh_until })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct House {
        rooms: u8,
        price: f64,
        #[serde(default)]
        garden: bool,
    }

    /// As an older release knew it.
    #[derive(Serialize)]
    struct OldHouse {
        rooms: u8,
        price: f64,
    }

    fn shared<V>(value: V) -> Shared<V> {
        Shared { value, fresh_until: SystemTime::UNIX_EPOCH + Duration::from_millis(1_234_567) }
    }

    #[test]
    fn what_was_written_is_read() {
        let house = House { rooms: 3, price: f64::MIN_POSITIVE, garden: true };
        let bytes = encode(&shared(Some(&house)), 7).expect("it can be written");
        assert_eq!(decode::<House>(&bytes, 7), Some(shared(Some(house))));
        let bytes = encode(&shared(None::<&House>), 7).expect("it can be written");
        assert_eq!(decode::<House>(&bytes, 7), Some(shared(None)));
    }

    #[test]
    fn a_field_with_a_default_needs_no_new_schema() {
        let bytes = encode(&shared(Some(&OldHouse { rooms: 3, price: 1.0 })), 7).expect("it can be written");
        let expected = House { rooms: 3, price: 1.0, garden: false };
        assert_eq!(decode::<House>(&bytes, 7), Some(shared(Some(expected))));
    }

    #[test]
    fn what_is_not_ours_or_not_whole_is_not_there() {
        let good = encode(&shared(Some(&House { rooms: 3, price: 1.0, garden: true })), 7)
            .expect("it can be written");
        let mut other_layout = good.clone();
        other_layout[3] = b'0';
        let mut other_kind = good.clone();
        other_kind[HEADER_BYTES - 1] = 9;
        for bytes in [b"".as_slice(), b"3.5", &[0xff; 40], &other_layout, &other_kind] {
            assert_eq!(decode::<House>(bytes, 7), None, "{bytes:?}");
        }
        for end in 0..good.len() {
            assert_eq!(decode::<House>(&good[..end], 7), None, "cut at {end}");
        }
        assert_eq!(decode::<House>(&good, 6), None, "an older schema");
        assert_eq!(decode::<String>(&good, 7), None, "another type");
    }
}
