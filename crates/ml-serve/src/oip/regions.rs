//! Shared memory: regions that clients on this machine register, and hand tensors over in.
//!
//! A region is read and written as the file that it is on Linux, and never mapped. So a client that cuts its file off, or
//! writes to it while a model runs, gets an error or its own numbers mixed up, and nothing here ever touches memory
//! that somebody else changes or takes away. The price is a copy.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use super::Refusal;
use super::parameters::Value;
use super::repository::members;
use crate::ApiError;
use crate::body::Aligned;

/// Where POSIX shared memory is, on Linux.
const FOLDER: &str = "/dev/shm";

/// Keys that Triton keeps for itself, and that its clients expect to be refused.
const RESERVED: &str = "triton_python_backend_shm_region_";

/// The most regions at once: each is an open file.
const REGIONS_MAX: usize = 512;

/// A region as a client registered it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Registered {
    pub name: String,
    pub key: String,
    pub offset: u64,
    pub byte_size: u64,
}

/// The regions that are registered.
#[derive(Debug)]
pub(crate) struct Regions {
    /// The most bytes of all regions together; 0 where clients may not register any.
    bytes_max: u64,
    open: Mutex<BTreeMap<String, Arc<Region>>>,
}

#[derive(Debug)]
struct Region {
    registered: Registered,
    file: File,
}

/// A part of a region, as a request names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    pub region: String,
    pub offset: u64,
    pub bytes: u64,
}

/// Why CUDA's shared memory is not taken.
pub(crate) fn no_cuda() -> Refusal {
    Refusal(ApiError::Unsupported {
        message: "CUDA shared memory is not served; system shared memory is".to_owned(),
    })
}

impl Registered {
    /// Reads what is to be registered.
    ///
    /// # Errors
    /// What is no JSON, and a key or size that is missing.
    pub fn read(name: String, body: &[u8]) -> Result<Self, Refusal> {
        let (mut key, mut offset, mut byte_size) = (None, 0, None);
        members(body, |scanner, member| {
            match member {
                "key" => key = Some(scanner.string()?.into_owned()),
                "offset" => offset = scanner.unsigned()?,
                "byte_size" => byte_size = Some(scanner.unsigned()?),
                _ => scanner.skip()?,
            }
            Ok(())
        })?;
        let missing = |member: &str| {
            Refusal::invalid(format!(
                "Unable to parse '{member}': attempt to access non-existing object member '{member}'"
            ))
        };
        let key = key.ok_or_else(|| missing("key"))?;
        Ok(Self { name, key, offset, byte_size: byte_size.ok_or_else(|| missing("byte_size"))? })
    }
}

impl Regions {
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max: bytes_max as u64, open: Mutex::default() }
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Region>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists the regions, or the one of this name.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn status(&self, name: Option<&str>) -> Result<Vec<Registered>, Refusal> {
        match name {
            None => Ok(self.open().values().map(|region| region.registered.clone()).collect()),
            Some(name) => Ok(vec![self.find(name)?.registered.clone()]),
        }
    }

    /// Registers a region.
    ///
    /// # Errors
    /// When clients may not, the region is none, is not as large as is said, or is there already.
    pub fn register(&self, wanted: Registered) -> Result<(), Refusal> {
        if self.bytes_max == 0 {
            return Err(disabled());
        }
        let file = open(&wanted)?;
        let length = file.metadata().map_err(|error| unreadable(&wanted, &error))?.len();
        if wanted.byte_size == 0 || end(wanted.offset, wanted.byte_size)? > length {
            let name = &wanted.name;
            return Err(Refusal::invalid(format!(
                "failed to register shared memory region '{name}': invalid args: it ends at byte {}, its memory at {length}",
                wanted.offset.saturating_add(wanted.byte_size)
            )));
        }
        let mut open = self.open();
        if open.contains_key(&wanted.name) {
            let message = format!("shared memory region '{}' already in manager", wanted.name);
            return Err(Refusal(ApiError::AlreadyThere { message }));
        }
        let bytes: u64 = open.values().map(|region| region.registered.byte_size).sum();
        let (regions, bytes) = (open.len() + 1, bytes.saturating_add(wanted.byte_size));
        if regions > REGIONS_MAX || bytes > self.bytes_max {
            return Err(Refusal::invalid(format!(
                "with shared memory region '{}' there are {regions} regions of {bytes} bytes, the limits are \
                 {REGIONS_MAX} regions and {} bytes",
                wanted.name, self.bytes_max
            )));
        }
        open.insert(wanted.name.clone(), Arc::new(Region { registered: wanted, file }));
        Ok(())
    }

    /// Forgets a region, or all of them. One that is not there is no error; requests that hold one are answered.
    pub fn unregister(&self, name: Option<&str>) {
        match name {
            None => self.open().clear(),
            Some(name) => drop(self.open().remove(name)),
        }
    }

    fn find(&self, name: &str) -> Result<Arc<Region>, Refusal> {
        let missing = || Refusal(ApiError::UnknownRegion { name: name.to_owned() });
        self.open().get(name).cloned().ok_or_else(missing)
    }

    fn find_for(&self, window: &Window) -> Result<Arc<Region>, Refusal> {
        if self.bytes_max == 0 { Err(disabled()) } else { self.find(&window.region) }
    }

    /// Reads what a window holds.
    ///
    /// # Errors
    /// When there is no such region, the window leaves it, or its memory is gone.
    pub fn read(&self, window: &Window) -> Result<Bytes, Refusal> {
        let region = self.find_for(window)?;
        let (start, length) = region.place(window)?;
        let mut bytes = Aligned::with_capacity(length, 0);
        bytes
            .fill(length, |room| region.file.read_exact_at(room, start))
            .map_err(|error| unreadable(&region.registered, &error))?;
        Ok(bytes.freeze())
    }

    /// Writes an output into a window.
    ///
    /// # Errors
    /// As [`Self::read`], and when the output is larger than the window.
    pub fn write(&self, window: &Window, output: &str, bytes: &[u8]) -> Result<(), Refusal> {
        if bytes.len() as u64 > window.bytes {
            return Err(Refusal::invalid(format!(
                "shared memory size specified with the request for output '{output}' ({} bytes) should be at least {} \
                 bytes to hold the results",
                window.bytes,
                bytes.len()
            )));
        }
        let region = self.find_for(window)?;
        let (start, _) = region.place(window)?;
        let failed = |error: io::Error| unreadable(&region.registered, &error);
        // Writing would make a file longer that its owner has cut off.
        let length = region.file.metadata().map_err(failed)?.len();
        if start.saturating_add(bytes.len() as u64) > length {
            return Err(failed(io::ErrorKind::UnexpectedEof.into()));
        }
        region.file.write_all_at(bytes, start).map_err(failed)
    }

    /// Checks that a window lies in a region, before anything is computed for it.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn check(&self, window: &Window) -> Result<(), Refusal> {
        self.find_for(window)?.place(window).map(drop)
    }
}

