/* SPDX-License-Identifier: MIT */
/*
 * broken.h - what the parts of broken.c share.
 */
#ifndef ASPEN_TOOLS_BROKEN_H
#define ASPEN_TOOLS_BROKEN_H

#include "internal.h"
#include <aspen/aspen.h>

#define REAL(name)    __real_##name
#define WRAPPED(name) __wrap_##name

/* A function of the library, as it is and as it breaks. */
#define BREAKABLE(type, name, ...)                                             \
    type __real_##name(__VA_ARGS__);                                           \
    type __wrap_##name(__VA_ARGS__)

/* Whether $ASPEN_BROKEN is this. */
bool breaks(const char *how);
/* Whether it is "KIND:PART"; then PART, else NULL. */
const char *broken_part(const char *kind);

/* Of rehearse's machine: what the last fork was. */
enum broken_phase {
    BROKEN_PLAIN,  /* none has failed yet */
    BROKEN_FAILED, /* it failed */
    BROKEN_NEXT,   /* it succeeded after one that failed */
};

struct broken_state {
    enum broken_phase phase;
    struct aspen_mm *parent; /* that last forked; NULL: none has */
};
extern struct broken_state broken_state;

#endif
