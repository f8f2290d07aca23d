// SPDX-License-Identifier: MIT
//! Sleeping on a key: buckets of a mutex and a condition, found by the key.
use aspen_sys::ctypes::c_void;
use aspen_sys::port;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub struct Bucket {
    mutex: Mutex<()>,
    changed: Condvar,
}

const BUCKETS: usize = 64;
#[allow(clippy::declare_interior_mutable_const)]
const EMPTY: Bucket = Bucket {
    mutex: Mutex::new(()),
    changed: Condvar::new(),
};
static TABLE: [Bucket; BUCKETS] = [EMPTY; BUCKETS];

pub fn bucket(key: usize) -> &'static Bucket {
    &TABLE[((key as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize]
}

impl Bucket {
    fn lock(&self) -> MutexGuard<'_, ()> {
        self.mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub fn wake(&self) {
        drop(self.lock());
        self.changed.notify_all();
    }
    /// Sleep while `busy`; with a limit only once, and for so long at the most.
    pub fn sleep_while(&self, limit: Option<Duration>, mut busy: impl FnMut() -> bool) {
        let mut held = self.lock();
        while busy() {
            held = match limit {
                None => self
                    .changed
                    .wait(held)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(limit) => {
                    let _ = self.changed.wait_timeout(held, limit);
                    return;
                }
            };
        }
    }
}

port! {
    fn aspen_port_wait_while(
        key: *const c_void,
        busy: Option<unsafe extern "C" fn(argument: *const c_void) -> bool>,
        argument: *const c_void,
    ) {
        let busy = busy.expect("busy");
        bucket(key as usize).sleep_while(None, || busy(argument));
    }
    fn aspen_port_wake_all(key: *const c_void) {
        bucket(key as usize).wake();
    }
}
