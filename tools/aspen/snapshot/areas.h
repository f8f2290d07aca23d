/* SPDX-License-Identifier: MIT */
/*
 * areas.h - what is mapped, the host's and Aspen's, to be compared.
 *
 * Both sides tell it in the format of /proc/P/maps and /proc/P/smaps, so that
 * one reader serves both. Files have other names on either side: a file of
 * Aspen's stands for the host's that it is first met beside.
 */
#ifndef ASPEN_AREAS_H
#define ASPEN_AREAS_H

#include "common/tool.h"

#include <aspen/aspen.h>
#include <stdio.h>
#include <sys/types.h>

struct area {
    uint64_t start;
    uint64_t end;
    uint64_t offset;
    uint64_t device; /* major << 32 | minor */
    uint64_t inode;
    uint64_t flags; /* ASPEN_VM_*, the key among them */
    bool memory;    /* shared memory without a file */
    bool segment;   /* System V's */
    bool nowhere;   /* of a file that a call made, and no folder has */
};

/** Ascending; all zero: none. */
struct areas {
    struct area *list;
    size_t count;
    size_t room;
};

enum areas_text {
    AREAS_MAPS,  /* cheap; of flags, access and MAYSHARE */
    AREAS_SMAPS, /* all flags but SOFTDIRTY */
    AREAS_TEXTS
};

/** The host's text of a process, for areas_of_file(). NULL: errno. */
FILE *areas_open(enum areas_text from, pid_t pid);

/** What a text says from its start, a process has, or an address space of
 * ours, in place of what the list held. -1: error. */
int areas_of_file(struct areas *areas, enum areas_text from, FILE *file,
                  struct tool_error *error);
int areas_of_host(struct areas *areas, enum areas_text from, pid_t pid,
                  struct tool_error *error);
int areas_of_aspen(struct areas *areas, enum areas_text from,
                   struct aspen_mm *mm, struct tool_error *error);
void areas_free(struct areas *areas);

/** Of maps alone: those that have an address in [start, end) are added to the
 * list. `maps`: /proc/P/maps, open. 1: added, 0: the kernel cannot be asked for
 * less than all (before Linux 6.11), -1: error. */
int areas_add_host(struct areas *areas, int maps, uint64_t start, uint64_t end,
                   struct tool_error *error);
int areas_add_aspen(struct areas *areas, struct aspen_mm *mm, uint64_t start,
                    uint64_t end, struct tool_error *error);

/** The name that maps gives a segment of System V's? */
bool areas_is_segment(const char *path);

/** NULL: nothing is mapped there. */
const struct area *areas_at(const struct areas *areas, uint64_t address);

/** Neighbours that could be one become one. */
void areas_join(struct areas *areas);

/** The i-th as a line of maps, for people; beyond the last "nothing more". */
void areas_put(const struct areas *areas, size_t i, bool with_flags, char *text,
               size_t size);

/** Which file of ours stands for which of theirs. */
struct areas_files {
    struct areas_pair *list;
    size_t count;
    size_t room;
    bool memory_only; /* other files have the same name on both sides */
};

void areas_files_free(struct areas_files *files);
bool areas_same_file(struct areas_files *files, const struct area *theirs,
                     const struct area *ours);

/** The first that differs, with these flags looked at; SIZE_MAX: none. */
size_t areas_difference(struct areas_files *files, const struct areas *theirs,
                        const struct areas *ours, uint64_t flags);

#endif
