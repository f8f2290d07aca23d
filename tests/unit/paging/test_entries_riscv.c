/* SPDX-License-Identifier: MIT */
/*
 * test_entries_riscv.c - test_entries.c once more, with RISC-V's entries (Sv48)
 * whatever the port says.
 */
#if !defined(ASPEN_PORT_PAGING_RISCV_SV39) &&                                  \
    !defined(ASPEN_PORT_PAGING_RISCV_SV48)
#undef ASPEN_PORT_PAGING_AARCH64
#undef ASPEN_PORT_PAGING_X86_64
#undef ASPEN_PORT_PAGING_X86_64_LA57
#define ASPEN_PORT_PAGING_RISCV_SV48
#endif

#include "test_entries.c"
