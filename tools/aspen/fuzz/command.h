/* SPDX-License-Identifier: MIT */
/*
 * fuzz/command.h - `aspen fuzz`: random memory calls, on the host and in Aspen.
 */
#ifndef ASPEN_FUZZ_H
#define ASPEN_FUZZ_H

int fuzz_command(int argc, char **argv);

#endif
