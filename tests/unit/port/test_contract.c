/* SPDX-License-Identifier: MIT */
/*
 * The contract of contract.h, on the posix port.
 */
#include <aspen_port.h>

#include "contract_threads.h"

int
main(void)
{
    return contract_tests();
}
