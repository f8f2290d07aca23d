// SPDX-License-Identifier: MIT
use crate::{Error, Object, Result};
use aspen_sys as sys;
use core::fmt;
use core::marker::PhantomData;
use core::ptr::{null_mut, NonNull};
use sys::ctypes::{c_char, c_void};

/// What somebody does with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A load.
    Read,
    /// A store.
    Write,
    /// A fetch of code.
    Exec,
}

impl Access {
    fn number(self) -> u32 {
        match self {
            Access::Read => sys::ASPEN_ACCESS_READ,
            Access::Write => sys::ASPEN_ACCESS_WRITE,
            Access::Exec => sys::ASPEN_ACCESS_EXEC,
        }
    }
}

/// madvise(2)'s advice, of which the most used; [`Advice::Other`] has all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// The pages are not needed any more.
    DontNeed,
    /// They will be, soon.
    WillNeed,
    /// A forked child does not get the mapping.
    DontFork,
    /// A forked child gets it empty.
    WipeOnFork,
    /// `ASPEN_MADV_*`.
    Other(u32),
}

/// What [`Space::map`] is asked for.
#[derive(Clone, Copy)]
pub struct Map<'o> {
    args: sys::aspen_mmap_args,
    of: PhantomData<&'o ()>,
}

impl<'o> Map<'o> {
    /// Zeroed private memory, wherever there is room. `vm_flags` are
    /// `READ | WRITE | EXEC` and others.
    pub fn anonymous(length_bytes: u64, vm_flags: u64) -> Map<'o> {
        Map {
            args: sys::aspen_mmap_args {
                address: 0,
                length_bytes,
                vm_flags,
                flags: 0,
                object: null_mut(),
                offset_bytes: 0,
            },
            of: PhantomData,
        }
    }
    /// A part of an object.
    pub fn object(
        object: &'o Object<'_>,
        offset_bytes: u64,
        length_bytes: u64,
        vm_flags: u64,
    ) -> Map<'o> {
        let mut map = Self::anonymous(length_bytes, vm_flags);
        map.args.object = object.as_ptr();
        map.args.offset_bytes = offset_bytes;
        map
    }
    /// There, if it is free; else elsewhere.
    pub fn near(mut self, address: u64) -> Map<'o> {
        self.args.address = address;
        self
    }
    /// There, instead of whatever is there.
    pub fn at(mut self, address: u64) -> Map<'o> {
        self.args.address = address;
        self.args.flags |= sys::ASPEN_MAP_FIXED;
        self
    }
    /// There, or `Error::Exists`.
    pub fn at_free(mut self, address: u64) -> Map<'o> {
        self.args.address = address;
        self.args.flags |= sys::ASPEN_MAP_FIXED_NOREPLACE;
        self
    }
}

/// One user of an address space. A clone is one more; with the last the space
/// ends, and what it held is given back.
pub struct Space<'m> {
    mm: NonNull<sys::aspen_mm>,
    of: PhantomData<&'m ()>,
}

// SAFETY: any number of threads may call for one space ("Threads" in aspen.h).
unsafe impl Send for Space<'_> {}
// SAFETY: the same.
unsafe impl Sync for Space<'_> {}

