//! Room in the queue, in items and in bytes. Callers may wait for it without blocking a thread.

use tokio::sync::{AcquireError, Semaphore, SemaphorePermit, TryAcquireError};

use crate::Error;
use crate::error::Full;

use super::waiting::Priority;

/// Bytes are counted in units of this many, so that their number fits what a semaphore counts.
const UNIT_BYTES: usize = 1024;

/// The share of the room that bulk items may fill, so that they never keep an interactive one out.
const BULK_SHARE: usize = 2;

/// What one waiting item occupies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim {
    units: usize,
    priority: Priority,
}

/// The claims of a call's items.
pub(super) struct Claims {
    items: usize,
    units: usize,
    priority: Priority,
}

impl Claims {
    /// Returns the claim of the next item: the units are shared out so that they add up.
    pub fn next(&mut self) -> Claim {
        let units = self.units.checked_div(self.items).unwrap_or(0);
        self.items = self.items.saturating_sub(1);
        self.units -= units;
        Claim { units, priority: self.priority }
    }
}

struct Space {
    items: Semaphore,
    units: Semaphore,
    items_max: usize,
    units_max: usize,
}

pub(super) struct Room {
    all: Space,
    bulk: Space,
}

impl Space {
    fn new(items_max: usize, units_max: usize) -> Self {
        let (items_max, units_max) = (bounded(items_max), bounded(units_max));
        Self { items: Semaphore::new(items_max), units: Semaphore::new(units_max), items_max, units_max }
    }

    fn waiting(&self) -> (usize, usize) {
        let units = self.units_max - self.units.available_permits().min(self.units_max);
        (self.items_max - self.items.available_permits().min(self.items_max), units * UNIT_BYTES)
    }

    async fn wait(&self, items: u32, units: u32) -> Result<Taken<'_>, AcquireError> {
        let items = self.items.acquire_many(items).await?;
        Ok(Taken { items, units: self.units.acquire_many(units).await? })
    }

    fn try_take(&self, items: u32, units: u32) -> Result<Taken<'_>, Result<Full, Error>> {
        let full = |error: TryAcquireError, full: Full| match error {
            TryAcquireError::Closed => Err(Error::ShuttingDown),
            TryAcquireError::NoPermits => Ok(full),
        };
        let (waiting_items, waiting_bytes) = self.waiting();
        let (limit_items, limit_bytes) = (self.items_max, self.units_max * UNIT_BYTES);
        let items = self
            .items
            .try_acquire_many(items)
            .map_err(|error| full(error, Full::Items { waiting_items, limit_items }))?;
        let units = self
            .units
            .try_acquire_many(units)
            .map_err(|error| full(error, Full::Bytes { waiting_bytes, limit_bytes }))?;
        Ok(Taken { items, units })
    }

    fn give_back(&self, items: usize, units: usize) {
        self.items.add_permits(items);
        self.units.add_permits(units);
    }

    fn close(&self) {
        self.items.close();
        self.units.close();
    }
}

/// Permits that come back by themselves unless they are kept.
struct Taken<'a> {
    items: SemaphorePermit<'a>,
    units: SemaphorePermit<'a>,
}

impl Taken<'_> {
    /// The permits now belong to the items: they come back one by one.
    fn keep(self) {
        self.items.forget();
        self.units.forget();
    }
}

impl Room {
    pub fn new(items_max: usize, bytes_max: usize) -> Self {
        let units_max = bytes_max.div_ceil(UNIT_BYTES);
        let all = Space::new(items_max, units_max);
        Self { all, bulk: Space::new(items_max.div_ceil(BULK_SHARE), units_max.div_ceil(BULK_SHARE)) }
    }

    /// Returns how many of a call's items go in together: all that fit, else as many as fill half of the room.
    pub fn part_items(&self, items: usize, bytes: usize, priority: Priority) -> usize {
        let space = self.of(priority);
        let bytes_max = space.units_max * UNIT_BYTES;
        if items <= space.items_max && items.max(bytes.div_ceil(UNIT_BYTES)) <= space.units_max {
            return items;
        }
        let bytes_per_item = (bytes / items.max(1)).max(UNIT_BYTES);
        space.items_max.div_ceil(2).min(bytes_max / 2 / bytes_per_item).max(1)
    }

    fn of(&self, priority: Priority) -> &Space {
        match priority {
            Priority::Interactive => &self.all,
            Priority::Bulk => &self.bulk,
        }
    }

    /// Waits until there is room for these items.
    pub async fn wait(&self, items: usize, bytes: usize, priority: Priority) -> Result<Claims, Error> {
        let (permits, units) = self.permits(items, bytes, priority)?;
        let closed = |_: AcquireError| Error::ShuttingDown;
        if priority == Priority::Bulk {
            let bulk = self.bulk.wait(permits, units).await.map_err(closed)?;
            self.all.wait(permits, units).await.map_err(closed)?.keep();
            bulk.keep();
        } else {
            self.all.wait(permits, units).await.map_err(closed)?.keep();
        }
        Ok(Claims { items, units: units as usize, priority })
    }

    /// Takes room for these items, or says what it is that is full.
    pub fn try_take(
        &self,
        items: usize,
        bytes: usize,
        priority: Priority,
    ) -> Result<Claims, Result<Full, Error>> {
        let (permits, units) = self.permits(items, bytes, priority).map_err(Err)?;
        if priority == Priority::Bulk {
            let bulk = self.bulk.try_take(permits, units)?;
            self.all.try_take(permits, units)?.keep();
            bulk.keep();
        } else {
            self.all.try_take(permits, units)?.keep();
        }
        Ok(Claims { items, units: units as usize, priority })
    }

