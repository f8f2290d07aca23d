/* SPDX-License-Identifier: MIT */
/**
 * aspen_posix.h - what a program that embeds Aspen over the posix port may
 * use besides aspen/aspen.h: memory to play the machine's RAM, the pending
 * fatal signal, an eye on TLB flushes.
 */
#ifndef ASPEN_POSIX_H
#define ASPEN_POSIX_H

#include <aspen/tlb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Address space for `frames` frames of 4 KiB, zeroed, backed page by page as
 * it is touched: for aspen_config.direct_map.
 *
 * Owns:    the caller; destroy it with the same number.
 * Returns: NULL when the host refuses.
 */
void *aspen_posix_direct_map_create(uint32_t frames);
void aspen_posix_direct_map_destroy(void *direct_map, uint32_t frames);

/**
 * Say whether a fatal signal is pending for the calling thread. While it is,
 * calls that can be interrupted answer -ASPEN_EINTR.
 *
 * Context: any, a signal handler included: to interrupt another thread, send
 *          it a signal whose handler calls this.
 */
void aspen_posix_set_fatal_signal(bool pending);

/** Told of each TLB flush. Context: locks of the core that
 * sleep may be held, no spin lock. */
typedef void aspen_posix_tlb_observer(void *context,
                                      const struct aspen_tlb_flush *flush);

/** Set or (NULL) remove the observer. No flush is under way. */
void aspen_posix_observe_tlb(aspen_posix_tlb_observer *observer, void *context);

#ifdef ASPEN_PORT_ICACHE_SYNC
/** Told of each aspen_port_icache_sync(). Context: as the other one. */
typedef void aspen_posix_icache_observer(const void *memory, size_t bytes);

/** Set or (NULL) remove the observer. Nobody is told meanwhile. */
void aspen_posix_observe_icache(aspen_posix_icache_observer *observer);
#endif

/** TLB flushes since the program started, all machines together. */
uint64_t aspen_posix_tlb_flushes(void);

#ifdef __cplusplus
}
#endif

#endif
