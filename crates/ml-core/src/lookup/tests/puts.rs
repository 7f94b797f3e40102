//! What is put into the shared tier: no more at once than may be, however slow it is.

use super::*;
use crate::{LookupCache, TierOptions};

/// A shared store that has nothing, takes its time to be given something, and counts how much it is given at once.
#[derive(Clone, Default)]
struct Slow(Arc<Given>);

#[derive(Default)]
struct Given {
    out: AtomicUsize,
    most_out: AtomicUsize,
    puts: AtomicUsize,
}

impl Tier for Slow {
    async fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, LookupError> {
        Ok(vec![None; keys.len()])
    }

    async fn put_many(&self, _: &[TierEntry]) -> Result<(), LookupError> {
        let out = self.0.out.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most_out.fetch_max(out, Ordering::SeqCst);
        sleep(millis(30)).await;
        self.0.out.fetch_sub(1, Ordering::SeqCst);
        self.0.puts.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_is_put_at_once_than_may_be_and_what_waits_too_long_is_not() {
    let tier = Slow::default();
    let options = TierOptions { concurrency: 2, ..TierOptions::new("", 1) };
    let source = Source::new(Shop::default()).cache(LookupCache::lru(100)).tier(tier.clone(), options);
    let running = running(source.keys_per_fetch_max(1));
    for number in 0..20 {
        let got = ask_within(&running, &number.to_string(), None).await;
        assert_eq!(
            (got.fact, got.took),
            (Ok(Some(number + 1)), Duration::ZERO),
            "callers do not wait for it"
        );
    }
    sleep(secs(1)).await;
    // Those that begin within its 100 ms: at 0, 30, 60 and 90 ms, two each.
    assert_eq!((tier.0.most_out.load(Ordering::SeqCst), tier.0.puts.load(Ordering::SeqCst)), (2, 8));
}
