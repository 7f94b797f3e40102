//! Redis as the tier that replicas share.

use ml_core::{LookupError, Tier, TierEntry};
use redis::Pipeline;

use super::Redis;

/// A cache in Redis, for [`Source::tier`](ml_core::Source::tier).
#[derive(Clone)]
pub struct RedisTier(Redis);

impl RedisTier {
    /// Keeps facts in `redis`.
    #[must_use]
    pub fn new(redis: Redis) -> Self {
        Self(redis)
    }
}

impl Tier for RedisTier {
    async fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, LookupError> {
        self.0.get_many(keys).await
    }

    async fn put_many(&self, entries: &[TierEntry]) -> Result<(), LookupError> {
        let mut put = Pipeline::with_capacity(entries.len());
        for TierEntry { key, value, time_to_live } in entries {
            // PX takes no zero, and no more than fits into a signed number.
            let millis = i64::try_from(time_to_live.as_millis()).unwrap_or(i64::MAX).clamp(1, MILLIS_MAX);
            put.cmd("SET").arg(key).arg(value).arg("PX").arg(millis).ignore();
        }
        self.0.ask(&put).await
    }
}

/// A hundred years: Redis adds the time of day, and refuses what does not fit then.
const MILLIS_MAX: i64 = 100 * 365 * 24 * 3600 * 1000;
