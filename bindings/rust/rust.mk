# SPDX-License-Identifier: MIT
#
# Rust: aspen-sys beside the headers, the safe layer's tests and example over the
# port in Rust, and the port under the contract that all ports have. Skipped by
# name where there is no rustc: `make deps GROUP=rust` brings Debian's.

CONTRACT_EXTERN := $(call objects,extern,tests/unit/port/test_contract.c \
    tests/unit/unit.c)
.PHONY: check-rust
check-rust: $(CONTRACT_EXTERN)
	@CC='$(CC)' bindings/rust/check.sh $(BUILD)/rust $(CONTRACT_EXTERN)
CHECKS += check-rust
