// SPDX-License-Identifier: MIT
use crate::{Error, Machine, Memory, Result};
use aspen_sys as sys;
use core::ptr::null;

/// Which crossings of the gate fail that every step of every call passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailMode {
    /// None: they are counted.
    Never,
    /// This one.
    Once(u64),
    /// This one and all after it.
    Onward(u64),
}

/// How many crossings there were since the plan was set, and how many failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failpoints {
    /// Crossings.
    pub crossings: u64,
    /// Of these, those that were made to fail.
    pub failed: u64,
}

impl<M: Memory> Machine<M> {
    /// Let steps fail, from here on; `None` ends it. `Error::NotSupported`
    /// without the feature `failpoints`.
    ///
    /// # Safety
    /// No call of the machine, its spaces or its objects is under way.
    pub unsafe fn set_failpoints(&self, mode: Option<FailMode>) -> Result<()> {
        let (mode, number) = match mode {
            // SAFETY: the caller's promise.
            None => {
                return Error::check(unsafe { sys::aspen_failpoints_set(self.as_ptr(), null()) })
            }
            Some(FailMode::Never) => (sys::ASPEN_FAIL_NEVER, 0),
            Some(FailMode::Once(number)) => (sys::ASPEN_FAIL_ONCE, number),
            Some(FailMode::Onward(number)) => (sys::ASPEN_FAIL_ONWARD, number),
        };
        let plan = sys::aspen_failpoint_plan {
            mode,
            number,
            ..Default::default()
        };
        // SAFETY: the caller's promise; the plan is copied.
        Error::check(unsafe { sys::aspen_failpoints_set(self.as_ptr(), &plan) })
    }

    /// What happened since the plan was set.
    pub fn failpoints(&self) -> Failpoints {
        let mut counts = sys::aspen_failpoint_counts::default();
        // SAFETY: it reads numbers.
        unsafe { sys::aspen_failpoints_read(self.as_ptr(), &mut counts) };
        Failpoints {
            crossings: counts.crossings,
            failed: counts.failed,
        }
    }
}
