// SPDX-License-Identifier: MIT
use aspen_sys as sys;
use core::fmt;

/// Why a call failed. What it left is said by its declaration in
/// `include/aspen`: an atomic call has changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// EPERM: not permitted.
    NotPermitted,
    /// ENOENT: no such thing.
    NotFound,
    /// ESRCH: its space was killed.
    Killed,
    /// EINTR: a fatal signal is pending.
    Interrupted,
    /// EIO: a pager or swap device failed.
    Io,
    /// EBADF: not a mapping that can be named.
    BadMapping,
    /// EAGAIN: would have to wait.
    WouldWait,
    /// ENOMEM: no memory, no gap, or a charge refused.
    NoMemory,
    /// EACCES: the protection asked for is not allowed.
    Access,
    /// EFAULT: nothing is mapped there.
    Fault,
    /// EBUSY: still in use.
    Busy,
    /// EEXIST: something is there already.
    Exists,
    /// EINVAL: an argument makes no sense.
    Invalid,
    /// EFBIG: beyond the end of the object.
    BeyondEnd,
    /// ENOSPC: no slot left.
    NoSpace,
    /// ERANGE: the buffer is too small.
    Range,
    /// EOVERFLOW: offsets would wrap.
    Overflow,
    /// EOPNOTSUPP: this machine or build cannot do that.
    NotSupported,
    /// EALREADY: it was done before.
    Already,
    /// EKEYREJECTED: the protection key does not allow it.
    KeyRejected,
    /// EHWPOISON: the page is poisoned.
    Poisoned,
    /// An error of a hook's own: a positive errno.
    Other(i32),
}

/// What most calls answer.
pub type Result<T> = core::result::Result<T, Error>;

const NUMBERS: [(Error, u32); 21] = [
    (Error::NotPermitted, sys::ASPEN_EPERM),
    (Error::NotFound, sys::ASPEN_ENOENT),
    (Error::Killed, sys::ASPEN_ESRCH),
    (Error::Interrupted, sys::ASPEN_EINTR),
    (Error::Io, sys::ASPEN_EIO),
    (Error::BadMapping, sys::ASPEN_EBADF),
    (Error::WouldWait, sys::ASPEN_EAGAIN),
    (Error::NoMemory, sys::ASPEN_ENOMEM),
    (Error::Access, sys::ASPEN_EACCES),
    (Error::Fault, sys::ASPEN_EFAULT),
    (Error::Busy, sys::ASPEN_EBUSY),
    (Error::Exists, sys::ASPEN_EEXIST),
    (Error::Invalid, sys::ASPEN_EINVAL),
    (Error::BeyondEnd, sys::ASPEN_EFBIG),
    (Error::NoSpace, sys::ASPEN_ENOSPC),
    (Error::Range, sys::ASPEN_ERANGE),
    (Error::Overflow, sys::ASPEN_EOVERFLOW),
    (Error::NotSupported, sys::ASPEN_EOPNOTSUPP),
    (Error::Already, sys::ASPEN_EALREADY),
    (Error::KeyRejected, sys::ASPEN_EKEYREJECTED),
    (Error::Poisoned, sys::ASPEN_EHWPOISON),
];

impl Error {
    /// The positive errno, which is Linux's.
    pub fn errno(self) -> i32 {
        match self {
            Error::Other(number) => number,
            _ => NUMBERS
                .iter()
                .find(|(error, _)| *error == self)
                .map_or(sys::ASPEN_EIO as i32, |(_, number)| *number as i32),
        }
    }
    /// Of what C returned: 0, or a negative errno.
    pub fn check(answer: i32) -> Result<()> {
        if answer == 0 {
            return Ok(());
        }
        let number = answer.wrapping_neg();
        Err(NUMBERS
            .iter()
            .find(|(_, known)| *known as i32 == number)
            .map_or(Error::Other(number), |(error, _)| *error))
    }
    /// What a hook answers. A number that is none counts as EIO.
    pub(crate) fn answer(result: Result<()>) -> i32 {
        match result {
            Ok(()) => 0,
            Err(error) if error.errno() > 0 => -error.errno(),
            Err(_) => -(sys::ASPEN_EIO as i32),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: any number may be asked about; the answer is a static string.
        let name = unsafe { text(sys::aspen_error_name(self.errno())) };
        formatter.write_str(name)
    }
}

/// # Safety
/// A string of C's that lives for ever. (core::ffi::CStr is younger than 1.63.)
unsafe fn text(start: *const sys::ctypes::c_char) -> &'static str {
    // SAFETY: the caller's promise: there is a 0, and all before it can be read.
    let bytes = unsafe {
        let mut length = 0;
        while *start.add(length) != 0 {
            length += 1;
        }
        core::slice::from_raw_parts(start.cast(), length)
    };
    core::str::from_utf8(bytes).unwrap_or("?")
}
