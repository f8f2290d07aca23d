// SPDX-License-Identifier: MIT
//! Aspen's C functions, types and numbers, as the headers in `include/aspen`
//! declare and describe them, and those of the port of functions
//! (`ports/extern`), which whoever links this crate defines: [`port!`] checks
//! each of them against the header.
//!
//! `src/bindings.rs` is made by `generate.sh` and compared by
//! `make check-rust`.
#![no_std]

/// C's types on the 64-bit processors that Aspen knows.
pub mod ctypes {
    #![allow(non_camel_case_types)]
    pub use core::ffi::c_void;
    #[cfg(not(target_arch = "x86_64"))]
    pub type c_char = u8;
    #[cfg(target_arch = "x86_64")]
    pub type c_char = i8;
    pub type c_uchar = u8;
    pub type c_int = i32;
    pub type c_uint = u32;
    pub type c_long = i64;
    pub type c_ulong = u64;
}

#[allow(
    non_camel_case_types,
    non_upper_case_globals,
    non_snake_case,
    clippy::all
)]
mod bindings;
pub use bindings::*;

/// Ends the program when it is dropped: a panic that unwinds past it was about
/// to reach a caller in C, to whom it would be undefined behaviour. Who returns
/// as usual forgets it.
pub struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        // The second panic while one unwinds ends the program, with and without
        // std.
        panic!("a panic was about to unwind into C");
    }
}

/// Run what was called from C; a panic in it ends the program.
#[inline]
pub fn no_unwind<T>(run: impl FnOnce() -> T) -> T {
    let bomb = Bomb;
    let result = run();
    core::mem::forget(bomb);
    result
}

/// Define functions of the port. Each has to have the type that the header
/// declares, and a panic in it ends the program.
///
/// ```ignore
/// aspen_sys::port! {
///     fn aspen_port_cpu() -> u32 { 0 }
/// }
/// ```
#[macro_export]
macro_rules! port {
    ($($(#[$attribute:meta])* fn $name:ident($($argument:ident: $type:ty),* $(,)?)
       $(-> $result:ty)? $body:block)*) => {$(
        $(#[$attribute])*
        #[no_mangle]
        unsafe extern "C" fn $name($($argument: $type),*) $(-> $result)? {
            $crate::no_unwind(|| $body)
        }
        const _: [unsafe extern "C" fn($($type),*) $(-> $result)?; 2] =
            [$name, $crate::$name];
    )*};
}
