//! How the operating system schedules the clients of a closed loop.

/// Has this thread wait for its turn at a CPU, instead of going before what runs there.
///
/// A client on the server's own machine wakes with every answer. Linux lets a thread that has run less go first, which is the client
/// whenever the server does more for a request than it does: such a server is then stopped in the middle of its work, and one that does
/// less is not. Threads of the batch class (`SCHED_BATCH`, sched(7)) stop nobody when they wake, so that all servers are measured by the same rule.
/// Where the system has no such class, or does not let us, the client is scheduled as any other thread is.
#[cfg(target_os = "linux")]
pub(super) fn wait_for_turn() {
    // SAFETY: `sched_param` is made of numbers, for which zero is a value; priority 0 is the only one of this class.
    let parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: the thread is the one that calls, so it is there, and the parameters are read before the call returns.
    let _ = unsafe {
        libc::pthread_setschedparam(libc::pthread_self(), libc::SCHED_BATCH, &raw const parameters)
    };
}

/// Other systems have no such class.
#[cfg(not(target_os = "linux"))]
pub(super) fn wait_for_turn() {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::thread;

    use super::wait_for_turn;

    /// The class of the thread that asks, which is the 41st word that the kernel tells of it, and the 39th after its name.
    fn class() -> Option<i32> {
        let told = std::fs::read_to_string("/proc/thread-self/stat").ok()?;
        let (_, after_name) = told.rsplit_once(") ")?;
        after_name.split(' ').nth(38)?.parse().ok()
    }

    #[test]
    fn only_the_thread_that_asks_waits_for_its_turn() {
        let client = thread::spawn(|| {
            wait_for_turn();
            class()
        });
        assert_eq!(client.join().unwrap(), Some(libc::SCHED_BATCH));
        assert_eq!(class(), Some(libc::SCHED_OTHER));
    }
}
