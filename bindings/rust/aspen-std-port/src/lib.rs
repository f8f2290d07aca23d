// SPDX-License-Identifier: MIT
//! Aspen's port, in Rust over std, for processes and tests: `ports/extern`'s
//! functions, and none of it in C. `ports/template/aspen_port.h` has the
//! contract of each. A kernel in Rust writes such a crate of its own.
//!
//! Whoever links it calls [`ready`] somewhere, so that the linker keeps it.
mod lock;
mod rcu;
mod wait;

use aspen_sys::ctypes::{c_char, c_void};
use aspen_sys::port;
use std::alloc::{alloc_zeroed, dealloc, Layout};
use std::cell::Cell;
use std::ffi::CStr;
use std::process::abort;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

const PAGE: usize = 4096;

/// Where the port is called from: nothing but a use of it.
#[inline(never)]
pub fn ready() {
    static KEPT: unsafe extern "C" fn() -> u32 = aspen_port_cpu;
    // SAFETY: a static may be read.
    unsafe { std::ptr::read_volatile(&KEPT) };
}

fn layout(bytes: usize) -> Option<Layout> {
    Layout::from_size_align(bytes.max(1), PAGE).ok()
}

port! {
    fn aspen_port_memory_alloc(bytes: usize) -> *mut c_void {
        layout(bytes).map_or(null_mut(), |layout| alloc_zeroed(layout).cast())
    }
    fn aspen_port_memory_free(memory: *mut c_void, bytes: usize) {
        if let (false, Some(layout)) = (memory.is_null(), layout(bytes)) {
            dealloc(memory.cast(), layout);
        }
    }
    // Called where the core was built to ask (the feature frame-pointer).
    fn aspen_port_frame_pointer(direct_map: *mut c_void, frame: u32) -> *mut c_void {
        direct_map.cast::<u8>().wrapping_add(frame as usize * PAGE).cast()
    }
}

static NEXT_CPU: AtomicU32 = AtomicU32::new(0);
static TLB_FLUSHES: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static CPU: Cell<u32> = const { Cell::new(u32::MAX) };
    static FATAL_SIGNAL: Cell<bool> = const { Cell::new(false) };
}

/// Whether a fatal signal is pending for this thread: while it is, calls that
/// can be interrupted answer `Error::Interrupted`.
pub fn set_fatal_signal(pending: bool) {
    FATAL_SIGNAL.with(|signal| signal.set(pending));
}

pub(crate) fn fatal_signal() -> bool {
    FATAL_SIGNAL.with(Cell::get)
}

/// TLB flushes so far, all machines together.
pub fn tlb_flushes() -> u64 {
    TLB_FLUSHES.load(Ordering::Relaxed)
}

port! {
    fn aspen_port_fatal_signal_pending() -> bool {
        fatal_signal()
    }
    // Threads are spread over so many slots: a hint.
    fn aspen_port_cpu() -> u32 {
        CPU.with(|cpu| {
            if cpu.get() == u32::MAX {
                cpu.set(NEXT_CPU.fetch_add(1, Ordering::Relaxed) % aspen_sys::ASPEN_EXTERN_CPUS);
            }
            cpu.get()
        })
    }
    // No processor walks these tables; there is nothing to forget.
    fn aspen_port_tlb_flush(flush: *const aspen_sys::aspen_tlb_flush) {
        let _ = flush;
        TLB_FLUSHES.fetch_add(1, Ordering::Relaxed);
    }
    fn aspen_port_cache_flush(root: u32) {
        let _ = root;
    }
    fn aspen_port_panic(message: *const c_char) {
        eprintln!("aspen: panic: {}", CStr::from_ptr(message).to_string_lossy());
        abort()
    }
}

// On the processors whose instruction caches have to be told.
#[cfg(not(target_arch = "x86_64"))]
#[no_mangle]
unsafe extern "C" fn aspen_port_icache_sync(_memory: *const c_void, _bytes: usize) {}

#[cfg(feature = "failpoints")]
mod order {
    use std::cell::UnsafeCell;
    use std::mem::size_of;

    type Order = UnsafeCell<[u64; size_of::<aspen_sys::aspen_lock_order>() / 8]>;
    thread_local! {
        static ORDER: Order = const { UnsafeCell::new([0; size_of::<Order>() / 8]) };
    }

    aspen_sys::port! {
        fn aspen_port_lock_order() -> *mut aspen_sys::aspen_lock_order {
            ORDER.with(|order| order.get().cast())
        }
    }
}
