/* SPDX-License-Identifier: MIT */
/* What generate.sh reads: all public headers, and the port of functions. */
#include <aspen/aspen.h>
#include <aspen/lock_order.h>
#include <aspen/tlb.h>
#include <aspen_port.h>
