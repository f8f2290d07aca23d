/* SPDX-License-Identifier: MIT */
/**
 * aspen/aspen.h - all public headers.
 */
#ifndef ASPEN_ASPEN_H
#define ASPEN_ASPEN_H

#include <aspen/calls/advise.h>
#include <aspen/calls/brk.h>
#include <aspen/error.h>
#include <aspen/failpoint.h>
#include <aspen/fault.h>
#include <aspen/flags.h>
#include <aspen/hooks.h>
#include <aspen/import.h>
#include <aspen/inspect.h>
#include <aspen/limits.h>
#include <aspen/machine.h>
#include <aspen/calls/memory.h>
#include <aspen/calls/mincore.h>
#include <aspen/calls/mlock.h>
#include <aspen/mm.h>
#include <aspen/calls/mmap.h>
#include <aspen/calls/mseal.h>
#include <aspen/name.h>
#include <aspen/object.h>
#include <aspen/calls/pin.h>
#include <aspen/calls/pkey.h>
#include <aspen/calls/populate.h>
#include <aspen/calls/protect.h>
#include <aspen/calls/raw.h>
#include <aspen/calls/remap.h>
#include <aspen/special.h>
#include <aspen/calls/sync.h>
#include <aspen/version.h>

#endif
