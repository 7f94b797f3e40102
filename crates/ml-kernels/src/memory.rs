//! Memory for the weights of all layers of a model: one piece, in huge pages where the system has them.

use std::marker::PhantomData;
use std::ops::Deref;

use bytes::{Buf, Bytes, BytesMut};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The bytes of a huge page on x86-64, and on arm64 with ordinary pages of 4 KiB.
const HUGE_PAGE: usize = 2 << 20;

/// Where layers put their weights, one after the other.
///
/// With few rows a product reads weights as fast as it multiplies, and those of one model lie in thousands of ordinary pages, more than a
/// core keeps the places of. In huge pages it knows all. A layer alone fills none, or ends in the middle
/// of one: so those of one model have one piece of memory, which is freed with the last of them.
#[derive(Debug, Default)]
pub struct Arena {
    /// Bytes that are not asked of the system yet.
    planned: usize,
    rest: BytesMut,
}

impl Arena {
    /// Plans so many bytes, which are taken from the system with the first layer, and of which those that no layer comes to are never
    /// touched. A layer beyond them has memory of its own.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { planned: bytes, rest: BytesMut::new() }
    }

    /// Returns room for so many lines of weights.
    pub(crate) fn room<T: Weight>(&mut self, lines: usize) -> Room<T> {
        if self.planned > 0 {
            self.rest = zeroed(std::mem::take(&mut self.planned), HUGE_PAGE);
            wish_huge(&mut self.rest);
        }
        let size = lines.saturating_mul(size_of::<T>());
        let fits = size <= self.rest.len();
        let bytes = if fits { self.rest.split_to(size) } else { zeroed(size, align_of::<T>()) };
        Room { bytes, filled: 0, lines: PhantomData }
    }
}

/// What fills whole vectors, and is any bytes.
pub(crate) trait Weight: FromBytes + IntoBytes + KnownLayout + Immutable {}

impl<T: FromBytes + IntoBytes + KnownLayout + Immutable> Weight for T {}

/// Room that is filled line by line.
pub(crate) struct Room<T> {
    bytes: BytesMut,
    filled: usize,
    lines: PhantomData<T>,
}

/// Lines of weights, which stay where they are.
#[derive(Debug)]
pub(crate) struct Packed<T> {
    bytes: Bytes,
    lines: PhantomData<T>,
}

impl<T: Weight> Room<T> {
    /// Adds lines, as many as there is room for.
    pub(crate) fn extend(&mut self, lines: impl IntoIterator<Item = T>) {
        let room = <[T]>::mut_from_bytes(&mut self.bytes).unwrap_or_default();
        for (place, line) in room[self.filled..].iter_mut().zip(lines) {
            *place = line;
            self.filled += 1;
        }
    }

    /// Returns how many lines there are.
    pub(crate) fn len(&self) -> usize {
        self.filled
    }

    pub(crate) fn packed(self) -> Packed<T> {
        Packed { bytes: self.bytes.freeze(), lines: PhantomData }
    }
}

impl<T: Weight> Deref for Packed<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // Always whole lines at their alignment: so the room was made.
        <[T]>::ref_from_bytes(&self.bytes).unwrap_or_default()
    }
}

/// Returns so many zeros, which begin at a multiple of `align`.
fn zeroed(size: usize, align: usize) -> BytesMut {
    let mut bytes = BytesMut::zeroed(size.saturating_add(align));
    bytes.advance(bytes.as_ptr().align_offset(align).min(align));
    bytes.truncate(size);
    bytes
}

/// Asks for huge pages where they are filled: one that is not would take what nobody asked for.
fn wish_huge(bytes: &mut BytesMut) {
    #[cfg(target_os = "linux")]
    {
        use rustix::mm::{Advice, madvise};

        let size = bytes.len() / HUGE_PAGE * HUGE_PAGE;
        // SAFETY: The range is of memory that is ours, and the advice leaves all that is in it as it is.
        // A system without huge pages says so, and has the ordinary ones.
        let _ = unsafe { madvise(bytes.as_mut_ptr().cast(), size, Advice::LinuxHugepage) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = bytes;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Floats;

    fn packed(arena: &mut Arena, numbers: &[f32]) -> Packed<Floats> {
        let mut room = arena.room(numbers.len());
        room.extend(numbers.iter().map(|number| Floats([*number; 16])));
        room.packed()
    }

    #[test]
    fn layers_lie_one_after_the_other_from_a_huge_page_on() {
        let mut arena = Arena::with_capacity(5 * size_of::<Floats>());
        let (first, second) = (packed(&mut arena, &[1.0, 2.0]), packed(&mut arena, &[3.0, 4.0, 5.0]));
        assert!(first.as_ptr().cast::<u8>().align_offset(HUGE_PAGE) == 0);
        assert_eq!(first.as_ptr_range().end, second.as_ptr());
        drop((arena, first));
        let numbers: Vec<f32> = second.iter().map(|line| line.0[7]).collect();
        assert_eq!(numbers, [3.0, 4.0, 5.0]);
    }

    #[test]
    fn what_has_no_room_has_memory_of_its_own() {
        let mut arena = Arena::with_capacity(2 * size_of::<Floats>());
        let (large, small) = (packed(&mut arena, &[1.0, 2.0, 3.0]), packed(&mut arena, &[4.0, 5.0]));
        assert!(small.as_ptr().cast::<u8>().align_offset(HUGE_PAGE) == 0);
        assert_eq!((large.len(), large[2].0, small[1].0), (3, [3.0; 16], [5.0; 16]));
        assert!(packed(&mut Arena::default(), &[]).is_empty());
    }

    #[test]
    fn no_more_lines_are_taken_than_there_is_room_for() {
        let mut room = Arena::default().room(2);
        room.extend([1.0, 2.0, 3.0].map(|number| Floats([number; 16])));
        room.extend([Floats([4.0; 16])]);
        assert_eq!(room.len(), 2);
        assert_eq!(room.packed()[1].0, [2.0; 16]);
    }
}
