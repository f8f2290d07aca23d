// SPDX-License-Identifier: MIT
//! The safe layer over the port in Rust.
use aspen::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

fn machine() -> Machine {
    aspen_std_port::ready();
    Machine::new(Config::new(), Ram::new(2048).unwrap()).unwrap()
}

/// What the validator finds: nothing.
fn whole(machine: &Machine) {
    // SAFETY: nobody calls meanwhile.
    assert_eq!(unsafe { machine.validate() }.unwrap(), None);
}

fn byte(space: &Space, at: u64) -> u8 {
    let mut byte = [0];
    space.read(at, &mut byte).unwrap();
    byte[0]
}

#[test]
fn copies_on_write() {
    let machine = machine();
    let parent = machine.space().unwrap();
    let at = parent.map(Map::anonymous(16384, READ | WRITE)).unwrap();
    parent.write(at, b"p").unwrap();
    let child = parent.fork().unwrap();
    let frame = parent.translate(at, Access::Read).unwrap();
    assert_eq!(child.translate(at, Access::Read), Ok(frame));
    assert_eq!(child.translate(at, Access::Write), Err(Error::Fault));
    child.write(at, b"c").unwrap();
    assert_ne!(child.translate(at, Access::Read), Ok(frame));
    assert_eq!((byte(&parent, at), byte(&child, at)), (b'p', b'c'));
    whole(&machine);
    drop(child);
    drop(parent);
    assert_eq!(machine.counters().mms, 0);
    whole(&machine);
}

#[test]
fn errors_are_those_of_the_headers() {
    let machine = machine();
    let space = machine.space().unwrap();
    assert_eq!(space.fault(0x10000, Access::Read), Err(Error::Fault));
    assert_eq!(space.map(Map::anonymous(0, READ)), Err(Error::Invalid));
    let at = space.map(Map::anonymous(4096, READ)).unwrap();
    assert_eq!(space.fault(at, Access::Write), Err(Error::Access));
    assert_eq!(
        space.map(Map::anonymous(4096, READ).at_free(at)),
        Err(Error::Exists)
    );
    assert_eq!(
        space.advise(at, 4096, Advice::Other(77)),
        Err(Error::Invalid)
    );
    assert_eq!(space.unmap(at + 1, 4096), Err(Error::Invalid));
    aspen_std_port::set_fatal_signal(true);
    assert_eq!(space.fork().map(drop).err(), Some(Error::Interrupted));
    aspen_std_port::set_fatal_signal(false);
    assert_eq!(Error::NoMemory.to_string(), "ENOMEM");
    assert_eq!(Error::check(-71), Err(Error::Other(71)));
    assert_eq!(
        Machine::new(Config::new(), Ram::new(1).unwrap())
            .map(drop)
            .err(),
        Some(Error::Invalid)
    );
    assert!(Ram::new(0).is_none());
}

/// Each step of a fork fails once; nothing is left of it.
#[test]
fn a_fork_that_fails_leaves_nothing() {
    let machine = machine();
    let parent = machine.space().unwrap();
    let shared = machine.shared_memory(16384).unwrap();
    for _ in 0..3 {
        let at = parent.map(Map::anonymous(8192, READ | WRITE)).unwrap();
        parent.write(at, b"x").unwrap();
        parent.protect(at + 4096, 4096, READ).unwrap();
    }
    parent
        .map(Map::object(&shared, 0, 16384, READ | WRITE | SHARED))
        .unwrap();
    let before = (
        parent.hash(),
        machine.counters().vmas,
        machine.counters().committed_pages,
    );
    let (mut step, mut failed) = (0, 0);
    loop {
        step += 1;
        // SAFETY: the only thread of this machine.
        unsafe { machine.set_failpoints(Some(FailMode::Onward(step))) }.unwrap();
        let child = parent.fork();
        let reached = machine.failpoints().failed > 0;
        // SAFETY: the same.
        unsafe { machine.set_failpoints(None) }.unwrap();
        assert_eq!(child.is_err(), reached);
        drop(child);
        let now = machine.counters();
        assert_eq!(before, (parent.hash(), now.vmas, now.committed_pages));
        whole(&machine);
        if !reached {
            break;
        }
        failed += 1;
    }
    assert!(failed > 20, "{failed}");
}

