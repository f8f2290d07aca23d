// SPDX-License-Identifier: MIT
use crate::{Error, Object, Pager, Result, Space, PAGE};
use alloc::alloc::{alloc_zeroed, dealloc, Layout};
use aspen_sys as sys;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr::{null_mut, NonNull};

/// Memory that plays the machine's RAM.
///
/// # Safety
/// `start()` is aligned to a page and leads to `frames()` pages which nobody
/// else reads or writes, and both are the same for as long as `self` lives,
/// wherever it moves.
pub unsafe trait Memory: Send + Sync + 'static {
    /// Where frame 0 is.
    fn start(&self) -> *mut u8;
    /// How many pages there are: 64 at least.
    fn frames(&self) -> u32;
}

/// RAM from the global allocator, zeroed.
pub struct Ram {
    memory: NonNull<u8>,
    layout: Layout,
}

// SAFETY: memory that nobody else knows of.
unsafe impl Send for Ram {}
// SAFETY: the same.
unsafe impl Sync for Ram {}

impl Ram {
    /// `None`: no such memory, or `frames` is 0.
    pub fn new(frames: u32) -> Option<Ram> {
        let bytes = (frames as usize)
            .checked_mul(PAGE)
            .filter(|bytes| *bytes > 0)?;
        let layout = Layout::from_size_align(bytes, PAGE).ok()?;
        // SAFETY: the size is not 0.
        let memory = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(Ram { memory, layout })
    }
}

impl Drop for Ram {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.memory.as_ptr(), self.layout) }
    }
}

// SAFETY: it is aligned, exclusive, and does not move with `self`.
unsafe impl Memory for Ram {
    fn start(&self) -> *mut u8 {
        self.memory.as_ptr()
    }
    fn frames(&self) -> u32 {
        (self.layout.size() / PAGE) as u32
    }
}

/// `vm.overcommit_memory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overcommit {
    /// Refuse only what exceeds RAM and swap.
    Guess,
    /// Refuse nothing.
    Always,
    /// Stay below so many percent of RAM, and swap.
    Never(u32),
}

/// What a machine is like. New: Linux's defaults.
pub struct Config(sys::aspen_config);

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl Config {
    /// Linux's defaults.
    pub fn new() -> Config {
        let mut config = MaybeUninit::uninit();
        // SAFETY: it fills all of it.
        unsafe {
            sys::aspen_config_init(config.as_mut_ptr());
            Config(config.assume_init())
        }
    }
    /// What may be promised beyond what there is.
    pub fn overcommit(mut self, mode: Overcommit) -> Config {
        self.0.overcommit = match mode {
            Overcommit::Guess => sys::ASPEN_OVERCOMMIT_GUESS,
            Overcommit::Always => sys::ASPEN_OVERCOMMIT_ALWAYS,
            Overcommit::Never(percent) => {
                self.0.overcommit_percent = percent;
                sys::ASPEN_OVERCOMMIT_NEVER
            }
        };
        self
    }
    /// The most mappings of a space.
    pub fn map_count_max(mut self, mappings: u32) -> Config {
        self.0.map_count_max = mappings;
        self
    }
    /// Everything else, hooks among it.
    ///
    /// # Safety
    /// What is changed keeps the rules of `aspen/machine.h` and
    /// `aspen/hooks.h`; what it leads to lives as long as the machine.
    pub unsafe fn raw(&mut self) -> &mut sys::aspen_config {
        &mut self.0
    }
}

/// What is in use: `struct aspen_counters`.
pub type Counters = sys::aspen_counters;

/// A machine: RAM, and all that lives in it.
pub struct Machine<M: Memory = Ram> {
    aspen: NonNull<sys::aspen>,
    memory: ManuallyDrop<M>,
}

// SAFETY: any number of threads may call into a machine ("Threads" in aspen.h).
unsafe impl<M: Memory> Send for Machine<M> {}
// SAFETY: the same.
unsafe impl<M: Memory> Sync for Machine<M> {}

impl<M: Memory> Machine<M> {
    /// Make one. After an error the memory is gone with it.
    pub fn new(config: Config, memory: M) -> Result<Self> {
        let mut config = config.0;
        let mut aspen = null_mut();
        config.frames = memory.frames();
        config.direct_map = memory.start().cast();
        // SAFETY: the memory is as Memory promises, and outlives the machine.
        Error::check(unsafe { sys::aspen_create(&config, &mut aspen) })?;
        Ok(Machine {
            aspen: NonNull::new(aspen).ok_or(Error::NoMemory)?,
            memory: ManuallyDrop::new(memory),
        })
    }

    /// An empty address space.
    pub fn space(&self) -> Result<Space<'_>> {
        let mut mm = null_mut();
        // SAFETY: the machine lives as long as the borrow.
        Error::check(unsafe { sys::aspen_mm_create(self.as_ptr(), &mut mm) })?;
        // SAFETY: it is of this machine, and the caller's.
        Ok(unsafe { Space::from_raw(mm) })
    }

    /// A file: its pages come from the pager, which is the object's now.
    pub fn file<P: Pager>(&self, size_bytes: u64, pager: P) -> Result<Object<'_>> {
        // SAFETY: the machine lives as long as the borrow.
        unsafe { Object::with_pager(self.as_ptr(), size_bytes, pager) }
    }

    /// Shared memory without a file, zeroed and charged.
    pub fn shared_memory(&self, size_bytes: u64) -> Result<Object<'_>> {
        // SAFETY: as above.
        unsafe { Object::shared(self.as_ptr(), size_bytes) }
    }

    /// What is in use; exact when no call is under way.
    pub fn counters(&self) -> Counters {
        let mut counters = MaybeUninit::uninit();
        // SAFETY: it fills all of it.
        unsafe {
            sys::aspen_counters_read(self.as_ptr(), counters.as_mut_ptr());
            counters.assume_init()
        }
    }

    /// Compare everything in the machine with everything else. `Ok(None)`: all
    /// holds; `Ok(Some(text))` says what does not.
    ///
    /// # Safety
    /// No call of the machine, its spaces or its objects is under way.
    pub unsafe fn validate(&self) -> Result<Option<alloc::string::String>> {
        let mut finding = MaybeUninit::<sys::aspen_finding>::zeroed();
        // SAFETY: the caller's promise; zeroes are a finding of nothing.
        let (answer, finding) = unsafe {
            let answer = sys::aspen_validate(self.as_ptr(), finding.as_mut_ptr());
            (answer, finding.assume_init())
        };
        if answer != 1 {
            return Error::check(answer).map(|()| None);
        }
        let text = finding.text.iter().take_while(|byte| **byte != 0);
        Ok(Some(text.map(|byte| *byte as u8 as char).collect()))
    }

    /// The memory that plays RAM. Who reads or writes it does so beside the core.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// For functions that have no counterpart here.
    pub fn as_ptr(&self) -> *mut sys::aspen {
        self.aspen.as_ptr()
    }
}

impl<M: Memory> Drop for Machine<M> {
    fn drop(&mut self) {
        // SAFETY: nothing borrows the machine, so no call is under way. Where a
        // space or an object was forgotten it answers EBUSY, and all stays.
        unsafe {
            if sys::aspen_destroy(self.as_ptr()) == 0 {
                ManuallyDrop::drop(&mut self.memory);
            }
        }
    }
}
