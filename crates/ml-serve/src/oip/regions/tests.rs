use std::fs;

use super::*;

/// A file in the folder of shared memory; gone when dropped.
struct Memory(String);

impl Memory {
    fn new(test: &str, bytes: &[u8]) -> Self {
        let key = format!("ml-serve-{test}-{}", std::process::id());
        fs::write(Path::new(FOLDER).join(&key), bytes).expect("there is shared memory");
        Self(key)
    }

    fn cut(&self, length: u64) {
        let file = OpenOptions::new().write(true).open(Path::new(FOLDER).join(&self.0));
        file.and_then(|file| file.set_len(length)).expect("it is ours");
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        drop(fs::remove_file(Path::new(FOLDER).join(&self.0)));
    }
}

fn region(name: &str, key: &str, offset: u64, byte_size: u64) -> Registered {
    Registered { name: name.to_owned(), key: key.to_owned(), offset, byte_size }
}

fn window(region: &str, offset: u64, bytes: u64) -> Window {
    Window { region: region.to_owned(), offset, bytes }
}

#[test]
fn windows_are_read_and_written_within_their_region() {
    let memory = Memory::new("windows", b"0123456789");
    let regions = Regions::new(100);
    regions.register(region("r", &format!("/{}", memory.0), 2, 6)).expect("it is there");
    assert_eq!(&regions.read(&window("r", 0, 6)).expect("all of it")[..], b"234567");
    assert_eq!(&regions.read(&window("r", 5, 1)).expect("its last byte")[..], b"7");
    regions.write(&window("r", 1, 3), "y", b"xy").expect("it fits");
    assert_eq!(&regions.read(&window("r", 0, 6)).expect("all of it")[..], b"2xy567");
    for (window, text) in [
        (window("r", 6, 0), "Invalid offset for shared memory region: 'r'"),
        (window("r", 1, 6), "Invalid offset + byte size for shared memory region: 'r'"),
        (
            window("r", 1, u64::MAX),
            "Integer overflow detected: byte_size (18446744073709551615) + offset (1)",
        ),
        (window("no", 0, 1), "Unable to find shared memory region: 'no'"),
    ] {
        let refusal = regions.read(&window).expect_err("it is outside");
        assert!(refusal.to_string().contains(text), "{refusal}");
        assert!(regions.check(&window).is_err());
    }
    let refusal = regions.write(&window("r", 0, 1), "y", b"xy").expect_err("it does not fit");
    assert!(refusal.to_string().contains("for output 'y' (1 bytes) should be at least 2 bytes"), "{refusal}");
}

#[test]
fn memory_that_its_owner_cuts_off_is_an_error_and_stays_cut_off() {
    let memory = Memory::new("cut", &[7; 64]);
    let regions = Regions::new(100);
    regions.register(region("r", &memory.0, 0, 64)).expect("it is there");
    memory.cut(10);
    assert!(regions.read(&window("r", 0, 64)).is_err());
    assert!(regions.write(&window("r", 32, 8), "y", &[1; 8]).is_err());
    let length = fs::metadata(Path::new(FOLDER).join(&memory.0)).expect("it is there").len();
    assert_eq!(length, 10, "nothing made it longer");
    assert_eq!(&regions.read(&window("r", 0, 10)).expect("what is left")[..], [7; 10]);
}

#[test]
fn only_memory_is_registered_and_no_more_than_may_be() {
    let memory = Memory::new("only", &[0; 64]);
    let regions = Regions::new(64);
    for (wanted, text) in [
        (region("r", "/", 0, 1), "invalid shm key '/'"),
        (region("r", "a/../../etc/passwd", 0, 1), "invalid shm key"),
        (region("r", "..", 0, 1), "invalid shm key '..'"),
        (region("r", "/triton_python_backend_shm_region_1", 0, 1), "contains the reserved prefix"),
        (
            region("r", "/nothing-of-this-name", 0, 1),
            "Unable to open shared memory region: '/nothing-of-this-name'",
        ),
        (region("r", &memory.0, 1, 64), "failed to register shared memory region 'r': invalid args"),
        (region("r", &memory.0, 0, 0), "failed to register shared memory region 'r': invalid args"),
        (region("r", &memory.0, u64::MAX, 1), "Integer overflow detected"),
    ] {
        let refusal = regions.register(wanted).expect_err("it is no region");
        assert!(refusal.to_string().contains(text), "{refusal}");
    }
    regions.register(region("r", &memory.0, 0, 64)).expect("it fits");
    let twice = regions.register(region("r", &memory.0, 0, 64)).expect_err("it is there");
    assert_eq!(twice.to_string(), "shared memory region 'r' already in manager");
    let more = regions.register(region("s", &memory.0, 0, 1)).expect_err("there is no room");
    assert!(more.to_string().contains("2 regions of 65 bytes"), "{more}");
    regions.unregister(Some("r"));
    regions.unregister(Some("never"));
    assert_eq!(regions.status(None).expect("a list"), []);
    let disabled = Regions::new(0).register(region("r", &memory.0, 0, 64)).expect_err("nobody may");
    assert!(disabled.to_string().starts_with("Client shared memory is disabled."), "{disabled}");
}
