// SPDX-License-Identifier: MIT
//! RCU by epochs. A reader notes the epoch in which it began; who waits for
//! readers begins the next one, and waits until nobody is in an older.
//!
//! Deferred work is a list through the heads. Who waits for it does it itself;
//! a thread does it when nobody waits. `RUNNING` is held from taking a batch to
//! its last callback: whoever gets it with an empty queue knows that nothing is
//! left. Order: RUNNING, then QUEUE or READERS.
use aspen_sys::{aspen_port_rcu_head, port};
use std::cell::Cell;
use std::mem::{align_of, size_of};
use std::process::abort;
use std::ptr::null_mut;
use std::sync::atomic::{fence, AtomicBool, AtomicU64, Ordering::*};
use std::sync::{Condvar, Mutex, MutexGuard, Once, PoisonError};

type Callback = Option<unsafe extern "C" fn(head: *mut aspen_port_rcu_head)>;

/// What is in a head of the core meanwhile.
struct Head {
    next: *mut Head,
    callback: Callback,
}
const _: () = assert!(size_of::<Head>() <= aspen_sys::ASPEN_EXTERN_RCU_HEAD_BYTES as usize);
const _: () = assert!(align_of::<Head>() <= aspen_sys::ASPEN_EXTERN_RCU_HEAD_ALIGN as usize);

/// A thread that reads: 0, or the epoch. Never freed; the next thread takes it.
struct Reader {
    epoch: AtomicU64,
    taken: AtomicBool,
}

static EPOCH: AtomicU64 = AtomicU64::new(1);
static READERS: Mutex<Vec<&'static Reader>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread's Reader, which goes back when the thread ends.
struct Mine {
    reader: &'static Reader,
    depth: Cell<u32>,
}

impl Mine {
    fn new() -> Mine {
        let mut readers = lock(&READERS);
        let free = readers
            .iter()
            .find(|reader| !reader.taken.swap(true, AcqRel))
            .copied();
        let reader = free.unwrap_or_else(|| {
            let new: &'static Reader = Box::leak(Box::new(Reader {
                epoch: AtomicU64::new(0),
                taken: AtomicBool::new(true),
            }));
            readers.push(new);
            new
        });
        Mine {
            reader,
            depth: Cell::new(0),
        }
    }
}

impl Drop for Mine {
    fn drop(&mut self) {
        self.reader.taken.store(false, Release);
    }
}

thread_local! {
    static MINE: Mine = Mine::new();
}

fn synchronise() {
    fence(SeqCst);
    let next = EPOCH.fetch_add(1, SeqCst) + 1;
    fence(SeqCst);
    let readers = lock(&READERS).clone();
    for reader in readers {
        loop {
            let epoch = reader.epoch.load(Acquire);
            if epoch == 0 || epoch >= next {
                break;
            }
            std::thread::yield_now();
        }
    }
}

struct Queue {
    first: *mut Head,
    last: *mut Head,
}
// The heads are the queue's as long as they are in it.
unsafe impl Send for Queue {}

static QUEUE: Mutex<Queue> = Mutex::new(Queue {
    first: null_mut(),
    last: null_mut(),
});
static QUEUED: Condvar = Condvar::new();
static RUNNING: Mutex<()> = Mutex::new(());
static WORKER: Once = Once::new();

/// Whether there was something to do.
fn run_batch() -> bool {
    let _running = lock(&RUNNING);
    let mut head = {
        let mut queue = lock(&QUEUE);
        queue.last = null_mut();
        std::mem::replace(&mut queue.first, null_mut())
    };
    if head.is_null() {
        return false;
    }
    synchronise();
    while !head.is_null() {
        // SAFETY: it is in the queue, so it is ours until it is called back;
        // then it may be gone.
        unsafe {
            let Head { next, callback } = head.read();
            callback.expect("callback")(head.cast());
            head = next;
        }
    }
    true
}

fn work() {
    loop {
        let mut queue = lock(&QUEUE);
        while queue.first.is_null() {
            queue = QUEUED.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        drop(queue);
        run_batch();
    }
}

port! {
    fn aspen_port_rcu_read_lock() {
        let entered = MINE.try_with(|mine| {
            if mine.depth.replace(mine.depth.get() + 1) == 0 {
                mine.reader.epoch.store(EPOCH.load(Relaxed), Relaxed);
                fence(SeqCst);
            }
        });
        if entered.is_err() {
            abort(); // a call of Aspen in a destructor of the thread's end
        }
    }
    fn aspen_port_rcu_read_unlock() {
        let _ = MINE.try_with(|mine| {
            mine.depth.set(mine.depth.get() - 1);
            if mine.depth.get() == 0 {
                mine.reader.epoch.store(0, Release);
            }
        });
    }
    fn aspen_port_rcu_defer(head: *mut aspen_port_rcu_head, callback: Callback) {
        let head: *mut Head = head.cast();
        head.write(Head { next: null_mut(), callback });
        // Without the thread the next barrier does the work.
        WORKER.call_once(|| {
            let _ = std::thread::Builder::new().name("aspen-rcu".into()).spawn(work);
        });
        let mut queue = lock(&QUEUE);
        if queue.last.is_null() {
            queue.first = head;
        } else {
            (*queue.last).next = head;
        }
        queue.last = head;
        drop(queue);
        QUEUED.notify_one();
    }
    fn aspen_port_rcu_synchronise() {
        synchronise();
    }
    fn aspen_port_rcu_barrier() {
        while run_batch() {}
    }
}
