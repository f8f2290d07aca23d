/* SPDX-License-Identifier: MIT */
/*
 * rehearse/command.h - `aspen rehearse`: fork a captured address space, and let
 * the fork fail at every step.
 */
#ifndef ASPEN_REHEARSE_H
#define ASPEN_REHEARSE_H

/** The subcommand. Returns the exit status. */
int rehearse_command(int argc, char **argv);

#endif
