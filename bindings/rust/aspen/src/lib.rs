// SPDX-License-Identifier: MIT
//! Aspen - the address-space half of a Unix kernel as a library - in safe Rust.
//!
//! ```no_run
//! use aspen::{Access, Config, Machine, Map, Ram, READ, WRITE};
//! # fn main() -> aspen::Result<()> {
//! let machine = Machine::new(Config::new(), Ram::new(1024).expect("RAM"))?;
//! let parent = machine.space()?;
//! let at = parent.map(Map::anonymous(16384, READ | WRITE))?;
//! parent.write(at, b"parent")?;
//! let child = parent.fork()?; // all of it, or nothing
//! child.fault(at, Access::Write)?;
//! # Ok(())
//! # }
//! ```
//!
//! It is `no_std` and needs `alloc`. What the core asks of its host - memory,
//! locks, RCU - is a port, which the program links: `aspen-std-port` in a
//! process, one of its own in a kernel (docs/use/rust.md).
//!
//! **Threads.** A machine, its spaces and its objects may be used by any number
//! of threads at once: all are `Send` and `Sync`, the core locks by itself.
//!
//! **Lifetimes.** A space and an object borrow their machine, so none outlives
//! it:
//!
//! ```compile_fail
//! # use aspen::{Config, Machine, Ram};
//! let space = {
//!     let machine = Machine::new(Config::new(), Ram::new(1024).unwrap()).unwrap();
//!     machine.space().unwrap()
//! };
//! ```
//!
//! One that is forgotten (`core::mem::forget`) is still there when the machine
//! goes: then the machine and its RAM are left where they are, and never freed.
//!
//! **Panics** of a pager or of the port end the program: they do not cross into
//! C.
#![no_std]
#![deny(unsafe_op_in_unsafe_fn)]
#![warn(missing_docs)]

extern crate alloc;

mod error;
mod failing;
mod machine;
mod pager;
mod space;

/// The C functions, for what is not here.
pub use aspen_sys as sys;
pub use error::{Error, Result};
pub use failing::{FailMode, Failpoints};
pub use machine::{Config, Counters, Machine, Memory, Overcommit, Ram};
pub use pager::{Object, Page, Pager, Pages};
pub use space::{Access, Advice, Map, Mapping, Mappings, Space};

/// What a mapping allows: ORed, and ORed with any other `aspen_sys::ASPEN_VM_*`.
pub const READ: u64 = sys::ASPEN_VM_READ;
/// See [`READ`].
pub const WRITE: u64 = sys::ASPEN_VM_WRITE;
/// See [`READ`].
pub const EXEC: u64 = sys::ASPEN_VM_EXEC;
/// The mapping is shared with children, and with whoever maps the same object.
pub const SHARED: u64 = sys::ASPEN_VM_SHARED;

/// Bytes of a page.
pub const PAGE: usize = 4096;
