/* SPDX-License-Identifier: MIT */
/*
 * shadow/command.h - `aspen shadow`: follow a real program and its children,
 * make every memory call in Aspen as well, and compare answers and mappings.
 */
#ifndef ASPEN_SHADOW_H
#define ASPEN_SHADOW_H

/** The subcommand. Returns the exit status. */
int shadow_command(int argc, char **argv);

#endif