    fn permits(&self, items: usize, bytes: usize, priority: Priority) -> Result<(u32, u32), Error> {
        let space = self.of(priority);
        let units = bytes.div_ceil(UNIT_BYTES).max(items);
        let limit_bytes = space.units_max * UNIT_BYTES;
        let too_large = Error::CallTooLarge { bytes, limit_bytes };
        if units > space.units_max {
            return Err(too_large);
        }
        match (u32::try_from(items), u32::try_from(units)) {
            (Ok(items), Ok(units)) => Ok((items, units)),
            _ => Err(too_large),
        }
    }

    /// Frees what items occupied: all at once, since each time takes locks.
    pub fn give_back(&self, claims: impl IntoIterator<Item = Claim>) {
        let (mut all, mut bulk) = ([0; 2], [0; 2]);
        for Claim { units, priority } in claims {
            all = [all[0] + 1, all[1] + units];
            if priority == Priority::Bulk {
                bulk = [bulk[0] + 1, bulk[1] + units];
            }
        }
        for (space, [items, units]) in [(&self.all, all), (&self.bulk, bulk)] {
            space.give_back(items, units);
        }
    }

    /// Nobody comes in from now on.
    pub fn close(&self) {
        self.all.close();
        self.bulk.close();
    }

    /// Returns whether everything that was taken has come back.
    #[cfg(all(test, feature = "shuttle"))]
    pub fn is_whole(&self) -> bool {
        [&self.all, &self.bulk].iter().all(|space| {
            (space.items.available_permits(), space.units.available_permits())
                == (space.items_max, space.units_max)
        })
    }
}

/// Returns the size as far as one semaphore, and one request to it, can count.
fn bounded(size: usize) -> usize {
    size.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn take(
        room: &Room,
        items: usize,
        bytes: usize,
        priority: Priority,
    ) -> Result<Claims, Result<Full, Error>> {
        room.try_take(items, bytes, priority)
    }

    #[test]
    fn what_is_full_is_named_with_its_limit() {
        let room = Room::new(4, 8 * UNIT_BYTES);
        assert!(take(&room, 3, 0, Priority::Interactive).is_ok());
        let full = take(&room, 2, 0, Priority::Interactive).err().unwrap().unwrap();
        assert_eq!(full, Full::Items { waiting_items: 3, limit_items: 4 });
        let full = take(&room, 1, 6 * UNIT_BYTES, Priority::Interactive).err().unwrap().unwrap();
        assert_eq!(full, Full::Bytes { waiting_bytes: 3 * UNIT_BYTES, limit_bytes: 8 * UNIT_BYTES });
        let never = take(&room, 1, 9 * UNIT_BYTES, Priority::Interactive).err().unwrap().unwrap_err();
        assert_eq!(never, Error::CallTooLarge { bytes: 9 * UNIT_BYTES, limit_bytes: 8 * UNIT_BYTES });
    }

    #[test]
    fn a_call_that_never_fits_goes_in_by_parts_that_do() {
        let room = Room::new(100, 100 * UNIT_BYTES);
        for (items, bytes, priority, expected) in [
            (100, 0, Priority::Interactive, 100),
            (101, 0, Priority::Interactive, 50),
            (51, 0, Priority::Bulk, 25),
            (10, 101 * UNIT_BYTES, Priority::Interactive, 4),
            (2, 300 * UNIT_BYTES, Priority::Interactive, 1),
        ] {
            assert_eq!(room.part_items(items, bytes, priority), expected, "{items} items, {bytes} bytes");
        }
    }

    #[test]
    fn bulk_leaves_room_for_the_interactive() {
        let room = Room::new(4, 100 * UNIT_BYTES);
        assert!(take(&room, 2, 0, Priority::Bulk).is_ok());
        assert!(take(&room, 1, 0, Priority::Bulk).is_err());
        assert!(take(&room, 2, 0, Priority::Interactive).is_ok());
        assert!(take(&room, 1, 0, Priority::Interactive).is_err());
    }

    #[test]
    fn what_items_give_back_is_what_they_took() {
        let room = Room::new(7, 100 * UNIT_BYTES);
        for priority in [Priority::Interactive, Priority::Bulk] {
            let mut claims = take(&room, 3, 50 * UNIT_BYTES, priority).ok().unwrap();
            room.give_back([claims.next(), claims.next()]);
            room.give_back([claims.next()]);
            assert_eq!((room.all.waiting(), room.bulk.waiting()), ((0, 0), (0, 0)), "{priority:?}");
        }
    }

    #[test]
    fn a_failed_claim_takes_nothing_and_one_that_waits_gets_what_comes_free() {
        let room = Room::new(4, 8 * UNIT_BYTES);
        let mut first = take(&room, 1, 5 * UNIT_BYTES, Priority::Bulk).err();
        assert!(first.take().is_some(), "bulk has half of the bytes");
        assert_eq!((room.all.waiting(), room.bulk.waiting()), ((0, 0), (0, 0)));
        let mut held = take(&room, 1, 8 * UNIT_BYTES, Priority::Interactive).ok().unwrap();
        let mut patient = Box::pin(room.wait(1, 0, Priority::Bulk));
        assert!(patient.as_mut().now_or_never().is_none());
        room.give_back([held.next()]);
        assert!(patient.as_mut().now_or_never().is_some_and(|claims| claims.is_ok()));
    }
}
