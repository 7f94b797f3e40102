//! What loading leaves behind.

/// Gives memory that was freed back to the system. Reading models and tokenizers takes some megabytes that the allocator
/// keeps for later otherwise.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn give_back_what_is_free() {
    // SAFETY: The function takes a plain number, may be called from any thread, and touches no memory in use.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn give_back_what_is_free() {}
