/* SPDX-License-Identifier: MIT */
/*
 * host.h - what decides the host kernel's answers to memory calls, for a
 * machine and spaces that are to give the same: settings of the kernel, and
 * limits, capabilities and layout of a process.
 */
#ifndef ASPEN_HOST_H
#define ASPEN_HOST_H

#include <aspen/limits.h>
#include <aspen/machine.h>
#include <aspen/object.h>
#include <stdbool.h>
#include <sys/types.h>

/** The level that the host's release has. False: the host is older than all of
 * them, or no Linux with pages of 4 KiB, and will give other answers. */
bool host_semantics(enum aspen_semantics *semantics);

/** Flags of mmap that the host's release does not have: MAP_ABOVE4G up to level
 * 6.1. It ignores them, but for MAP_SHARED_VALIDATE. */
uint64_t host_unknown_flags(void);

/** No protection keys, and no calls for them either: kernels for AArch64 before
 * 6.12. Others answer as a processor without keys lets them. */
bool host_lacks_pkey_calls(void);

/** Whether it is as ASPEN_CONFIG_DONTUNMAP_APART says. */
bool host_dontunmap_apart(void);

/**
 * aspen_config_init(), then the host's release, overcommit (with its limit, for
 * all processes together), bounds of addresses and maps, and what huge pages do
 * to placement. frames is the host's memory; the direct map is the caller's.
 */
void host_config(struct aspen_config *config);

/**
 * How much the kernel would still promise to all processes together.
 * UINT64_MAX unless vm.overcommit_memory is 2: then what Aspen is not asked
 * for counts as well, and answers can be compared only far from the limit.
 */
uint64_t host_promise_bytes(void);

/**
 * config->direct_map for config->frames, of which few will be touched, or for
 * fewer: as many as this process's limits and vm.overcommit_memory allow.
 * Children of this process do not have it. 0 or a negative errno.
 */
int host_direct_map(struct aspen_config *config);

/**
 * Whether the tools know how a release answers: those from 6.1 to 6.18 were
 * compared. 0: it is known; -1: it is older; 1: it is newer, or nothing like
 * it.
 */
int host_release_compare(const char *release);

/** The level that a release is taken for, those between two as well. */
enum aspen_semantics host_release_semantics(const char *release);

/**
 * One line to stderr when this host's release is not known: what differs may
 * be the release's. Returns whether it is known.
 */
bool host_say_release(const char *command);

/** Which rule the host's file system follows for mappings of an open file. */
enum aspen_placement host_file_placement(int file);

/** Whether its file system may be executed from: PROT_EXEC of mappings. */
bool host_file_executes(int file);

/** Whether mappings of it with MAP_SYNC are refused: it is on a file system
 * that looks at the flag, and not on DAX. */
bool host_file_refuses_sync(int file);

/** Whether a memfd is sealed against writing; `path` opens it again. */
bool host_file_is_sealed(const char *path);

/** Whether sealed memory is refused as Linux 6.18 does it. */
bool host_seals_as_now(void);

/** What a process was given. */
struct host_process {
    pid_t pid;
    uint64_t limits[ASPEN_LIMITS];
    unsigned privileges;
    bool random; /* its layout is: searches in the window of 32BIT are, too */
    struct aspen_layout layout; /* without the bounds of the mmap area */
};

/** Read its limits alone, cheaply. 0 or a negative errno. */
int host_limits_read(pid_t pid, uint64_t limits[ASPEN_LIMITS]);

/** Read it. 0 or a negative errno. */
int host_process_read(pid_t pid, struct host_process *process);

/**
 * Give it to a space of a machine with host_config(). The mmap area is told
 * from where its highest mapping ends (bottom up: its lowest begins), which is
 * right for a process that has not unmapped what exec put there.
 * 0 or a negative errno.
 */
int host_process_apply(const struct host_process *process, struct aspen_mm *mm);

#endif
