//! What the whole-system tests share: the workspace's programs, a guard around a running one, and an HTTP client
//! that sends exact bytes.

#![allow(dead_code, reason = "each test file uses another part")]

pub mod http;
pub mod keeper;
pub mod process;
pub mod programs;
