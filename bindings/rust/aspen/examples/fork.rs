// SPDX-License-Identifier: MIT
//! Map, write, fork, copy on write; then a fork for each step that can fail,
//! each of which has to fail and to leave the parent as it was. The port below is
//! in Rust as well.
use aspen::{Access, Config, Error, FailMode, Machine, Map, Ram, READ, WRITE};

fn main() -> Result<(), Error> {
    aspen_std_port::ready();
    let machine = Machine::new(Config::new(), Ram::new(1024).ok_or(Error::NoMemory)?)?;
    let parent = machine.space()?;
    let at = parent.map(Map::anonymous(16384, READ | WRITE))?;
    let mut seen = [0; 6];

    parent.write(at, b"parent")?;
    {
        let child = parent.fork()?;
        let shared = parent.translate(at, Access::Read)? == child.translate(at, Access::Read)?;
        child.write(at, b"child!")?;
        let apart = parent.translate(at, Access::Read)? != child.translate(at, Access::Read)?;
        println!("one page: {shared}; after a write two: {apart}");
        child.read(at, &mut seen)?;
        println!("child  {}", String::from_utf8_lossy(&seen));
    }
    parent.read(at, &mut seen)?;
    println!("parent {}", String::from_utf8_lossy(&seen));

    let before = (parent.hash(), machine.counters().mms);
    let mut failed = 0;
    for step in 1.. {
        // SAFETY: this is the only thread.
        unsafe { machine.set_failpoints(Some(FailMode::Once(step)))? };
        let fork = parent.fork();
        let reached = machine.failpoints().failed > 0;
        // SAFETY: as above.
        unsafe { machine.set_failpoints(None)? };
        match fork {
            Ok(child) => {
                drop(child);
                if !reached {
                    break; // there are no more steps
                }
                // Direct reclaim may have tried again: the step failed, the call did not.
            }
            Err(_) => {
                failed += 1;
                assert_eq!(before, (parent.hash(), machine.counters().mms));
            }
        }
    }
    assert!(failed > 0);
    println!("failing forks left everything as it was");
    // SAFETY: as above.
    assert_eq!(unsafe { machine.validate()? }, None);
    Ok(())
}
