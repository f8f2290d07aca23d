// SPDX-License-Identifier: MIT
//! Locks in a word each. Who finds one taken yields (spin locks) or sleeps
//! (reader-writer locks) in the bucket of its address.
//!
//! A reader-writer lock: the highest bit is the writer, the next says that
//! somebody waits, the rest is the number of readers. While somebody waits
//! newcomers wait, too. Who waits sets that bit before it sleeps, and looks at
//! the word again under the bucket's mutex; who leaves the lock free clears it
//! and wakes all: no wake-up is lost.
use crate::{fatal_signal, wait::bucket};
use aspen_sys::*;
use std::mem::{align_of, size_of};
use std::sync::atomic::{AtomicU32, Ordering::*};
use std::time::Duration;

// The core keeps them in storage of this size.
const _: () = assert!(size_of::<AtomicU32>() <= ASPEN_EXTERN_SPINLOCK_BYTES as usize);
const _: () = assert!(align_of::<AtomicU32>() <= ASPEN_EXTERN_SPINLOCK_ALIGN as usize);
const _: () = assert!(size_of::<AtomicU32>() <= ASPEN_EXTERN_RWLOCK_BYTES as usize);
const _: () = assert!(align_of::<AtomicU32>() <= ASPEN_EXTERN_RWLOCK_ALIGN as usize);

const WRITER: u32 = 1 << 31;
const WAITERS: u32 = 1 << 30;
/// For fatal signals alone: one that comes just before the sleep wakes nobody.
const POLL: Duration = Duration::from_millis(10);

/// # Safety
/// `lock` is storage of a lock that lives.
unsafe fn word<'a, T>(lock: *mut T) -> &'a AtomicU32 {
    &*lock.cast()
}

fn try_read(word: &AtomicU32) -> bool {
    word.fetch_update(Acquire, Relaxed, |seen| (seen < WAITERS).then(|| seen + 1))
        .is_ok()
}

fn try_write(word: &AtomicU32) -> bool {
    word.compare_exchange(0, WRITER, Acquire, Relaxed).is_ok()
}

/// One try of somebody who waits already, whom the waiters' bit does not keep
/// out, but the bits `held` do. False: it has slept, perhaps.
fn try_or_sleep(word: &AtomicU32, held: u32, take: u32) -> bool {
    let seen = word.load(Relaxed);
    if seen & held == 0 {
        return word
            .compare_exchange(seen, seen + take, Acquire, Relaxed)
            .is_ok();
    }
    let waiting = seen | WAITERS;
    if word
        .compare_exchange(seen, waiting, Relaxed, Relaxed)
        .is_ok()
    {
        bucket(key(word)).sleep_while(Some(POLL), || word.load(Relaxed) == waiting);
    }
    false
}

fn key(word: &AtomicU32) -> usize {
    word as *const AtomicU32 as usize
}

/// It was left free with the waiters' bit set.
fn wake(word: &AtomicU32) {
    // Who took it meanwhile finds the bit, and wakes.
    if word.compare_exchange(WAITERS, 0, Relaxed, Relaxed).is_ok() {
        bucket(key(word)).wake();
    }
}

fn write(word: &AtomicU32, killable: bool) -> bool {
    if try_write(word) {
        return true;
    }
    while !try_or_sleep(word, !WAITERS, WRITER) {
        if killable && fatal_signal() {
            return false;
        }
    }
    true
}

port! {
    fn aspen_port_spin_trylock(lock: *mut aspen_port_spinlock) -> bool {
        word(lock).swap(1, Acquire) == 0
    }
    fn aspen_port_spin_lock(lock: *mut aspen_port_spinlock) {
        let word = word(lock);
        let mut spins = 0u32;
        while word.swap(1, Acquire) != 0 {
            while word.load(Relaxed) != 0 {
                spins += 1;
                if spins % 100 == 0 {
                    std::thread::yield_now();
                } else {
                    std::hint::spin_loop();
                }
            }
        }
    }
    fn aspen_port_spin_unlock(lock: *mut aspen_port_spinlock) {
        word(lock).store(0, Release)
    }

    fn aspen_port_rwlock_init(lock: *mut aspen_port_rwlock) {
        word(lock).store(0, Relaxed)
    }
    fn aspen_port_rwlock_destroy(lock: *mut aspen_port_rwlock) {
        let _ = lock;
    }
    fn aspen_port_read_trylock(lock: *mut aspen_port_rwlock) -> bool {
        try_read(word(lock))
    }
    fn aspen_port_read_lock(lock: *mut aspen_port_rwlock) {
        let word = word(lock);
        if try_read(word) {
            return;
        }
        // Behind those who wait; once awake only a writer keeps a reader out.
        if word.load(Relaxed) & WAITERS != 0 && try_or_sleep(word, !0, 1) {
            return;
        }
        while !try_or_sleep(word, WRITER, 1) {}
    }
    fn aspen_port_read_unlock(lock: *mut aspen_port_rwlock) {
        let word = word(lock);
        if word.fetch_sub(1, Release) == (WAITERS | 1) {
            wake(word);
        }
    }
    fn aspen_port_write_trylock(lock: *mut aspen_port_rwlock) -> bool {
        try_write(word(lock))
    }
    fn aspen_port_write_lock(lock: *mut aspen_port_rwlock) {
        write(word(lock), false);
    }
    fn aspen_port_write_lock_killable(lock: *mut aspen_port_rwlock) -> i32 {
        if write(word(lock), true) { 0 } else { -(ASPEN_EINTR as i32) }
    }
    fn aspen_port_write_unlock(lock: *mut aspen_port_rwlock) {
        let word = word(lock);
        if word.fetch_and(!WRITER, Release) & WAITERS != 0 {
            wake(word);
        }
    }
}
