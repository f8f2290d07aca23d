/* SPDX-License-Identifier: MIT */
/**
 * aspen/aspen.h - all public headers.
 */
#ifndef ASPEN_ASPEN_H
#define ASPEN_ASPEN_H

#include <aspen/advise.h>
#include <aspen/brk.h>
#include <aspen/error.h>
#include <aspen/failpoint.h>
#include <aspen/fault.h>
#include <aspen/flags.h>
#include <aspen/hooks.h>
#include <aspen/import.h>
#include <aspen/inspect.h>
#include <aspen/limits.h>
#include <aspen/machine.h>
#include <aspen/memory.h>
#include <aspen/mincore.h>
#include <aspen/mlock.h>
#include <aspen/mm.h>
#include <aspen/mmap.h>
#include <aspen/mseal.h>
#include <aspen/name.h>
#include <aspen/object.h>
#include <aspen/pin.h>
#include <aspen/pkey.h>
#include <aspen/populate.h>
#include <aspen/protect.h>
#include <aspen/raw.h>
#include <aspen/remap.h>
#include <aspen/special.h>
#include <aspen/sync.h>
#include <aspen/version.h>

#endif
