//! What the allocator keeps: nothing of what loading leaves behind, and no more heaps than can be of use.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    /// Lets threads share `heaps` heaps. By default every thread gets a heap of its own, up to eight a CPU, and each keeps what it once
    /// had in use. Threads that share one wait for each other.
    pub fn limit_heaps(heaps: usize) {
        let heaps = libc::c_int::try_from(heaps.max(1)).unwrap_or(libc::c_int::MAX);
        // SAFETY: The function takes two plain numbers, takes the allocator's own lock, and touches no memory in use.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, heaps) };
    }

    /// Gives memory that was freed back to the system. Reading models and tokenizers takes some megabytes that the allocator
    /// keeps for later otherwise.
    pub fn give_back_what_is_free() {
        // SAFETY: The function takes a plain number, may be called from any thread, and touches no memory in use.
        unsafe { libc::malloc_trim(0) };
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod other {
    /// Does nothing: what this system's allocator keeps is its own affair.
    pub fn limit_heaps(_: usize) {}

    /// Does nothing: what this system's allocator keeps is its own affair.
    pub fn give_back_what_is_free() {}
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub use glibc::*;
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub use other::*;
