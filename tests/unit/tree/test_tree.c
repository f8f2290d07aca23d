/* SPDX-License-Identifier: MIT */
/* The range tree with the nodes that everybody uses. */
#include "tree_tests.h"
