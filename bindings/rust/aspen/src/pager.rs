// SPDX-License-Identifier: MIT
use crate::{Error, Result, PAGE};
use alloc::boxed::Box;
use aspen_sys as sys;
use core::marker::PhantomData;
use core::ptr::{null, null_mut, NonNull};
use sys::ctypes::c_void;

/// A page that is being filled.
pub type Page = [u8; PAGE];

/// Where the pages of a file come from and go to. Hooks may be called by several
/// threads at once, and must not call the object, nor a space that maps it: they
/// would wait for themselves. They may sleep. An error is what the access, or the
/// call that led here, answers, and nothing is lost by it.
pub trait Pager: Send + Sync + 'static {
    /// Does `write` work? Without it what is written stays in memory.
    const WRITES: bool = false;
    /// Fill a page, zeroed before, from `offset_bytes` on.
    fn read(&self, offset_bytes: u64, page: &mut Page) -> Result<()>;
    /// Write pages, of which the last may be in part.
    fn write(&self, offset_bytes: u64, pages: Pages<'_>) -> Result<()> {
        let _ = (offset_bytes, pages);
        Err(Error::NotSupported)
    }
}

/// Pages that are being written, by their addresses: a program may still write
/// into them, so there are no references, and what is copied may be of any moment.
pub struct Pages<'a> {
    pages: *const *const c_void,
    length_bytes: u64,
    of: PhantomData<&'a ()>,
}

impl Pages<'_> {
    /// How many bytes.
    pub fn length_bytes(&self) -> u64 {
        self.length_bytes
    }
    /// How many pages.
    pub fn count(&self) -> usize {
        (self.length_bytes as usize + PAGE - 1) / PAGE
    }
    /// Copy page `index`; how many bytes of it count. An index beyond them
    /// gives 0.
    pub fn copy(&self, index: usize, page: &mut Page) -> usize {
        if index >= self.count() {
            return 0;
        }
        let bytes = (self.length_bytes as usize - index * PAGE).min(PAGE);
        // SAFETY: there are so many pages of 4096 bytes. Each byte is read once.
        unsafe {
            let from: *const u8 = (*self.pages.add(index)).cast();
            for (offset, byte) in page[..bytes].iter_mut().enumerate() {
                *byte = from.add(offset).read_volatile();
            }
        }
        bytes
    }
}

struct Hooks<P>(PhantomData<P>);

impl<P: Pager> Hooks<P> {
    const OPS: sys::aspen_pager_ops = sys::aspen_pager_ops {
        read: Some(Self::read),
        write: if P::WRITES { Some(Self::write) } else { None },
        release: Some(Self::release),
        readahead: None,
        mkwrite: None,
        resize: None,
        punch: None,
        fault: None,
        huge_fault: None,
        open: None,
        close: None,
        may_split: None,
        may_see_cache: None,
    };

    unsafe extern "C" fn read(context: *mut c_void, offset: u64, page: *mut c_void) -> i32 {
        sys::no_unwind(|| {
            // SAFETY: the context is the pager until `release`; the page is ours
            // for as long as the hook lasts.
            let (pager, page) = unsafe { (&*context.cast::<P>(), &mut *page.cast::<Page>()) };
            Error::answer(pager.read(offset, page))
        })
    }
    unsafe extern "C" fn write(
        context: *mut c_void,
        offset: u64,
        pages: *const *const c_void,
        length_bytes: u64,
    ) -> i32 {
        sys::no_unwind(|| {
            // SAFETY: as above.
            let pager = unsafe { &*context.cast::<P>() };
            let pages = Pages {
                pages,
                length_bytes,
                of: PhantomData,
            };
            Error::answer(pager.write(offset, pages))
        })
    }
    unsafe extern "C" fn release(context: *mut c_void) {
        // SAFETY: made by Box::into_raw(), and given back once.
        sys::no_unwind(|| drop(unsafe { Box::from_raw(context.cast::<P>()) }))
    }
}

/// Something that can be mapped. Mappings hold it, too, and may outlive this.
pub struct Object<'m> {
    object: NonNull<sys::aspen_object>,
    of: PhantomData<&'m ()>,
}

// SAFETY: objects are counted and locked by the core; a pager is Send and Sync.
unsafe impl Send for Object<'_> {}
// SAFETY: the same.
unsafe impl Sync for Object<'_> {}

impl Object<'_> {
    unsafe fn create(machine: *mut sys::aspen, args: &sys::aspen_object_args) -> Result<Self> {
        let mut object = null_mut();
        // SAFETY: the caller's.
        Error::check(unsafe { sys::aspen_object_create(machine, args, &mut object) })?;
        Ok(Object {
            object: NonNull::new(object).ok_or(Error::NoMemory)?,
            of: PhantomData,
        })
    }

    pub(crate) unsafe fn with_pager<P: Pager>(
        machine: *mut sys::aspen,
        size_bytes: u64,
        pager: P,
    ) -> Result<Self> {
        let context: *mut c_void = Box::into_raw(Box::new(pager)).cast();
        let ops: &'static sys::aspen_pager_ops = &Hooks::<P>::OPS;
        let args = sys::aspen_object_args {
            kind: sys::ASPEN_OBJECT_FILE,
            size_bytes,
            pager: ops,
            context,
            ..EMPTY
        };
        // SAFETY: the ops live for ever, the pager until `release`.
        unsafe { Self::create(machine, &args) }.map_err(|error| {
            // SAFETY: there is no object, so nobody has the pager.
            drop(unsafe { Box::from_raw(context.cast::<P>()) });
            error
        })
    }

    pub(crate) unsafe fn shared(machine: *mut sys::aspen, size_bytes: u64) -> Result<Self> {
        let args = sys::aspen_object_args {
            kind: sys::ASPEN_OBJECT_SHMEM,
            size_bytes,
            flags: sys::ASPEN_OBJECT_CHARGED | sys::ASPEN_OBJECT_ANONYMOUS,
            ..EMPTY
        };
        // SAFETY: the caller's.
        unsafe { Self::create(machine, &args) }
    }

    /// Write what is dirty in the range by the pager.
    pub fn sync(&self, offset_bytes: u64, length_bytes: u64) -> Result<()> {
        // SAFETY: the object lives as long as self.
        Error::check(unsafe { sys::aspen_object_sync(self.as_ptr(), offset_bytes, length_bytes) })
    }

    /// For functions that have no counterpart here.
    pub fn as_ptr(&self) -> *mut sys::aspen_object {
        self.object.as_ptr()
    }
}

const EMPTY: sys::aspen_object_args = sys::aspen_object_args {
    kind: sys::ASPEN_OBJECT_SHMEM,
    device: 0,
    inode: 0,
    size_bytes: 0,
    name: null(),
    pager: null(),
    context: null_mut(),
    placement: sys::ASPEN_PLACEMENT_PLAIN,
    flags: 0,
};

impl Drop for Object<'_> {
    fn drop(&mut self) {
        // SAFETY: our reference.
        unsafe { sys::aspen_object_put(self.as_ptr()) }
    }
}