/// A file in memory, which counts what it is asked for.
struct File {
    bytes: std::sync::Mutex<Vec<u8>>,
    fails: AtomicUsize,
    dropped: Arc<AtomicUsize>,
}

impl Pager for File {
    const WRITES: bool = true;
    fn read(&self, offset_bytes: u64, page: &mut Page) -> Result<()> {
        if self.fails.load(Ordering::Relaxed) == 1 {
            return Err(Error::Io);
        }
        if self.fails.load(Ordering::Relaxed) == 2 {
            panic!("a panic in a pager");
        }
        let bytes = self.bytes.lock().unwrap();
        let from = &bytes[offset_bytes as usize..];
        let count = from.len().min(PAGE);
        page[..count].copy_from_slice(&from[..count]);
        Ok(())
    }
    fn write(&self, offset_bytes: u64, pages: Pages) -> Result<()> {
        let mut bytes = self.bytes.lock().unwrap();
        let mut page = [0; PAGE];
        for i in 0..pages.count() {
            let count = pages.copy(i, &mut page);
            let at = offset_bytes as usize + i * PAGE;
            bytes[at..at + count].copy_from_slice(&page[..count]);
        }
        assert_eq!(pages.copy(pages.count(), &mut page), 0);
        Ok(())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

fn file(dropped: &Arc<AtomicUsize>, fails: usize) -> File {
    File {
        bytes: std::sync::Mutex::new((0..10000u32).map(|i| (i % 251) as u8).collect()),
        fails: AtomicUsize::new(fails),
        dropped: dropped.clone(),
    }
}

#[test]
fn a_pager_reads_and_writes() {
    let dropped = Arc::new(AtomicUsize::new(0));
    {
        let machine = machine();
        let object = machine.file(10000, file(&dropped, 0)).unwrap();
        let space = machine.space().unwrap();
        let map = Map::object(&object, 4096, 8192, READ | WRITE | SHARED);
        let at = space.map(map).unwrap();
        assert_eq!(byte(&space, at + 10), ((4096 + 10) % 251) as u8);
        space.write(at + 10, b"!").unwrap();
        object.sync(0, 10000).unwrap();
        // It is read again once the cache has let it go.
        let mut dropped_pages = 0;
        // SAFETY: the object lives. What is mapped or was written to stays.
        let answer =
            unsafe { sys::aspen_object_drop(object.as_ptr(), 0, 1 << 20, &mut dropped_pages) };
        assert_eq!(answer, 0);
        assert_eq!(byte(&space, at + 10), b'!');
        assert_eq!(space.fault(at + 8192, Access::Read), Err(Error::Fault));
        drop(object);
        assert_eq!(dropped.load(Ordering::Relaxed), 0, "the mapping holds it");
        drop(space);
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
        whole(&machine);
    }
    // A pager whose object cannot be made goes at once.
    let machine = machine();
    // SAFETY: the only thread.
    unsafe { machine.set_failpoints(Some(FailMode::Onward(1))) }.unwrap();
    assert_eq!(
        machine.file(1, file(&dropped, 0)).err(),
        Some(Error::NoMemory)
    );
    // SAFETY: the same.
    unsafe { machine.set_failpoints(None) }.unwrap();
    assert_eq!(dropped.load(Ordering::Relaxed), 2);
}

#[test]
fn a_pagers_error_is_the_accesss() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let machine = machine();
    let object = machine.file(4096, file(&dropped, 1)).unwrap();
    let space = machine.space().unwrap();
    let at = space.map(Map::object(&object, 0, 4096, READ)).unwrap();
    assert_eq!(space.fault(at, Access::Read), Err(Error::Io));
    whole(&machine);
}

/// In a process of its own: it has to end by SIGABRT, not go on in C.
#[test]
fn a_panic_of_a_pager_ends_the_program() {
    use std::os::unix::process::ExitStatusExt;
    if std::env::var_os("ASPEN_TEST_PANIC").is_some() {
        let dropped = Arc::new(AtomicUsize::new(0));
        let machine = machine();
        let object = machine.file(4096, file(&dropped, 2)).unwrap();
        let space = machine.space().unwrap();
        let at = space.map(Map::object(&object, 0, 4096, READ)).unwrap();
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            space.fault(at, Access::Read)
        }));
        std::process::exit(0);
    }
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["a_panic_of_a_pager_ends_the_program", "--exact"])
        .env("ASPEN_TEST_PANIC", "1")
        .output()
        .unwrap()
        .status;
    assert_eq!(status.signal(), Some(6), "{status:?}");
}

