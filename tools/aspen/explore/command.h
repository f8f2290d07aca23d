/* SPDX-License-Identifier: MIT */
/*
 * command.h - `aspen explore`: the orders of concurrent calls.
 */
#ifndef ASPEN_EXPLORE_COMMAND_H
#define ASPEN_EXPLORE_COMMAND_H

int explore_command(int argc, char **argv);

#endif
