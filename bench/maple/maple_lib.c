// SPDX-License-Identifier: GPL-2.0
/*
 * bench/maple/maple_lib.c - the kernel's maple tree as a user-space object,
 * through the shims of the kernel's own tools/testing, without debug checks.
 * Its source comes from Debian's linux-source package and is not part of
 * Aspen; nothing of it is linked into Aspen.
 */
#define MAPLE_32BIT (MAPLE_NODE_SLOTS > 31)
#include "shared.h"
#include <stdlib.h>
#include <time.h>
#include "linux/init.h"
#include "../../../lib/maple_tree.c"

unsigned long peer_node_bytes(void);
unsigned long
peer_node_bytes(void)
{
    return sizeof(struct maple_node);
}