impl Region {
    /// Returns where a window begins in the region's file, and how long it is.
    fn place(&self, window: &Window) -> Result<(u64, usize), Refusal> {
        let Registered { name, offset, byte_size, .. } = &self.registered;
        if window.offset >= *byte_size {
            return Err(Refusal::invalid(format!("Invalid offset for shared memory region: '{name}'")));
        }
        if end(window.offset, window.bytes)? > *byte_size {
            let message = format!("Invalid offset + byte size for shared memory region: '{name}'");
            return Err(Refusal::invalid(message));
        }
        let start = end(*offset, window.offset)?;
        let length = usize::try_from(window.bytes);
        Ok((start, length.map_err(|_| Refusal::invalid("more bytes than memory has"))?))
    }
}

fn end(offset: u64, bytes: u64) -> Result<u64, Refusal> {
    offset.checked_add(bytes).ok_or_else(|| {
        Refusal::invalid(format!(
            "Integer overflow detected: byte_size ({bytes}) + offset ({offset}) exceeds maximum value"
        ))
    })
}

fn disabled() -> Refusal {
    Refusal(ApiError::Unsupported {
        message: "Client shared memory is disabled. Start the server with --shared-memory-bytes-max above 0 to enable."
            .to_owned(),
    })
}

fn unreadable(region: &Registered, error: &io::Error) -> Refusal {
    Refusal::invalid(format!("shared memory region '{}' cannot be used: {error}", region.name))
}

/// Opens the memory that a key names: a plain file right inside the folder of shared memory, and nothing else.
fn open(wanted: &Registered) -> Result<File, Refusal> {
    let (name, key) = (&wanted.name, &wanted.key);
    let file = key.trim_start_matches('/');
    if file.is_empty() || file.contains(['/', '\0']) || file.starts_with('.') {
        return Err(Refusal::invalid(format!(
            "cannot register shared memory region '{name}' - invalid shm key '{key}'"
        )));
    }
    if file.starts_with(RESERVED) {
        return Err(Refusal::invalid(format!(
            "cannot register shared memory region '{name}' with key '{key}' as the key contains the reserved prefix \
             '{RESERVED}'"
        )));
    }
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        // A link could lead out of the folder, and a pipe would block.
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(Path::new(FOLDER).join(file));
    let plain = opened.ok().filter(|file| file.metadata().is_ok_and(|metadata| metadata.is_file()));
    plain.ok_or_else(|| Refusal::invalid(format!("Unable to open shared memory region: '{key}'")))
}

/// What the parameters of an input or output say about shared memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Named {
    region: Option<String>,
    offset: u64,
    bytes: Option<u64>,
}

impl Named {
    /// Takes one parameter in; returns whether it is one of these.
    ///
    /// # Errors
    /// One with a value that means nothing.
    pub fn take(&mut self, name: &str, value: &Value) -> Result<bool, Refusal> {
        let wrong = |wanted: &str| Refusal::invalid(format!("parameter '{name}' must be {wanted}"));
        let whole = || match value {
            Value::Whole(number) => u64::try_from(*number).map_err(|_| wrong("a whole number from 0")),
            _ => Err(wrong("a whole number from 0")),
        };
        match name {
            "shared_memory_region" => match value {
                Value::Text(region) => self.region = Some(region.clone()),
                _ => return Err(wrong("a text")),
            },
            "shared_memory_offset" => self.offset = whole()?,
            "shared_memory_byte_size" => self.bytes = Some(whole()?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Returns the window, where a region is named.
    ///
    /// # Errors
    /// A region without a size.
    pub fn window(self) -> Result<Option<Window>, Refusal> {
        let Some(region) = self.region else { return Ok(None) };
        let missing = || {
            Refusal::invalid(format!(
                "shared_memory_byte_size is missing beside shared_memory_region '{region}'"
            ))
        };
        let bytes = self.bytes.ok_or_else(missing)?;
        Ok(Some(Window { region, offset: self.offset, bytes }))
    }
}

#[cfg(test)]
mod tests;
