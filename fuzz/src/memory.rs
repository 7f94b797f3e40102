//! An allocator that gives a thread no more than was declared: what asks for more ends the process, and so is a finding.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Bounded;

#[global_allocator]
static ALLOCATOR: Bounded = Bounded;

thread_local! {
    /// Bytes in use on this thread, more or fewer than when it was last limited.
    static USED: Cell<isize> = const { Cell::new(0) };
    static LIMIT: Cell<isize> = const { Cell::new(isize::MAX) };
    /// Bytes that were asked for beyond the limit; 0 where none were.
    static REFUSED: Cell<usize> = const { Cell::new(0) };
}

/// Runs `read`, which may have so many bytes in use at once.
pub fn within<R>(limit_bytes: usize, read: impl FnOnce() -> R) -> R {
    USED.set(0);
    LIMIT.set(isize::try_from(limit_bytes).unwrap_or(isize::MAX));
    REFUSED.set(0);
    let result = read();
    LIMIT.set(isize::MAX);
    // A reader may do without what it did not get: that it asked is the finding.
    let refused = REFUSED.get();
    assert!(refused == 0, "{refused} bytes more were asked for than the {limit_bytes} that there may be");
    result
}

/// Counts a change; `false` where it would break the limit, and so is not to be made.
fn count(more: usize, less: usize) -> bool {
    let used = USED.get() + more as isize - less as isize;
    let within = more <= less || used <= LIMIT.get();
    if within {
        USED.set(used);
    } else {
        // Whoever now says where this was needs memory, too.
        REFUSED.set(more);
        LIMIT.set(isize::MAX);
    }
    within
}

// SAFETY: Every call is handed to the system's allocator as it came, or answered with null, which says that there is no memory.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !count(layout.size(), 0) {
            return std::ptr::null_mut();
        }
        // SAFETY: The caller's promise is the callee's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !count(layout.size(), 0) {
            return std::ptr::null_mut();
        }
        // SAFETY: As above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        if !count(bytes, layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: As above.
        unsafe { System.realloc(old, layout, bytes) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: As above.
        unsafe { System.dealloc(old, layout) }
    }
}
