// SPDX-License-Identifier: MIT
//! Compile the core, over the port of functions, into a static library: the
//! sources of the tree around this crate, as one file.
//!
//! CC, AR and ASPEN_CFLAGS say how (a kernel: `-mno-red-zone -mcmodel=kernel`);
//! PERL makes the one file.
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn run(command: &mut Command) -> Vec<u8> {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

fn tool(variable: &str, default: &str) -> Command {
    println!("cargo:rerun-if-env-changed={variable}");
    Command::new(env::var(variable).unwrap_or_else(|_| default.into()))
}

fn main() {
    let out = PathBuf::from(env::var("OUT_DIR").unwrap());
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap())
        .join("../../..")
        .canonicalize()
        .expect("the crate is in Aspen's tree, below bindings/rust");
    for used in ["src", "include", "ports/extern", "sources.txt"] {
        println!("cargo:rerun-if-changed={}", root.join(used).display());
    }

    let source = run(tool("PERL", "perl")
        .arg("scripts/amalgamate.pl")
        .current_dir(&root));
    fs::write(out.join("aspen.c"), source).unwrap();

    let mut compiler = tool("CC", "cc");
    compiler
        .args(["-std=c11", "-O2", "-fPIC", "-ffreestanding", "-c"])
        .arg("-I")
        .arg(root.join("include"))
        .arg("-I")
        .arg(root.join("ports/extern"))
        .arg("-o")
        .arg(out.join("aspen.o"))
        .arg(out.join("aspen.c"));
    if env::var_os("CARGO_FEATURE_FAILPOINTS").is_some() {
        compiler.arg("-DASPEN_TEST_BUILD");
    }
    if env::var_os("CARGO_FEATURE_FRAME_POINTER").is_none() {
        compiler.arg("-DASPEN_EXTERN_DIRECT_MAP");
    }
    println!("cargo:rerun-if-env-changed=ASPEN_CFLAGS");
    for flag in env::var("ASPEN_CFLAGS")
        .unwrap_or_default()
        .split_whitespace()
    {
        compiler.arg(flag);
    }
    run(&mut compiler);

    let library = out.join("libaspen.a");
    let _ = fs::remove_file(&library);
    run(tool("AR", "ar")
        .arg("rcs")
        .arg(&library)
        .arg(out.join("aspen.o")));
    println!("cargo:rustc-link-search=native={}", out.display());
    println!("cargo:rustc-link-lib=static=aspen");
}
