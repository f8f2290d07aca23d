/* SPDX-License-Identifier: MIT */
/*
 * pressure/replay.h - what was recorded, done again on a machine that is too
 * small.
 */
#ifndef ASPEN_PRESSURE_REPLAY_H
#define ASPEN_PRESSURE_REPLAY_H

#include "pressure/machine.h"
#include "trace/recorded.h"

struct replay;

/** -1 and the reason. */
int replay_begin(struct replay **replay, struct pressure_machine *machine,
                 const struct recorded *recorded, struct tool_error *error);
/** NULL is allowed. Before the machine ends. */
void replay_end(struct replay *replay);

/** One step, by the CPU 0; *wrong_bytes grows by what differed. -1 and the
 * reason: the machine could not. */
int replay_step(struct replay *replay, const struct recorded_step *step,
                uint64_t *wrong_bytes, struct tool_error *error);

/** After all steps: every page that somebody has written and may read. *lost
 * grows by those that cannot be read. */
void replay_compare(struct replay *replay, uint64_t *wrong_bytes,
                    uint64_t *lost);

#endif
