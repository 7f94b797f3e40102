//! The allocator of the binary: mimalloc, by its plain `malloc` wherever that aligns as is asked.
//!
//! The crate `mimalloc` names an alignment each time. mimalloc 3 then takes twice the instructions for a block; and where the size is no
//! power of two, and the page at hand is used up, it makes a larger block instead, and does not look for those that were given back.

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys::{mi_free, mi_malloc, mi_malloc_aligned, mi_realloc_aligned, mi_zalloc_aligned};

/// `MI_MAX_ALIGN_SIZE`: no plain block is aligned to more.
const ALIGNED: usize = 16;

pub(crate) struct MiMalloc;

// SAFETY: each function of mimalloc returns null, or a block that nobody else has, with at least the bytes asked for. Those with
// `_aligned` align it to any power of two, which a `Layout` promises to be. `mi_malloc` aligns it, as C asks of `malloc` and as std
// relies on with the system's, for whatever fits into the block and wants no more than `ALIGNED`. `mi_zalloc_aligned` fills it with
// zeros; `mi_realloc_aligned` keeps what it held, and the old block where it returns null. That one and `mi_free` take a block
// of any of the others. None of them unwinds.
unsafe impl GlobalAlloc for MiMalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (bytes, align) = (layout.size(), layout.align());
        if align <= ALIGNED && align <= bytes {
            // SAFETY: it takes any number of bytes.
            return unsafe { mi_malloc(bytes) }.cast();
        }
        // SAFETY: it takes any number of bytes, and any power of two.
        unsafe { mi_malloc_aligned(bytes, align) }.cast()
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: it takes any number of bytes, and any power of two.
        unsafe { mi_zalloc_aligned(layout.size(), layout.align()) }.cast()
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller promises that the block came from here, and was not given back before.
        unsafe { mi_free(block.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: the caller promises that the block came from here, with this layout, and was not given back before.
        unsafe { mi_realloc_aligned(block.cast(), bytes, layout.align()) }.cast()
    }
}