impl<'m> Space<'m> {
    /// # Safety
    /// A space whose user is the caller, of a machine that lives for 'm.
    pub(crate) unsafe fn from_raw(mm: *mut sys::aspen_mm) -> Space<'m> {
        Space {
            // SAFETY: the caller's promise.
            mm: unsafe { NonNull::new_unchecked(mm) },
            of: PhantomData,
        }
    }

    /// Map memory, and say where.
    pub fn map(&self, map: Map<'_>) -> Result<u64> {
        let mut address = 0;
        // SAFETY: space and object live; the core takes a reference of its own.
        Error::check(unsafe { sys::aspen_mmap(self.as_ptr(), &map.args, &mut address) })?;
        Ok(address)
    }
    /// Take away whatever is mapped there.
    pub fn unmap(&self, address: u64, length_bytes: u64) -> Result<()> {
        // SAFETY: the space lives. Nobody has references into it.
        Error::check(unsafe { sys::aspen_munmap(self.as_ptr(), address, length_bytes) })
    }
    /// Change what is allowed.
    pub fn protect(&self, address: u64, length_bytes: u64, vm_flags: u64) -> Result<()> {
        // SAFETY: the space lives.
        Error::check(unsafe {
            sys::aspen_mprotect(
                self.as_ptr(),
                address,
                length_bytes,
                vm_flags,
                sys::ASPEN_PKEY_SAME,
            )
        })
    }
    /// Give advice.
    pub fn advise(&self, address: u64, length_bytes: u64, advice: Advice) -> Result<()> {
        let number = match advice {
            Advice::DontNeed => sys::ASPEN_MADV_DONTNEED,
            Advice::WillNeed => sys::ASPEN_MADV_WILLNEED,
            Advice::DontFork => sys::ASPEN_MADV_DONTFORK,
            Advice::WipeOnFork => sys::ASPEN_MADV_WIPEONFORK,
            Advice::Other(number) => number,
        };
        // SAFETY: the space lives; an unknown number is refused.
        Error::check(unsafe { sys::aspen_madvise(self.as_ptr(), address, length_bytes, number) })
    }

    /// Make an access possible, as the page-fault handler does. An error is a
    /// signal to the program, by the table in `aspen/fault.h`.
    pub fn fault(&self, address: u64, access: Access) -> Result<()> {
        // SAFETY: the space lives.
        Error::check(unsafe { sys::aspen_fault(self.as_ptr(), address, access.number()) })
    }
    /// The frame that the page tables lead to; `Error::Fault`: none, or the
    /// access is not allowed.
    pub fn translate(&self, address: u64, access: Access) -> Result<u32> {
        let mut frame = 0;
        // SAFETY: the space lives.
        Error::check(unsafe {
            sys::aspen_translate(self.as_ptr(), address, access.number(), &mut frame)
        })?;
        Ok(frame)
    }

    /// Copy bytes out, faulting pages in as an access would.
    pub fn read(&self, address: u64, buffer: &mut [u8]) -> Result<()> {
        let (length, mut done) = (buffer.len() as u64, 0);
        // SAFETY: so many bytes may be written there.
        Error::check(unsafe {
            sys::aspen_read_memory(
                self.as_ptr(),
                address,
                buffer.as_mut_ptr().cast(),
                length,
                0,
                &mut done,
            )
        })
    }
    /// Copy bytes in. After an error some of them may be there.
    pub fn write(&self, address: u64, buffer: &[u8]) -> Result<()> {
        let (length, mut done) = (buffer.len() as u64, 0);
        // SAFETY: so many bytes may be read there.
        Error::check(unsafe {
            sys::aspen_write_memory(
                self.as_ptr(),
                address,
                buffer.as_ptr().cast(),
                length,
                0,
                &mut done,
            )
        })
    }

    /// Copy the space: private pages become copy-on-write in both. All of it, or
    /// nothing.
    pub fn fork(&self) -> Result<Space<'m>> {
        let mut child = null_mut();
        // SAFETY: the space lives.
        Error::check(unsafe { sys::aspen_fork(self.as_ptr(), &mut child) })?;
        // SAFETY: the child is of the same machine, and the caller's.
        Ok(unsafe { Space::from_raw(child) })
    }

    /// A hash of all that a caller can rely on: equal before and after a call
    /// that failed.
    pub fn hash(&self) -> u64 {
        // SAFETY: the space lives.
        unsafe { sys::aspen_hash_mm(self.as_ptr(), sys::ASPEN_HASH_SEMANTIC) }
    }

    /// The mappings, from the lowest up. No mapping comes, goes or changes while
    /// this is there; a call on the same space from this thread would wait for
    /// ever.
    pub fn mappings(&self) -> Mappings<'_> {
        // SAFETY: the space lives; Drop unlocks.
        unsafe { sys::aspen_mm_read_lock(self.as_ptr()) };
        Mappings {
            mm: self.as_ptr(),
            next: 0,
            of: PhantomData,
        }
    }

    /// The text of /proc/P/maps.
    pub fn maps(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        unsafe extern "C" fn sink(context: *mut c_void, text: *const c_char, length: usize) {
            // SAFETY: what maps() hands over, and a text of that length.
            let (sink, bytes) = unsafe {
                (
                    &mut *context.cast::<Sink<'_>>(),
                    core::slice::from_raw_parts(text.cast::<u8>(), length),
                )
            };
            sys::no_unwind(|| {
                if sink.result.is_ok() {
                    let text = core::str::from_utf8(bytes).map_err(|_| fmt::Error);
                    sink.result = text.and_then(|text| sink.out.write_str(text));
                }
            })
        }
        struct Sink<'a> {
            out: &'a mut dyn fmt::Write,
            result: fmt::Result,
        }
        let mut sink_of = Sink {
            out,
            result: Ok(()),
        };
        let context: *mut Sink<'_> = &mut sink_of;
        // SAFETY: the context lives as long as the call.
        unsafe { sys::aspen_inspect_maps(self.as_ptr(), Some(sink), context.cast()) };
        sink_of.result
    }

    /// For functions that have no counterpart here.
    pub fn as_ptr(&self) -> *mut sys::aspen_mm {
        self.mm.as_ptr()
    }
}

impl Clone for Space<'_> {
    fn clone(&self) -> Self {
        // SAFETY: we are a user.
        unsafe {
            sys::aspen_mm_get(self.as_ptr());
            Space::from_raw(self.as_ptr())
        }
    }
}

impl Drop for Space<'_> {
    fn drop(&mut self) {
        // SAFETY: our use of it.
        unsafe { sys::aspen_mm_put(self.as_ptr()) }
    }
}

/// One mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Its first address.
    pub start: u64,
    /// The address after its last.
    pub end: u64,
    /// `ASPEN_VM_*`.
    pub vm_flags: u64,
}

/// The mappings of a space, while nobody changes them.
pub struct Mappings<'s> {
    mm: *mut sys::aspen_mm,
    next: u64,
    of: PhantomData<&'s ()>,
}

impl Iterator for Mappings<'_> {
    type Item = Mapping;
    fn next(&mut self) -> Option<Mapping> {
        // SAFETY: the lock is held.
        unsafe {
            let vma = sys::aspen_vma_find(self.mm, self.next);
            if vma.is_null() {
                return None;
            }
            let mapping = Mapping {
                start: sys::aspen_vma_start(vma),
                end: sys::aspen_vma_end(vma),
                vm_flags: sys::aspen_vma_flags(vma),
            };
            self.next = mapping.end;
            Some(mapping)
        }
    }
}

impl Drop for Mappings<'_> {
    fn drop(&mut self) {
        // SAFETY: locked by mappings().
        unsafe { sys::aspen_mm_read_unlock(self.mm) }
    }
}