/// Threads of one space and of several, all at once.
#[test]
fn threads_share_spaces() {
    let machine = machine();
    let parent = machine.space().unwrap();
    let at = parent.map(Map::anonymous(64 * 4096, READ | WRITE)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let (parent, machine) = (parent.clone(), &machine);
            scope.spawn(move || {
                for round in 0..200u64 {
                    let mine = at + (thread * 16 + round % 16) * 4096;
                    parent.write(mine, &[round as u8]).unwrap();
                    assert_eq!(byte(&parent, mine), round as u8);
                    if round % 20 == thread {
                        let child = parent.fork().unwrap();
                        child.write(mine, b"c").unwrap();
                    }
                    let own = machine.space().unwrap();
                    let at = own.map(Map::anonymous(4096, READ | WRITE)).unwrap();
                    own.fault(at, Access::Write).unwrap();
                }
            });
        }
    });
    assert!(aspen_std_port::tlb_flushes() > 0 || machine.counters().tlb_flushes > 0);
    drop(parent);
    assert_eq!(machine.counters().mms, 0);
    whole(&machine);
}

#[test]
fn mappings_and_maps_agree() {
    let machine = machine();
    let space = machine.space().unwrap();
    let at = space.map(Map::anonymous(4 * 4096, READ | WRITE)).unwrap();
    space.protect(at + 4096, 4096, READ).unwrap();
    let mappings: Vec<Mapping> = space.mappings().collect();
    let sizes: Vec<u64> = mappings.iter().map(|m| m.end - m.start).collect();
    assert_eq!(sizes, [4096, 4096, 8192]);
    assert_eq!(mappings[1].vm_flags & (READ | WRITE), READ);
    let mut text = String::new();
    space.maps(&mut text).unwrap();
    assert_eq!(text.lines().count(), 3);
    assert!(text.starts_with(&format!("{at:x}-")), "{text}");
    // The lock is given back.
    space.unmap(at, 4096).unwrap();
    let child = space.fork().unwrap();
    space.advise(at + 4096, 4096, Advice::WipeOnFork).unwrap();
    assert_eq!(child.mappings().count(), 2);
}

/// What is forgotten keeps the machine and its RAM where they are.
#[test]
fn a_forgotten_space_is_no_dangling_one() {
    let machine = machine();
    let space = machine.space().unwrap();
    let at = space.map(Map::anonymous(4096, READ | WRITE)).unwrap();
    space.write(at, b"f").unwrap();
    let raw = space.as_ptr();
    std::mem::forget(space);
    drop(machine);
    let mut byte = [0u8];
    let mut done = 0;
    // SAFETY: the space was never given back.
    let error =
        unsafe { sys::aspen_read_memory(raw, at, byte.as_mut_ptr().cast(), 1, 0, &mut done) };
    assert_eq!((error, byte[0]), (0, b'f'));
}

fn crosses_threads<T: Send + Sync>() {}

#[test]
fn send_and_sync() {
    crosses_threads::<Machine>();
    crosses_threads::<Space>();
    crosses_threads::<Object>();
}
